"""What is held out of folders and zips that have no test split."""

import hashlib
import json
import shutil
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_jax import config
from gan_jax.build.data import held_out as shown
from gan_jax.build.experiment import build
from gan_jax.data import held_out
from gan_jax.data.pipeline import open_source
from gan_jax.errors import NoSplit, UserError
from gan_jax.training.loop import train

MANY = 60


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))


def picture(number, size=(12, 9)):
    """A picture of one colour that says its number, at every resolution."""
    return Image.new("RGB", size, (number % 256, number // 256, 7))


def fill(folder, numbers, name="{}.png"):
    for number in numbers:
        path = folder / name.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    return folder


def opened(path, split="train", name="folder", **change):
    settings: dict[str, Any] = {"resolution": 8, "channels": 3, "split": split} | change
    return open_source(name, path=str(path), **settings)


def numbers(source, column="image"):
    side = source.sides["xy".index(column)] if source.sides else source.records
    red, green = np.moveaxis(
        side.take(np.arange(len(side)))[column][:, 4, 4, :2].astype(int), -1, 0
    )
    return sorted((red + 256 * green).tolist())


def halves(path, **change):
    return tuple(numbers(opened(path, split, **change)) for split in ("train", "test"))


# --- the choice -----------------------------------------------------------------------------------


def digests(count, first=0):
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(first, first + count)]


def held(some):
    return {one for one, out in zip(some, held_out.are_held_out(some), strict=True) if out}


def test_a_tenth_is_held_out():
    assert 900 < len(held(digests(10_000))) < 1100


def test_more_pictures_move_none_that_are_there():
    some = digests(2000)
    assert held(some) == held(digests(4000)) & set(some)


def test_the_order_and_copies_change_nothing():
    some = digests(200)
    assert held(some[::-1] + some[:50]) == held(some)


def test_of_large_sets_at_most_about_five_thousand_are_held_out():
    small, large = held(digests(49_000)), held(digests(120_000))
    assert 4500 < len(small) < 5300 and 2500 < len(large) < 5000
    assert large & set(digests(49_000)) < small


def test_at_least_one_is_held_out_where_no_hash_is_small():
    some = [f"{n:08x}" for n in range(2**31, 2**31 + held_out.MIN_PICTURES)]
    assert held(some) == {some[0]}


def test_of_few_different_pictures_none_is_held_out():
    few = digests(held_out.MIN_PICTURES - 1)
    assert not held(few) and not held(few * 3) and held([*few, "f" * 64])


def test_size_counts_as_content_and_the_format_does_not(tmp_path):
    image = Image.effect_noise((9, 9), 50)
    image.save(tmp_path / "a.png")
    image.convert("RGB").save(tmp_path / "a.bmp")
    files = [Image.open(tmp_path / name) for name in ("a.png", "a.bmp")]
    assert len({held_out.digest(one) for one in files}) == 1
    assert held_out.digest(picture(1, (4, 9))) != held_out.digest(picture(1, (9, 4)))


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_without_a_test_split_holds_some_out(tmp_path, caplog):
    rest, out = halves(fill(tmp_path, range(MANY)))
    assert sorted(rest + out) == list(range(MANY)) and 1 <= len(out) < 20
    assert f"has no test split: {len(out)} are held out as 'test'" in caplog.text
    assert numbers(opened(tmp_path, "train+test")) == list(range(MANY))
    assert opened(tmp_path, "train[:50%]").size == round(len(rest) / 2)


def test_neither_names_nor_other_pictures_move_one(tmp_path):
    rest, out = halves(fill(tmp_path / "a", range(MANY)))
    assert halves(fill(tmp_path / "b", range(MANY), "sub/other{}.bmp")) == (rest, out)
    more = halves(fill(tmp_path / "a", range(MANY, 2 * MANY)))
    assert set(rest) <= set(more[0]) and set(out) <= set(more[1])


def test_a_picture_that_is_there_twice_is_on_one_side(tmp_path):
    rest, out = halves(fill(tmp_path, range(MANY)))
    fill(tmp_path, range(MANY), "copy of {}.bmp")
    assert halves(tmp_path) == (sorted(2 * rest), sorted(2 * out))


def test_the_same_are_held_out_at_every_look(tmp_path):
    expected = halves(fill(tmp_path, range(MANY)))
    assert halves(tmp_path, resolution=16, resize="box", crop="none") == expected


def test_a_zip_holds_out_what_its_folder_does(tmp_path):
    fill(tmp_path / "set", range(MANY))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in (tmp_path / "set").iterdir():
            archive.write(file, file.name)
    assert halves(tmp_path / "set.zip") == halves(tmp_path / "set")


def test_a_training_folder_alone_holds_some_out(tmp_path):
    assert halves(fill(tmp_path / "set" / "train", range(MANY)).parent) == halves(
        fill(tmp_path / "other", range(MANY))
    )


def test_labels_stay_with_what_is_held_out(tmp_path):
    for label in ("cat", "dog"):
        fill(tmp_path / label, range(100 * (label == "dog"), 100 * (label == "dog") + MANY))
    test = opened(tmp_path, "test")
    whole = test.records.take(np.arange(test.size))
    np.testing.assert_array_equal(whole["image"][:, 0, 0, 0] >= 100, whole["label"])
    assert test.class_names == ("cat", "dog") and set(whole["label"]) == {0, 1}


def test_a_class_without_training_pictures_is_named(tmp_path, caplog):
    out = halves(fill(tmp_path / "set", range(MANY)))[1]
    fill(tmp_path / "classes" / "many", range(MANY))
    fill(tmp_path / "classes" / "single", [out[0]])  # the copy is held out as well
    opened(tmp_path / "classes")
    assert "no training image of class 'single'" in caplog.text


def test_bad_images_are_left_out_of_both_sides(tmp_path, caplog):
    fill(tmp_path, range(MANY))
    expected = halves(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"cannot read the image .*bad\.png"):
        opened(tmp_path)
    assert halves(tmp_path, on_bad_image="skip") == expected
    assert "skipped 1 of 61 images: bad.png" in caplog.text


# Of commit a745263, before anything was held out: with train/ and test/, train/ and val/, or few.
BEFORE = {
    ("own", "train"): "f71385267e227cdb",
    ("own", "test"): "304bf2b1c2239203",
    ("few", "train"): "98c7fa87ab2cf3d9",
    ("val", "train"): "1497651d04561662",
    ("val", "val"): "a31adb7ce53646d5",
}


@pytest.mark.parametrize(("kind", "split"), BEFORE)
def test_folders_of_which_nothing_is_held_out_keep_their_fingerprints(tmp_path, kind, split):
    layouts = {"own": {"train": 30, "test": 3}, "few": {"": 19}, "val": {"train": 30, "val": 3}}
    for folder, count in layouts[kind].items():
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        first = 0 if folder in ("train", "") else 100
        for i in range(count):
            Image.new("RGB", (12, 9), (first + i, 2 * i, 7)).save(path / f"{i}.png")
    assert opened(tmp_path, split).fingerprint == BEFORE[kind, split]


@pytest.mark.parametrize("folder", ["test", "val", "valid", "validation"])
def test_a_split_of_ones_own_is_the_test_split(tmp_path, folder, caplog):
    fill(tmp_path / "train", range(MANY))
    fill(tmp_path / folder, range(100, 105))
    assert halves(tmp_path) == (list(range(MANY)), list(range(100, 105)))
    assert opened(tmp_path, "train+test[:2]").size == MANY + 2
    assert "held out" not in caplog.text


def test_the_test_split_comes_before_the_validation_split(tmp_path):
    for first, folder in ((0, "train"), (100, "val"), (200, "test")):
        fill(tmp_path / folder, range(first, first + 3))
    assert numbers(opened(tmp_path, "test")) == [200, 201, 202]


def test_of_few_pictures_all_are_trained_on_and_a_line_says_so(tmp_path, caplog):
    fill(tmp_path, range(held_out.MIN_PICTURES - 1))
    assert opened(tmp_path).size == held_out.MIN_PICTURES - 1
    assert "no test split, and of fewer than 20 different images none is held out" in caplog.text
    with pytest.raises(NoSplit, match="no split 'test': of fewer than 20") as caught:
        opened(tmp_path, "test")
    assert "\n" not in str(caught.value)


def test_of_copies_of_few_pictures_none_is_held_out(tmp_path):
    for name in "abcd":
        fill(tmp_path / name, range(10))
    assert opened(tmp_path).size == 40
    with pytest.raises(NoSplit, match="different images"):
        opened(tmp_path, "test")


# --- two domains, pairs, captions -----------------------------------------------------------------


def test_pairs_of_one_input_are_on_one_side(tmp_path):
    """Each input has two targets."""
    for copy in "ab":
        fill(tmp_path / "A", range(MANY), copy + "{}.png")
        for n in range(MANY):
            path = tmp_path / "B" / f"{copy}{n}.png"
            path.parent.mkdir(exist_ok=True)
            picture(300 + 2 * n + (copy == "b")).save(path)
    sides = {split: opened(tmp_path, split, "pairs") for split in ("train", "test")}
    x = {split: set(numbers(source, "x")) for split, source in sides.items()}
    assert x["train"].isdisjoint(x["test"]) and x["train"] | x["test"] == set(range(MANY))
    for split, source in sides.items():
        assert source.size == 2 * len(x[split])


def test_halves_are_held_out_as_the_pictures_of_two_folders(tmp_path):
    for n in range(MANY):
        whole = Image.new("RGB", (24, 9))
        whole.paste(picture(n), (0, 0))
        whole.paste(picture(300 + n), (12, 0))
        for folder, image in (("A", picture(n)), ("B", picture(300 + n)), ("", whole)):
            path = tmp_path / ("both" if folder else "single") / folder / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    both, single = (
        [numbers(opened(tmp_path / kind, split, "pairs"), "x") for split in ("train", "test")]
        for kind in ("both", "single")
    )
    assert both == single and both[1]


def test_each_domain_holds_some_out_by_itself(tmp_path):
    fill(tmp_path / "trainA", range(MANY))
    fill(tmp_path / "trainB", range(100, 130))
    rest, out = (opened(tmp_path, split, "unpaired") for split in ("train", "test"))
    for column, expected in (("x", range(MANY)), ("y", range(100, 130))):
        assert sorted(numbers(rest, column) + numbers(out, column)) == list(expected)
        assert numbers(out, column)
    fill(tmp_path / "trainB", range(130, 160))  # moves none of the other domain
    assert numbers(opened(tmp_path, "test", "unpaired"), "x") == numbers(out, "x")


def test_of_domains_with_few_pictures_none_is_held_out(tmp_path, caplog):
    fill(tmp_path / "A", range(MANY))
    fill(tmp_path / "B", range(100, 110))
    assert [len(side) for side in opened(tmp_path, "train", "unpaired").sides] == [MANY, 10]
    with pytest.raises(NoSplit, match="no split 'test'"):
        opened(tmp_path, "test", "unpaired")


def test_captions_stay_with_what_is_held_out(tmp_path):
    fill(tmp_path, range(MANY))
    lines = [{"file": f"{n}.png", "caption": f"number {n}"} for n in range(MANY)]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    out = opened(tmp_path, "test", "captioned")
    assert out.captions is not None
    assert sorted(out.captions()) == sorted(f"number {n}" for n in numbers(out))
    shutil.rmtree(tmp_path / "held", ignore_errors=True)
    assert numbers(out) == numbers(opened(fill(tmp_path / "held", range(MANY)), "test"))


# --- runs -----------------------------------------------------------------------------------------


def small(recipe, path):
    changes = {"data.path": str(path), "run.devices": 1}
    return config.tiny(config.change(config.recipe(f"experiments/{recipe}"), changes))


def test_a_run_that_trained_on_all_is_not_resumed_on_less(tmp_path, monkeypatch):
    experiment = small("dcgan.py:folder", fill(tmp_path / "set", range(MANY)))
    with monkeypatch.context() as before:
        before.setattr(held_out, "MIN_PICTURES", 1000)
        train(experiment, tmp_path / "run")
    with pytest.raises(UserError, match="differs in the content of data set 'folder'") as caught:
        train(experiment, tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_what_is_shown_of_few_pairs_was_trained_on_and_a_line_says_so(tmp_path, caplog):
    for n in range(10):
        path = tmp_path / "set" / f"{n}.png"
        path.parent.mkdir(exist_ok=True)
        picture(n, (24, 12)).save(path)
    built = build(small("pix2pix.py:facades", tmp_path / "set"))
    source = opened(tmp_path / "set", name="pairs")
    assert shown(built, source) is source
    assert "what is shown and measured was trained on" in caplog.text
