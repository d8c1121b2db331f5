"""Pairwise distances, perceptual path length and the classification accuracy score."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.metrics.classification import accuracy, accuracy_score, train_classifier
from gan_jax.metrics.features import extract
from gan_jax.metrics.path_length import Paths, crop_face, path_length, shrink
from gan_jax.metrics.perceptual import (
    PART,
    Distance,
    compare_pairs,
    l1,
    lpips,
    measure,
    module_distance,
    psnr,
    ssim,
    vgg_distance,
)
from gan_jax.networks.vgg import tap_distance


def pictures(n, seed=0, size=16, channels=3):
    return np.random.RandomState(seed).randint(0, 256, (n, size, size, channels)).astype(np.uint8)


def test_l1_and_psnr_by_hand():
    x, y = np.zeros((1, 4, 4, 1), np.uint8), np.full((1, 4, 4, 1), 51, np.uint8)
    np.testing.assert_allclose(l1(x, y), [0.2])
    np.testing.assert_allclose(psnr(x, y), [-20 * np.log10(0.2)])
    assert psnr(x, x) == [np.inf]


def test_ssim_equals_its_definition_window_by_window():
    x, y = pictures(1, 0, 13, 1), pictures(1, 1, 13, 1)
    y = ((x.astype(np.int32) * 2 + y) // 3).astype(np.uint8)
    a, b = x[0, :, :, 0] / 255.0, y[0, :, :, 0] / 255.0
    bell = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights = np.outer(bell, bell) / bell.sum() ** 2
    values = []
    for i in range(3):
        for j in range(3):
            p, q = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
            mean = lambda v: (weights * v).sum()  # noqa: E731
            mp, mq = mean(p), mean(q)
            covariance = mean((p - mp) * (q - mq))
            top = (2 * mp * mq + 1e-4) * (2 * covariance + 9e-4)
            spread = mean((p - mp) ** 2) + mean((q - mq) ** 2)
            values.append(top / ((mp**2 + mq**2 + 1e-4) * (spread + 9e-4)))
    np.testing.assert_allclose(ssim(x, y), [np.mean(values)], rtol=1e-9)


@pytest.mark.parametrize("measure", [l1, psnr, ssim])
def test_pairs_are_measured_a_few_at_a_time_to_the_same_bits(measure):
    x, y = pictures(PART + 1, 0, 11, 1), pictures(PART + 1, 1, 11, 1)
    alone = np.concatenate([measure(x[[i]], y[[i]]) for i in range(len(x))])
    np.testing.assert_array_equal(measure(x, y), alone)


def test_ssim_of_equals_is_one_and_small_images_are_refused():
    x = pictures(2)
    np.testing.assert_allclose(ssim(x, x), 1.0)
    with pytest.raises(UserError, match="at least 11 x 11"):
        ssim(x[:, :8], x[:, :8])


def test_ssim_of_colours_equals_scikit_image():
    """Its 0.26 with gaussian_weights, sigma 1.5 and use_sample_covariance=False."""
    np.testing.assert_allclose(
        ssim(pictures(1, 0, 24), pictures(1, 1, 24)), [-0.015707925526185402], rtol=1e-6
    )


@pytest.mark.parametrize("function", [l1, psnr, ssim])
def test_pixel_distances_take_bytes_and_floats_alike(function):
    x, y = pictures(2, 0), pictures(2, 1)
    floats = [v.astype(np.float32) / 127.5 - 1.0 for v in (x, y)]
    np.testing.assert_array_equal(function(x, y), function(*floats))
    with pytest.raises(UserError, match="cannot be compared in pairs"):
        function(x, y[:1])


def square(batch=4):
    run = jax.jit(lambda x, y: jnp.sum((x - y) ** 2, axis=(1, 2, 3)))
    return Distance("square", "pixels", run, batch)


def test_measure_does_not_depend_on_the_batch():
    x, y = pictures(7, 0), pictures(7, 1)
    np.testing.assert_allclose(measure(square(2), x, y), measure(square(8), x, y), rtol=1e-6)
    assert measure(square(), x, x).max() == 0.0


def test_module_distance_takes_grey():
    class Red(nn.Module):
        @nn.compact
        def __call__(self, x, y):
            assert x.shape[-1] == 3
            return jnp.abs(x - y)[..., 0].mean(axis=(1, 2))

    x, y = pictures(2, 0, channels=1), pictures(2, 1, channels=1)
    found = measure(module_distance("red", "red", Red(), {}), x, y)
    np.testing.assert_allclose(found, 2.0 * l1(x, y), rtol=1e-5)


def test_pairs_are_compared_under_full_names():
    found = compare_pairs(pictures(3, 0), pictures(3, 1), split="test", distance=square())
    assert list(found) == [
        *(
            "l1_error3-test[pixels]",
            "psnr3-test[pixels]",
            "ssim3-test[pixels]",
            "square3-test[pixels]",
        )
    ]


def test_the_distance_of_an_all_zero_feature_has_a_finite_gradient():
    """ReLU makes all-zero features; their length's root has no derivative at 0."""
    taps = jnp.zeros((2, 1, 2, 3)).at[0, 0, 0].set(1.0)
    slope = jax.grad(lambda taps: tap_distance([taps], None).sum())(taps)
    assert jnp.isfinite(slope).all() and (slope[0, 0, 0] == 0.0).all()
    np.testing.assert_allclose(tap_distance([taps], None), 0.5, rtol=1e-6)  # of one pixel in two


def test_missing_networks_name_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"vgg16.*gan-jax prepare-data weights --from vgg16-"):
        vgg_distance()
    with pytest.raises(UserError, match="no perceptual network 'squeeze'"):
        lpips("squeeze")


# Path length of a linear generator, where it is known.

MATRIX = jnp.asarray(np.random.RandomState(0).normal(size=(6, 8 * 8)), jnp.float32)


@jax.jit
def latents(key, index):
    """Random enough, and compiled in no time."""
    start = (jax.random.key_data(key) % 1000).sum().astype(jnp.float32)
    return jnp.sin(start + jnp.outer(index + 1.0, jnp.arange(1.0, 7.0)) ** 2)


@jax.jit
def linear(key, z):
    noise = (jax.random.key_data(key) % 10).sum().astype(jnp.float32)
    return (z @ MATRIX).reshape(-1, 8, 8, 1) + noise


PATHS = Paths("w", latents, lambda a, b, t: a + t * (b - a), linear)


@pytest.mark.parametrize("full", [True, False])
def test_path_length_of_a_linear_generator_is_known(full):
    key = jax.random.key(3)
    found = path_length(PATHS, square(), key, count=50, full=full, epsilon=0.5)
    a, b = (latents(jax.random.fold_in(key, i), jnp.arange(50)) for i in range(2))
    lengths = np.sort(np.sum(np.asarray((b - a) @ MATRIX) ** 2, axis=1))
    name = f"ppl_w{'full' if full else 'end'}50[square-pixels,eps=0.5]"
    # of 50, the percentiles fall between neighbours: rounded outwards they keep all
    assert found == {name: pytest.approx(lengths.mean(), rel=1e-4)}


def test_path_length_drops_outliers():
    def spiked(key, z):
        images = linear(key, z)
        return images * jnp.where(jnp.arange(len(z)) == 0, 1e3, 1.0)[:, None, None, None]

    key, batch = jax.random.key(0), square(200)
    found = path_length(PATHS._replace(synthesise=spiked), batch, key, count=200, epsilon=0.5)
    plain = path_length(PATHS, batch, key, count=200, epsilon=0.5)
    assert next(iter(found.values())) == pytest.approx(next(iter(plain.values())), rel=0.1)


def test_path_length_does_not_depend_on_progress_and_names_the_crop():
    seen = []
    found = path_length(
        *(PATHS, square(), jax.random.key(0)),
        count=6,
        crop=True,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert list(found) == ["ppl_wfull6[square-pixels,crop]"]
    assert seen == [(4, 6), (6, 6)]
    with pytest.raises(UserError, match="at least 2 pairs"):
        path_length(PATHS, square(), jax.random.key(0), count=1)


def test_face_crop_and_shrink():
    x = jnp.arange(16.0 * 16).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(crop_face(x), x[:, 6:14, 4:12])
    np.testing.assert_array_equal(shrink(x, 16), x)
    np.testing.assert_allclose(shrink(x, 8)[0, 0, 0, 0], x[0, :2, :2, 0].mean())
    assert shrink(x, 4).shape == (1, 4, 4, 1)


# Classification.


def halves(labels, seed=0):
    """Noise with a bright half: left for class 0, right for class 1."""
    images = np.random.RandomState(seed).uniform(-1, 0.5, (len(labels), 12, 12, 1))
    for image, label in zip(images, labels, strict=True):
        image[:, 6 * label : 6 * label + 6] += 0.4
    return images.astype(np.float32)


LABELS = np.arange(60, dtype=np.int32) % 2


STEPS = 25


@pytest.fixture
def small_batch(monkeypatch):
    monkeypatch.setattr("gan_jax.metrics.classification.BATCH", 32)


def test_classifier_learns_and_gives_features(small_batch):
    classifier = train_classifier(halves(LABELS), LABELS, classes=2, steps=STEPS)
    assert accuracy(classifier, halves(LABELS, 1), LABELS) > 0.9
    assert classifier.features.name == "small-cnn-12px"
    assert extract(classifier.features, halves(LABELS))[0].shape == (60, 128)


def test_accuracy_score_of_a_generator_that_ignores_its_label(small_batch):
    found = accuracy_score(
        *(lambda y: halves(y * 0), halves(LABELS, 1), LABELS),
        **{"classes": 2, "count": 100, "split": "test", "steps": STEPS},
    )
    assert list(found) == ["accuracy_score100-test60[small-cnn-12px,steps=25]"]
    assert next(iter(found.values())) < 0.75


def test_classifier_is_the_same_for_the_same_seed(small_batch):
    a, b = (train_classifier(halves(LABELS), LABELS, classes=2, steps=2) for _ in range(2))
    assert a.features.weights == b.features.weights


@pytest.mark.parametrize(
    ("labels", "message"), [(LABELS[:3], "60 images do not match 3 labels"), (LABELS + 1, "0..1")]
)
def test_wrong_labels_are_named(labels, message):
    with pytest.raises(UserError, match=message):
        train_classifier(halves(LABELS), labels, classes=2, steps=1)
