"""Metrics of unpaired translation, on translators whose answer is known."""

import numpy as np
import pytest
from helpers.evaluation import FEATURES, SIDE, context

from gan_jax.data.pipeline import as_unpaired
from gan_jax.data.source import Source, in_memory
from gan_jax.evaluation import translation
from gan_jax.evaluation.spec import better
from gan_jax.evaluation.translation import domains
from gan_jax.metrics.colour import colours, match_colours
from gan_jax.metrics.names import quantity

COLOURS = np.array([[0.6, 0.3, 0.0], [0.1, 0.5, 0.1], [0.0, 0.2, 0.5]])


def recoloured(pictures):
    return np.rint(pictures @ COLOURS + 20.0).astype(np.uint8)


def source(seed, count=40):
    x = np.random.RandomState(seed).randint(0, 200, (count, SIDE, SIDE, 3)).astype(np.uint8)
    made = in_memory({"x": x, "y": recoloured(x)})
    return Source("domains", made, f"d{seed}", count, None, None, "")


TRAIN, TEST = as_unpaired(source(0)), source(1)


def answer(direction, pictures):
    """The true translation x2y; the way back inverts it."""
    bytes_ = (pictures + 1.0) * 127.5
    if direction == "x2y":
        return recoloured(np.rint(bytes_)) / np.float32(127.5) - 1.0
    return ((bytes_ - 20.0) @ np.linalg.inv(COLOURS) / 127.5 - 1.0).astype(np.float32)


def measured(test, monkeypatch, directions=("x2y", "y2x")):
    monkeypatch.setattr(translation.perceptual, "efficientnet_distance", lambda: None)
    options = {"source": test, "split": "test", "translate": answer, "count": 1000}
    options["directions"] = directions
    sides = {"train": TRAIN, "test": test}
    found = translation.translations(
        context(None, other=sides.__getitem__, **options)._replace(features=lambda: FEATURES)
    )
    return {quantity(name): value for name, value in found.items()}


def test_the_true_translation_is_told_from_what_learned_nothing(monkeypatch):
    found = measured(TEST, monkeypatch)
    assert found["x2y_l1_error"] == 0.0 and found["x2y_ssim"] == pytest.approx(1.0)
    assert found["y2x_l1_error"] < 0.01 and found["cycle_x"] < 0.01
    for direction in ("x2y", "y2x"):
        errors = [found[f"{side}{direction}_l1_error"] for side in ("", "matched_", "copy_")]
        assert errors == sorted(errors) and errors[1] < 0.8 * errors[2]
        assert found[f"{direction}_kid"] < found[f"copy_{direction}_kid"]
        assert found[f"{direction}_fid"] < found[f"copy_{direction}_fid"]


def test_pictures_that_do_not_correspond_are_not_compared_in_pairs(monkeypatch):
    found = measured(as_unpaired(TEST), monkeypatch)
    assert {"x2y_fid", "copy_y2x_kid", "cycle_x", "cycle_y"} <= found.keys()
    assert not any("l1_error" in name or "perceptual" in name for name in found)


def test_a_game_that_translates_one_way_is_measured_that_way(monkeypatch):
    """CUT: the same names and values as of a game that also translates back, without its cycles."""
    both, one = (measured(TEST, monkeypatch, ways) for ways in (("x2y", "y2x"), ("x2y",)))
    expected = {n: v for n, v in both.items() if "y2x" not in n and "cycle" not in n}
    assert one == expected and {"x2y_kid", "copy_x2y_kid", "matched_x2y_kid"} <= one.keys()


def test_domains_of_different_sizes_are_read_whole():
    records = TEST.records
    rows = records.take(np.arange(40))
    sides = (in_memory({"x": rows["x"]}), in_memory({"y": rows["y"][:7]}))
    found = domains(TEST._replace(sides=sides), 30)
    assert [len(found[side]) for side in "xy"] == [30, 7]


def test_matched_colours_have_the_targets_mean_and_covariance():
    draw = np.random.RandomState(2)
    x = (128 + 20 * draw.normal(size=(4, 32, 32, 3))).clip(0, 255).astype(np.uint8)
    y = recoloured(x)
    found, wanted = colours(match_colours(x, colours(x), colours(y))), colours(y)
    np.testing.assert_allclose(found.mean, wanted.mean, atol=0.1)
    np.testing.assert_allclose(found.cov, wanted.cov, atol=1.0)


def test_the_map_of_colours_moves_them_least():
    """Of grey pictures it is the plain shift and scale; equal domains stay as they are."""
    x = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1) * 8
    source, target = colours(x), colours(2 * x + 5)
    np.testing.assert_allclose(match_colours(x, source, target), 2 * x + 5, atol=1)
    np.testing.assert_array_equal(match_colours(x, source, source), x)


def test_more_similar_is_better_in_either_direction():
    assert better("x2y_ssim160-test[pixels]") == "higher"
    assert better("matched_y2x_psnr160-test[pixels]") == "higher"
    assert better("copy_x2y_l1_error160-test[pixels]") == "lower"
