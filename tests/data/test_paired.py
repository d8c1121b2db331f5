"""Folders and zips of two domains, in pairs and without."""

import io
import itertools
import zipfile
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers.evaluation import FEATURES
from PIL import Image

from gan_jax.data.builders import base
from gan_jax.data.paired import halves, swap_sides
from gan_jax.data.pipeline import batches, eval_batches, open_source
from gan_jax.data.source import Source, in_memory
from gan_jax.errors import UserError
from gan_jax.evaluation import registry
from gan_jax.metrics import compare
from gan_jax.metrics.frechet import moments


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))


def write(folder, name, red, size=(12, 9)):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (red, 0, 0)).save(path)


def two_folders(folder, a="A", b="B", names="abc", first=0):
    """Pictures whose red is their number in A, and 100 more in B."""
    for index, name in enumerate(names, first):
        write(folder, f"{a}/{name}.png", index)
        write(folder, f"{b}/{name}.bmp", 100 + index)
    return folder


def side_by_side(folder, names=("a.png", "b.png"), width=24, turn=None):
    for index, name in enumerate(names):
        pixels = np.zeros((8, width, 3), np.uint8)
        pixels[:, : width // 2, 0], pixels[:, width // 2 :, 0] = index, 100 + index
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image, exif = Image.fromarray(pixels), Image.Exif()
        if turn is not None:
            image, exif[0x0112] = image.transpose(turn), 6
        image.save(path, exif=exif)
    return folder


def opened(kind, path, **change):
    settings: dict[str, Any] = {"resolution": 8, "channels": 3} | change
    return open_source(kind, path=str(path), **settings)


def reds(source):
    whole = source.records.take(np.arange(source.size))
    assert whole.keys() == {"x", "y"}
    x, y = (whole[one][:, 4, 4, 0].tolist() for one in "xy")
    return sorted(zip(x, y, strict=True))


def refused(kind, path, words, **change):
    with pytest.raises(UserError, match=words) as caught:
        opened(kind, path, **change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("a", "b"),
    [("A", "B"), ("trainA", "trainB"), ("train/A", "train/B"), ("A/train", "B/train"),
     ("maps/A", "maps/B"), ("A/sub", "B/sub")],
)  # fmt: skip
def test_two_folders_are_matched_by_name(tmp_path, a, b):
    source = opened("pairs", two_folders(tmp_path, a, b))
    assert reds(source) == [(0, 100), (1, 101), (2, 102)]
    assert source.records[0]["x"].dtype == np.uint8 and source.num_classes is None


def test_the_splits_of_two_folders(tmp_path):
    two_folders(tmp_path, "train/A", "train/B")
    two_folders(tmp_path, "test/A", "test/B", names="xy", first=50)
    assert reds(opened("pairs", tmp_path)) == [(0, 100), (1, 101), (2, 102)]
    assert reds(opened("pairs", tmp_path, split="test")) == [(50, 150), (51, 151)]


def test_side_by_side_pictures_are_cut_in_the_middle(tmp_path):
    assert reds(opened("pairs", side_by_side(tmp_path))) == [(0, 100), (1, 101)]


def test_the_splits_of_side_by_side_pictures(tmp_path):
    side_by_side(tmp_path, ("train/a.png", "train/b.png", "val/c.png"))
    assert opened("pairs", tmp_path).size == 2
    assert reds(opened("pairs", tmp_path, split="val")) == [(2, 102)]


def test_a_picture_is_turned_upright_before_it_is_cut(tmp_path):
    source = opened("pairs", side_by_side(tmp_path, turn=Image.Transpose.ROTATE_90))
    assert reds(source) == [(0, 100), (1, 101)]


def test_a_zip_of_pairs_is_a_folder(tmp_path):
    two_folders(tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in (tmp_path / "set").rglob("*.*"):
            archive.write(file, file.relative_to(tmp_path))
    assert reds(opened("pairs", tmp_path / "set.zip")) == [(0, 100), (1, 101), (2, 102)]


def test_files_without_counterpart_are_counted_and_named(tmp_path):
    two_folders(tmp_path)
    write(tmp_path, "A/e.png", 9)
    write(tmp_path, "A/d.png", 9)
    words = (
        r"'train' of .* has 5 files in A and 3 in B; 2 of A have none in B, the first: 'A/d.png'"
    )
    refused("pairs", tmp_path, words)


def test_a_counterpart_that_is_missing_in_a_is_named(tmp_path):
    write(two_folders(tmp_path), "B/z.png", 9)
    refused("pairs", tmp_path, "1 of B have none in A, the first: 'B/z.png'")


def test_two_files_of_one_name_are_refused(tmp_path):
    write(two_folders(tmp_path), "A/a.jpg", 9)
    refused("pairs", tmp_path, "'A/a.jpg' and 'A/a.png' in .* have the same name")


@pytest.mark.parametrize("kind", ["pairs", "unpaired"])
def test_one_folder_alone_is_refused(tmp_path, kind):
    write(tmp_path, "trainA/a.png", 0)
    refused(kind, tmp_path, r"split 'train' of .* has no images on side B")


@pytest.mark.parametrize("kind", ["pairs", "unpaired"])
def test_an_empty_folder_is_refused(tmp_path, kind):
    refused(kind, tmp_path, r"no images in .*: it is empty")


def test_an_odd_width_is_refused_by_name(tmp_path):
    side_by_side(tmp_path, ("a.png",))
    side_by_side(tmp_path, ("odd.png",), width=25)
    refused("pairs", tmp_path, r"cannot read the image .*odd\.png: its width 25 is odd")


def test_bad_pairs_are_skipped_whole(tmp_path, caplog):
    two_folders(tmp_path)
    (tmp_path / "B/b.bmp").write_bytes(b"no image")
    refused("pairs", tmp_path, r"cannot read the image .*B/b\.bmp: it is not an image")
    assert reds(opened("pairs", tmp_path, on_bad_image="skip")) == [(0, 100), (2, 102)]
    assert "skipped 1 of 6 images: B/b.bmp (it is not an image)" in caplog.text


@pytest.mark.parametrize("name", ["cats/a.png", "train/cats/a.png"])
def test_an_unknown_layout_is_refused_by_the_first_file(tmp_path, name):
    write(tmp_path, name, 0)
    write(tmp_path, "b.png", 0)
    refused("pairs", tmp_path, f"unknown layout of .*: '{name}' is not in A/ and B/")


def test_a_file_beside_the_two_folders_is_refused(tmp_path):
    write(two_folders(tmp_path), "stray.png", 0)
    refused("pairs", tmp_path, "unknown layout of .*: 'stray.png' is not in")
    refused("unpaired", tmp_path, "unknown layout of .*: 'stray.png' is not in")


@pytest.mark.parametrize("kind", ["pairs", "unpaired"])
def test_a_path_is_needed_and_options_are_checked(tmp_path, kind):
    with pytest.raises(UserError, match=f"data set '{kind}' needs the path"):
        open_source(kind)
    refused(kind, tmp_path / "absent", "no folder or zip of images at")
    refused(kind, two_folders(tmp_path), "did you mean 'train", split="tran")


def test_a_changed_half_is_prepared_anew(tmp_path):
    before = opened("pairs", two_folders(tmp_path))
    write(tmp_path, "B/b.bmp", 200)
    after = opened("pairs", tmp_path)
    assert before.fingerprint != after.fingerprint and (1, 200) in reds(after)


def numbers(count, first=0):
    """Pictures [4 4 3] of whose top row of reds the first is the number and the others zero."""
    pixels = np.zeros((count, 4, 4, 3), np.uint8)
    pixels[:, 0, 0, 0] = first + np.arange(count)
    return pixels


def test_flip_mirrors_both_pictures_of_a_pair_by_one_coin():
    records = in_memory({"x": numbers(100, 1), "y": numbers(100, 101)})
    source = Source("pairs", records, "0", 100, None, None, "")
    stream = batches(source, batch_size=100, seed=0, flip=True)
    batch = next(stream)
    stream.close()
    mirrored = {one: batch[one][:, 0, 3, 0] > batch[one][:, 0, 0, 0] for one in "xy"}
    np.testing.assert_array_equal(mirrored["y"], mirrored["x"])
    assert 30 < mirrored["y"].sum() < 70
    np.testing.assert_array_equal(
        batch["y"].max(axis=(1, 2, 3)), 100 + batch["x"].max(axis=(1, 2, 3))
    )


@pytest.fixture
def unpaired(tmp_path):
    for index in range(9):
        write(tmp_path, f"trainA/{index}.png", 1 + index)
    for index in range(4):
        write(tmp_path, f"trainB/other{index}.png", 101 + index)
    two_folders(tmp_path, "testA", "testB", names="xyz")
    return opened("unpaired", tmp_path)


def drawn(source, count, **options):
    stream = batches(source, **options)
    taken = list(itertools.islice(stream, count))
    stream.close()
    return {one: np.concatenate([batch[one][:, 4, 4, 0] for batch in taken]) for one in "xy"}


def test_domains_of_any_sizes_open_and_the_larger_is_the_epoch(unpaired):
    assert unpaired.size == 9 and [len(side) for side in unpaired.sides] == [9, 4]


def test_each_domain_goes_through_permutations_of_its_own(unpaired):
    taken = drawn(unpaired, 4, batch_size=9, seed=0)
    x, y = taken["x"].reshape(4, 9), taken["y"].reshape(9, 4)
    for epoch in x:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(1, 10))
    for epoch in y:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(101, 105))
    assert len({epoch.tobytes() for epoch in y}) > 3
    assert len(set(zip(taken["x"].tolist(), taken["y"].tolist(), strict=True))) > 20  # of 36


def test_unpaired_batches_are_pure_in_seed_and_step(unpaired):
    whole = drawn(unpaired, 6, batch_size=4, seed=5)
    resumed = drawn(unpaired, 3, batch_size=4, seed=5, start=3)
    shares = [
        drawn(unpaired, 6, batch_size=4, seed=5, process_index=index, process_count=2)
        for index in range(2)
    ]
    for one in "xy":
        np.testing.assert_array_equal(resumed[one], whole[one][12:])
        joined = np.concatenate([share[one].reshape(6, 2) for share in shares], axis=1)
        np.testing.assert_array_equal(joined.ravel(), whole[one])


def test_each_domain_is_mirrored_by_a_coin_of_its_own():
    sides = (in_memory({"x": numbers(64, 1)}), in_memory({"y": numbers(64, 1)}))
    records = in_memory({"x": numbers(64, 1), "y": numbers(64, 1)})
    source = Source("unpaired", records, "0", 64, None, None, "", sides=sides)
    stream = batches(source, batch_size=64, seed=1, flip=True)
    batch = next(stream)
    stream.close()
    x, y = (batch[one][:, 0, 3, 0] > 0 for one in "xy")
    assert 16 < (x == y).sum() < 48


def test_evaluation_goes_once_through_the_larger_domain(unpaired):
    taken = [batch["y"][:, 4, 4, 0] for batch in eval_batches(unpaired, 4)]
    y = np.concatenate(taken)
    assert len(y) == 9
    np.testing.assert_array_equal(y[4:8], y[:4])


def test_the_other_split_of_two_domains(unpaired, tmp_path):
    assert opened("unpaired", tmp_path, split="test").size == 3
    assert opened("unpaired", tmp_path, split="test").fingerprint != unpaired.fingerprint
    assert opened("unpaired", tmp_path, split="train[:50%]").size == 4


def test_halves_are_the_pictures_of_each_side():
    pixels = np.zeros((4, 16, 3), np.uint8)
    pixels[:, 8:] = 255
    left, right = map(np.asarray, halves(Image.fromarray(pixels)))
    assert left.shape == right.shape == (4, 8, 3)
    assert (left == 0).all() and (right == 255).all()


def one(source, **options):
    stream = batches(source, **options)
    batch = next(stream)
    stream.close()
    return batch


def alike(count=60):
    """Rows that all are the same noise, which looks different in each window."""
    picture = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    return np.repeat(picture, count, axis=0)


def test_both_pictures_of_a_pair_show_the_same_window():
    records = in_memory({"x": alike(), "y": alike()})
    source = Source("pairs", records, "0", 60, None, None, "")
    batch = one(source, batch_size=60, seed=0, flip=True, jitter=4)
    np.testing.assert_array_equal(batch["x"], batch["y"])
    assert len({picture.tobytes() for picture in batch["x"]}) > 20  # of 2 * 5 * 5


def test_each_domain_has_windows_of_its_own():
    sides = (in_memory({"x": alike()}), in_memory({"y": alike()}))
    records = in_memory({"x": alike(), "y": alike()})
    source = Source("unpaired", records, "0", 60, None, None, "", sides=sides)
    batch = one(source, batch_size=60, seed=0, jitter=4)
    same = (batch["x"] == batch["y"]).all(axis=(1, 2, 3))
    assert same.sum() < 12  # one in 25 by chance


def test_the_other_direction_exchanges_the_pictures_of_pairs(tmp_path):
    two_folders(tmp_path)
    source = opened("pairs", tmp_path, direction="y2x")
    assert reds(source) == [(100, 0), (101, 1), (102, 2)]
    plain, named = opened("pairs", tmp_path), opened("pairs", tmp_path, direction="x2y")
    assert plain.fingerprint == named.fingerprint != source.fingerprint


def test_the_other_direction_exchanges_the_domains(unpaired, tmp_path):
    turned = opened("unpaired", tmp_path, direction="y2x")
    assert turned.size == 9 and turned.fingerprint != unpaired.fingerprint
    here, there = (drawn(one, 4, batch_size=6, seed=2) for one in (unpaired, turned))
    np.testing.assert_array_equal(here["x"], there["y"])
    np.testing.assert_array_equal(here["y"], there["x"])
    np.testing.assert_array_equal(
        turned.records.take(np.arange(9))["x"], unpaired.records.take(np.arange(9))["y"]
    )


def test_pictures_without_counterpart_have_no_direction(tmp_path):
    write(tmp_path, "a.png", 0)
    refused("folder", tmp_path, "exchanges x and y, but data set 'folder' has", direction="y2x")
    refused("folder", tmp_path, "unknown direction 'b2a'; did you mean", direction="b2a")


COUNTS = {"trainA": 6, "trainB": 4, "testA": 2, "testB": 3}


@pytest.fixture(scope="module")
def horses(tmp_path_factory):
    """A prepared set laid out as TFDS's cycle_gan is; reds of 100 and more are domain B."""
    folder = tmp_path_factory.mktemp("tfds")
    image = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
    label = tfds.features.ClassLabel(names=["A", "B"])

    def examples(split):
        side = split[-1]
        first = (100 if side == "B" else 0) + (50 if split.startswith("test") else 0)
        for index in range(COUNTS[split]):
            stream = io.BytesIO()
            Image.new("RGB", (9, 7), (first + 5 * index, 0, 0)).save(stream, "png")
            yield f"{index}", {"image": stream.getvalue(), "label": side}

    declared = base.ImageSet(
        name="cycle_gan",
        version="3.0.0",
        description="tests",
        licence="none",
        citation="",
        homepage="",
        features=lambda: {"image": image, "label": label},
        splits=lambda raw: {
            name: base.Split(count, lambda name=name: examples(name))
            for name, count in COUNTS.items()
        },
    )
    base.prepare(declared, data_dir=folder)
    (folder / "cycle_gan" / "horse2zebra").mkdir()
    (folder / "cycle_gan" / "3.0.0").rename(folder / "cycle_gan" / "horse2zebra" / "3.0.0")
    return str(folder)


def horse(folder, split="train", **change):
    settings: dict[str, Any] = {"resolution": 8, "channels": 3, "split": split} | change
    return open_source("cycle_gan/horse2zebra", data_dir=folder, **settings)


@pytest.mark.parametrize(
    ("split", "sizes"),
    [("train", (6, 4)), ("test", (2, 3)), ("train[:50%]", (3, 2)), ("train+test", (8, 7))],
)
def test_domains_that_are_splits_open_unpaired(horses, split, sizes):
    source = horse(horses, split)
    assert tuple(len(side) for side in source.sides) == sizes
    assert source.size == max(sizes)
    assert source.num_classes is None and source.class_names is None
    whole = source.records.take(np.arange(max(sizes)))
    assert whole.keys() == {"x", "y"}
    assert whole["x"][..., 0].max() < 90 < whole["y"][..., 0].min()


def test_domains_that_are_splits_are_drawn_and_turned(horses):
    batch = one(horse(horses), batch_size=6, seed=0, flip=True, jitter=2)
    assert batch["x"].shape == batch["y"].shape == (6, 8, 8, 3)
    turned = one(horse(horses, direction="y2x"), batch_size=6, seed=0, flip=True, jitter=2)
    np.testing.assert_array_equal(turned["x"], batch["y"])
    marks = {horse(horses, split).fingerprint for split in ("train", "test", "train[:50%]")}
    assert len(marks) == 3


def test_one_domain_alone_is_an_ordinary_set(horses):
    source = horse(horses, "trainB")
    assert source.size == 4 and not source.sides and source.class_names == ("A", "B")


def test_an_unknown_split_of_domains_is_named(horses):
    with pytest.raises(UserError, match="no split 'tran'; did you mean 'train"):
        horse(horses, "tran")


def test_a_turned_domains_reals_are_all_read_and_each_once(unpaired, monkeypatch):
    seen = {}

    def reference(real, network, **options):
        seen["reals"] = np.concatenate([batch[:, 4, 4, 0] for batch in real()])
        return compare.Reference("flat", "train", moments(np.eye(3)), np.eye(3))

    monkeypatch.setattr(compare, "reference", reference)
    monkeypatch.setattr(compare, "compare", lambda *_, **more: {"fid": more["count"]})
    for source, reals, fakes in ((unpaired, 4, 9), (swap_sides(unpaired), 9, 4)):
        subject = registry.EvalContext(
            draw=lambda conditions: np.zeros(0),
            conditions=lambda source, count: {},
            source=source,
            other={"train": source}.__getitem__,
            real="y",
            split="train",
            count=100,
            features=lambda: FEATURES,
        )
        assert list(registry.measure(["fid"], subject)) == [{"fid": fakes}]
        assert len(set(seen["reals"].tolist())) == len(seen["reals"]) == reals
