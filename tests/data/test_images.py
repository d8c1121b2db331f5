"""Folders and zips of images of every kind, good and bad."""

import io
import os
import warnings
import zipfile
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import decoding, images, listing
from gan_jax.data.decoding import Preprocessing, decode
from gan_jax.data.pipeline import batches, open_source
from gan_jax.data.source import warn_once
from gan_jax.errors import UserError

PREPROCESSING = Preprocessing(8, 3, "lanczos", "center")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))


def encoded(image, kind="png", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def solid(color=(200, 30, 60), size=(12, 9), mode="RGB"):
    return Image.new(mode, size, color)


def fill(folder, names, start=0):
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(solid((start + index, 2 * index, 7))))
    return folder


def open_folder(path, **change):
    settings: dict[str, Any] = {"resolution": 8, "channels": 3} | change
    return open_source("folder", path=str(path), **settings)


def reds(source):
    pixels = source.records.take(np.arange(source.size))["image"]
    return sorted(int(one) for one in pixels[:, 0, 0, 0])


def test_a_folder_beyond_a_gigabyte_is_sorted_on_the_disk(tmp_path, monkeypatch):
    """TFDS would do it with TensorFlow; the prepared set is the same."""
    from tensorflow_datasets.core import shuffle

    fill(tmp_path / "in", [f"{n}.png" for n in range(20)])
    contents = []
    for name, limit in (("in memory", shuffle.MAX_MEM_BUFFER_SIZE), ("on disk", 100)):
        monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", limit)
        monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / name))
        source = open_folder(tmp_path / "in")
        contents.append(source.records.take(np.arange(source.size))["image"])
        files = [path.name for path in (tmp_path / name).rglob("*")]
        assert files and not [file for file in files if file.startswith("bucket")]
    np.testing.assert_array_equal(*contents)


def test_paths_have_the_parts_of_pathlib():
    """Which takes too long for a million files."""
    words = ["a", "B c", ".", "..", "/", "//", ".png", "x.JPG", "__MACOSX"]
    random = np.random.default_rng(0)
    for _ in range(2000):
        name = "".join(random.choice(words, random.integers(1, 7))).lstrip("/") or "a"
        assert listing._parts(name) == PurePosixPath(name).parts
        hidden = any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
        assert listing._hidden(name) == hidden, name


def test_a_folder_becomes_squares(tmp_path):
    source = open_folder(fill(tmp_path, ["a.png", "b.JPG", "sub/c.png"]))
    assert source.size == 3 and source.num_classes is None
    assert source.records[0]["image"].shape == (8, 8, 3)
    assert reds(source) == [0, 1, 2]


def test_subfolders_are_labels_when_all_images_lie_in_one(tmp_path):
    source = open_folder(fill(tmp_path, ["cat/a.png", "dog/b.png", "dog/deep/c.png"]))
    assert source.class_names == ("cat", "dog") and source.num_classes == 2
    found = source.records.take(np.arange(3))
    assert sorted(zip(found["image"][:, 0, 0, 0], found["label"], strict=True)) == [
        (0, 0),
        (1, 1),
        (2, 1),
    ]


@pytest.mark.parametrize(
    ("names", "splits", "labels"),
    [
        (("a.png", "cat/b.png"), {"train"}, None),
        (("all/cat/a.png", "all/dog/b.png"), {"train"}, ("cat", "dog")),
        (("all/a.png", "all/b.png"), {"train"}, None),
        (("train/cat/a.png", "test/dog/b.png"), {"train", "test"}, ("cat",)),
        (("train/a.png", "val/b.png"), {"train", "val"}, None),
        (("train/a.png", "other/b.png"), {"train"}, ("train", "other")),
    ],
)
def test_folder_names_are_splits_or_labels(names, splits, labels):
    groups = listing.group_by_split(names)
    assert set(groups) == splits
    assert groups["train"].labels == labels


def test_split_folders_open_as_splits(tmp_path):
    fill(tmp_path, ["train/a.png", "train/b.png", "test/c.png"])
    assert open_folder(tmp_path).size == 2
    assert open_folder(tmp_path, split="test").size == 1


def test_a_zip_is_a_folder(tmp_path):
    fill(tmp_path / "images", ["cat/a.png", "dog/b.png"])
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in (tmp_path / "images").rglob("*.png"):
            archive.write(file, file.relative_to(tmp_path))
        archive.writestr("__MACOSX/._a.png", b"resource fork")
    zipped, folder = open_folder(tmp_path / "set.zip"), open_folder(tmp_path / "images")
    assert zipped.class_names == folder.class_names == ("cat", "dog")
    assert reds(zipped) == reds(folder) and zipped.size == 2


def test_alpha_is_composited_on_white():
    clear = decode(encoded(solid((10, 20, 30, 0), mode="RGBA")), PREPROCESSING)
    half = decode(encoded(solid((0, 0, 0, 128), mode="RGBA")), PREPROCESSING)
    grey = decode(encoded(solid((0, 0), mode="LA")), PREPROCESSING)
    assert (clear == 255).all() and (grey == 255).all()
    assert abs(half.astype(int) - 127).max() <= 1


def test_palettes_with_transparency_are_composited_too():
    image = solid((255, 0, 0)).quantize(4)
    opaque = decode(encoded(image), PREPROCESSING)
    clear = decode(encoded(image, transparency=image.getpixel((0, 0))), PREPROCESSING)
    np.testing.assert_array_equal(opaque[0, 0], [255, 0, 0])
    np.testing.assert_array_equal(clear[0, 0], [255, 255, 255])


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257, 1), (32896, 128), (65535, 255)])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_become_eight(value, expected, kind):
    image = Image.fromarray(np.full((9, 12), value, np.uint16))
    assert (decode(encoded(image, kind), PREPROCESSING) == expected).all()


def test_grey_and_cmyk_and_bilevel_become_rgb():
    grey = decode(encoded(solid(77, mode="L")), PREPROCESSING)
    cmyk = decode(encoded(solid((0, 0, 0, 0), mode="CMYK"), "jpeg"), PREPROCESSING)
    bits = decode(encoded(solid(1, mode="1")), PREPROCESSING)
    assert (grey == 77).all() and (cmyk > 250).all() and (bits == 255).all()


def test_rgb_becomes_grey_where_one_channel_is_asked_for():
    grey = decode(encoded(solid((255, 255, 255))), PREPROCESSING._replace(channels=1))
    assert grey.shape == (8, 8, 1) and (grey == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    found = decode(encoded(image, "png", exif=exif), PREPROCESSING._replace(resize="box"))
    np.testing.assert_array_equal(found[:, :, 0], upright[::2, ::2, 0])


def test_center_crop_cuts_the_middle_and_none_squeezes():
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, 4:12] = 255
    data = encoded(Image.fromarray(pixels))
    assert (decode(data, PREPROCESSING) == 255).all()
    squeezed = decode(data, PREPROCESSING._replace(crop="none", resize="box"))
    assert (squeezed[:, 2:6] == 255).all() and (squeezed[:, :2] == 0).all()


@pytest.mark.parametrize("name", ["lanczos", "bicubic", "bilinear", "box"])
def test_shrinking_is_antialiased(name):
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    data = encoded(Image.fromarray(checks.astype(np.uint8)))
    assert abs(decode(data, PREPROCESSING._replace(resize=name)).astype(int) - 127).max() < 12


def test_the_filter_is_pillows():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    image = Image.fromarray(pixels)
    expected = np.asarray(image.resize((8, 8), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(decode(encoded(image), PREPROCESSING), expected)


def bad_files():
    good = encoded(Image.effect_noise((40, 40), 90))
    return {
        "truncated": good[: len(good) // 2],
        "text": b"this is no image",
        "empty": b"",
        "flipped": good[:60] + b"\x00" * 40 + good[100:],
        "float": encoded(Image.new("F", (4, 4), 0.5), "tiff"),
    }


@pytest.mark.parametrize("kind", sorted(bad_files()))
def test_a_bad_image_is_named_in_one_line(tmp_path, kind):
    fill(tmp_path, ["a.png", "c.png"])
    (tmp_path / "b.png").write_bytes(bad_files()[kind])
    with pytest.raises(UserError, match=r"cannot read the image .*b\.png: ") as caught:
        open_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_bad_images_are_skipped_with_one_counted_line(tmp_path, caplog):
    fill(tmp_path, ["a.png", "z.png"])
    for kind, data in bad_files().items():
        (tmp_path / f"bad_{kind}.png").write_bytes(data)
    for _ in range(2):  # prepared, then from the cache by another process: the warning stays
        caplog.clear()
        warn_once.cache_clear()
        assert open_folder(tmp_path, on_bad_image="skip").size == 2
        lines = [
            record.getMessage() for record in caplog.records if "skipped 5" in record.getMessage()
        ]
        assert len(lines) == 1 and "of 7 images: bad_empty.png (it is empty)" in lines[0]
        open_folder(tmp_path, on_bad_image="skip")
        assert caplog.text.count("skipped 5") == 1, "once in a process"
    with pytest.raises(UserError, match="cannot read"):
        open_folder(tmp_path)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    fill(tmp_path, ["a.png"])
    (tmp_path / "bomb.png").write_bytes(encoded(Image.new("1", (1500, 1000))))
    for limit in (1_000_000, 500_000):  # Pillow warns of the first and refuses the second
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UserError, match=r"bomb\.png: it has more than [01] million pixels"):
            open_folder(tmp_path)


def test_warnings_of_the_program_are_restored(tmp_path):
    before = list(warnings.filters)
    open_folder(fill(tmp_path, ["a.png"]))
    assert warnings.filters == before


def test_other_files_are_ignored_and_counted(tmp_path, caplog):
    fill(tmp_path, ["a.png"])
    (tmp_path / "notes.txt").write_text("labels")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    assert open_folder(tmp_path).size == 1
    assert "ignored 1 files that are not images by name" in caplog.text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "absent", "no folder or zip of images at"),
        (lambda folder: folder, "no images in .*: it is empty"),
        (lambda folder: _write(folder / "a.txt").parent, "none of its 1 files is an image by name"),
        (lambda folder: _write(folder / "set.zip"), "neither a folder nor a zip"),
        (lambda folder: _write(folder / "a.png").parent, "cannot read the image"),
    ],
)
def test_nothing_to_read_gets_one_clear_line(tmp_path, make, words):
    with pytest.raises(UserError, match=words) as caught:
        open_folder(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_zip_that_would_write_elsewhere_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("/elsewhere/a.png", b"")
    with pytest.raises(UserError, match=r"absolute path, '/elsewhere/a\.png'"):
        open_folder(tmp_path / "evil.zip")


def _write(path):
    path.write_text("not what it seems")
    return path


def test_only_bad_images_is_an_error_even_when_skipping(tmp_path):
    _write(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"no image in .* could be read; the first: a\.png"):
        open_folder(tmp_path, on_bad_image="skip")


def test_a_nearly_empty_folder_is_smaller_than_a_batch(tmp_path):
    source = open_folder(fill(tmp_path, ["a.png"]))
    with pytest.raises(UserError, match="batch_size 64 is more than the 1 of data set 'folder'"):
        batches(source, batch_size=64, seed=0)


def test_options_of_the_folder_are_checked(tmp_path):
    with pytest.raises(UserError, match="needs the path"):
        open_source("folder")
    with pytest.raises(UserError, match="'fail' or 'skip'"):
        options = {"preprocessing": PREPROCESSING, "on_bad_image": "ignore"}
        images.open_folder(str(tmp_path), split="train", **options)


def test_a_link_that_leads_back_up_is_walked_once(tmp_path):
    fill(tmp_path, ["cat/a.png", "dog/b.png"])
    os.symlink(tmp_path, tmp_path / "cat" / "loop")
    assert open_folder(tmp_path).size == 2


def test_the_preparation_is_reused(tmp_path, monkeypatch):
    fill(tmp_path, ["a.png", "b.png"])
    before = open_folder(tmp_path)
    monkeypatch.setattr(images, "_in_threads", None)
    monkeypatch.setattr(decoding, "decode", None)
    assert open_folder(tmp_path).fingerprint == before.fingerprint


def test_a_changed_file_is_prepared_anew(tmp_path):
    fill(tmp_path, ["a.png", "b.png"])
    before = open_folder(tmp_path)
    fill(tmp_path, ["b.png"], start=99)
    after = open_folder(tmp_path)
    assert reds(before) == [0, 1] and reds(after) == [0, 99]
    assert before.fingerprint != after.fingerprint


def test_the_same_images_elsewhere_have_the_same_fingerprint(tmp_path):
    a, b = (open_folder(fill(tmp_path / one, ["a.png", "b.png"])) for one in "xy")
    assert a.fingerprint == b.fingerprint


def test_a_killed_preparation_is_begun_anew(tmp_path, monkeypatch):
    fill(tmp_path, ["a.png", "b.png"])
    whole, calls = images.to_square, []

    def interrupted(image, preprocessing):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(image, preprocessing)

    with monkeypatch.context() as patch:
        patch.setattr(images, "to_square", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_folder(tmp_path)
    assert not list(images.cache_dir().rglob("dataset_info.json"))
    assert open_folder(tmp_path).size == 2


def test_the_leftovers_of_a_killed_process_are_not_read(tmp_path):
    fill(tmp_path, ["a.png", "b.png"])
    open_folder(tmp_path)
    (made,) = images.cache_dir().glob("folders/*/folder/1.0.0")
    (held,) = images.cache_dir().glob("decoded/*")
    made.rename(made.parent / "incomplete.X1Y2Z3_1.0.0")  # where TFDS works until it has finished
    held.rename(held.parent / f"incomplete.{held.name}.abc")
    next(made.parent.glob("*/*array_record*")).write_bytes(b"half")
    assert reds(open_folder(tmp_path)) == [0, 1]
