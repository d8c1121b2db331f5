"""Metrics of conditioning and of representations: on samplers whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.evaluation import CLASSES, SIDE, SIDES, context, stripes

from gan_jax.data.source import Source, in_memory
from gan_jax.errors import UserError
from gan_jax.evaluation import captions, labels, pairs, representation
from gan_jax.metrics.linear_probe import linear_probe, pooled
from gan_jax.metrics.names import quantity
from gan_jax.metrics.sharpness import sharpness

RNG = np.random.RandomState(0)


def honest(conditions):
    return stripes(conditions["label"], seed=3) / np.float32(127.5) - 1.0


def deaf(conditions):
    return stripes(0 * conditions["label"], seed=3) / np.float32(127.5) - 1.0


def by_quantity(found):
    return {quantity(name): value for name, value in found.items()}


def test_an_honest_sampler_is_seen_as_asked_and_a_deaf_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    good = by_quantity(labels.label_accuracy(context(honest)))
    bad = by_quantity(labels.label_accuracy(context(deaf)))
    assert good["label_accuracy"] > 0.95
    assert good["real_label_accuracy"] > 0.95
    assert bad["label_accuracy"] == pytest.approx(1 / CLASSES, abs=0.05)
    assert len(list((tmp_path / "classifiers").iterdir())) == 1  # fitted once


def test_the_classifier_is_linear_in_the_features_that_measure(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    (name, *_) = labels.label_accuracy(context(honest))
    assert name == "label_accuracy90[flat,antialias,linear]"


def test_intra_fid_sees_what_fid_cannot():
    """All classes in equal shares under wrong labels: FID is near 0, intra-class FID is not."""

    def wrong(conditions):
        return honest({"label": (conditions["label"] + 1) % CLASSES})

    right, shifted = (
        by_quantity(labels.intra_fid(context(draw)))["intra_fid"] for draw in (honest, wrong)
    )
    assert shifted > 20 * right


@pytest.mark.filterwarnings("ignore:intra_fid")  # of so few samples
def test_intra_fid_asks_for_all_classes_equally_often_however_few_the_samples():
    asked = []

    def draw(conditions):
        asked.extend(conditions["label"].tolist())
        return honest(conditions)

    labels.intra_fid(context(draw, count=2 * CLASSES))
    assert np.bincount(asked).tolist() == [2] * CLASSES


def test_a_generator_without_labels_has_no_label_accuracy():
    plain = context(honest, conditions=lambda source, count: {"index": np.arange(count)})
    with pytest.raises(UserError, match="conditioned on labels"):
        labels.label_accuracy(plain)


def paired(seed, count=12):
    x = np.random.RandomState(seed).randint(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)
    return Source("pairs", in_memory({"x": x, "y": 255 - x}), f"p{seed}", count, None, None, "")


def test_pairs_are_measured_beside_the_copied_input_and_the_mean_colour(monkeypatch):
    sides = {"train": paired(0), "test": paired(1)}

    def conditions(source, count):
        return {"index": np.arange(count), **source.records.take(np.arange(count))}

    def invert(conditions):
        return (255 - conditions["x"]) / np.float32(127.5) - 1.0

    monkeypatch.setattr(pairs.perceptual, "efficientnet_distance", lambda: None)
    options = {"source": sides["train"], "other": sides.__getitem__, "conditions": conditions}
    found = by_quantity(pairs.pairs(context(invert, **options)))
    assert found["l1_error"] == 0.0
    assert found["copy_l1_error"] > found["colour_l1_error"] > 0.2
    assert found["ssim"] == pytest.approx(1.0)
    assert found["kid"] < found["copy_kid"]


def test_retrieval_finds_the_own_caption_of_real_pictures_only():
    text = np.eye(CLASSES, dtype=np.float32)[np.arange(240) % CLASSES]

    def described(name, images_of):
        return images_of._replace(
            records=in_memory(
                {
                    **images_of.records.take(np.arange(images_of.size)),
                    "text": text[: images_of.size],
                }
            )
        )

    sides = {name: described(name, one) for name, one in SIDES.items()}

    def conditions(source, count):
        rows = source.records.take(np.arange(count))
        return {"index": np.arange(count), "text": rows["text"], "label": rows["label"]}

    options = {"source": sides["train"], "other": sides.__getitem__, "conditions": conditions}
    good = by_quantity(captions.r_precision(context(honest, **options)))
    bad = by_quantity(captions.r_precision(context(deaf, **options)))
    assert good["r_precision"] == pytest.approx(good["real_r_precision"], abs=0.05)
    assert good["r_precision"] > 2.0 * bad["r_precision"]
    assert good["r_precision"] > 0.9  # of three captions, which many pictures share


def test_retrieval_of_exact_vectors_is_certain_and_of_noise_is_chance():
    text, own = RNG.normal(size=(300, 16)), np.arange(300)
    assert captions._retrieved(text - text.mean(0), text, own, 20) == 1.0
    noise = RNG.normal(size=(300, 16))
    assert captions._retrieved(noise, text, own, 20) == pytest.approx(1 / 20, abs=0.04)


def test_a_caption_that_pictures_share_is_no_rival_of_itself():
    text, own = RNG.normal(size=(4, 16)), np.arange(400) % 4
    assert captions._retrieved(text[own] - text.mean(0), text, own, 4) == 1.0
    noise = RNG.normal(size=(400, 16))
    assert captions._retrieved(noise, text, own, 4) == pytest.approx(1 / 4, abs=0.06)


@pytest.mark.parametrize("metric", [labels.accuracy_score, labels.augmentation])
def test_what_is_learned_of_samples_needs_a_generator_that_is_told_a_label(metric):
    unlabelled = {"conditions": lambda source, count: {"index": np.arange(count)}}
    with pytest.raises(UserError, match="conditioned on labels"):
        metric(context(honest, **unlabelled))


def test_blur_is_less_sharp_and_a_constant_has_none():
    images = RNG.randint(0, 256, (4, 8, 8, 1)).astype(np.uint8)
    blurred = (images // 2 + np.roll(images, 1, axis=2) // 2).astype(np.uint8)
    assert 0.0 == sharpness(0 * images) < sharpness(blurred) < sharpness(images)


def test_the_laplacian_of_a_single_bright_pixel():
    """-4 there and 1 at its four neighbours: the variance of 36 values by hand."""
    image = np.zeros((1, 8, 8, 1), np.uint8)
    image[0, 4, 4] = 1
    mean = 0.0 / 36
    assert sharpness(image) == pytest.approx((16 + 4) / 36 - mean**2)


def test_maps_are_pooled_to_a_grid_of_four():
    """Radford et al. 2016, section 5.1: max-pooling each layer to a 4 x 4 spatial grid."""
    x = jnp.arange(64.0).reshape(1, 8, 8, 1)
    grid = pooled([x, x[:, :2, :2]])
    assert grid.shape == (1, 16 + 4)
    np.testing.assert_array_equal(grid[0, :4], [9.0, 11.0, 13.0, 15.0])


def test_a_linear_probe_separates_what_is_separable_and_guesses_at_noise():
    labels = np.arange(200) % 4
    x = np.eye(4)[labels] + 0.1 * RNG.normal(size=(200, 4))
    assert linear_probe(x[:100], labels[:100], x[100:], labels[100:], classes=4) == 1.0
    noise = RNG.normal(size=(200, 4))
    found = linear_probe(noise[:100], labels[:100], noise[100:], labels[100:], classes=4)
    assert found < 0.5


def test_a_network_without_features_cannot_be_probed():
    from gan_jax.game import Net
    from gan_jax.networks import mlp

    net = Net(mlp.Discriminator((4,)), (jax.ShapeDtypeStruct((2, SIDE, SIDE, 1), jnp.float32),))
    eye = representation.ProbeNetwork(net, net.init(jax.random.key(0)), lambda classes: net)
    with pytest.raises(UserError, match="Dcgan discriminator, not Discriminator"):
        representation.activations(eye, stripes(np.arange(3)))


def test_augmentation_compares_three_classifiers(monkeypatch):
    monkeypatch.setattr(labels, "STEPS", 60)
    found = by_quantity(labels.augmentation(context(deaf)))
    assert found["accuracy_real"] > 0.9
    assert found["accuracy_generated"] < 0.6  # every label's samples look alike
