"""Metrics over arrays of features: equal to the field's tools, and their mathematical properties.

`arrays()` is deterministic; the constants beside the tests were computed from it with
torch-fidelity 0.4.0 and prdc 0.2 (numpy 2.4.6, torch 2.13.0).
"""

import warnings

import numpy as np
import pytest
from scipy.linalg import sqrtm

from gan_jax.errors import UserError
from gan_jax.metrics.frechet import frechet_distance, moments
from gan_jax.metrics.inception_score import inception_score
from gan_jax.metrics.kernel import kernel_distance
from gan_jax.metrics.precision_recall import density_coverage, precision_recall
from gan_jax.metrics.sliced import sliced_wasserstein


def features(n, d, seed, shift=0.0):
    draw = np.random.RandomState(seed)
    mix = draw.normal(size=(d, d)) / np.sqrt(d)
    return np.maximum(draw.normal(size=(n, d)) @ mix + 0.3 + shift, 0).astype(np.float32)


REAL, FAKE = features(400, 64, 0), features(300, 64, 1, 0.05)


def test_fid_equals_torch_fidelity():
    assert frechet_distance(moments(REAL), moments(FAKE)) == pytest.approx(11.598002260, rel=1e-6)


def test_fid_of_few_samples_equals_torch_fidelity():
    with pytest.warns(UserWarning, match="40 samples in 64 dimensions.*biased upwards"):
        value = frechet_distance(moments(REAL), moments(FAKE[:40]))
    assert value == pytest.approx(23.102796518, rel=1e-6)


def test_kid_equals_torch_fidelity_on_the_same_subsets():
    mean, std = kernel_distance(REAL, FAKE, subsets=20, size=100, seed=2020)
    assert mean == pytest.approx(0.043477106, rel=1e-4)
    assert std == pytest.approx(0.015678345, rel=1e-4)


@pytest.mark.parametrize(("k", "expected"), [(3, (74 / 300, 0.4975)), (5, (91 / 300, 0.61))])
def test_precision_and_recall_equal_torch_fidelity_and_prdc(k, expected):
    assert precision_recall(REAL, FAKE, k=k) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("k", "expected"), [(3, (0.15777777777777777, 0.2675)), (5, (0.16733333333333333, 0.43))]
)
def test_density_and_coverage_equal_prdc(k, expected):
    assert density_coverage(REAL, FAKE, k=k) == pytest.approx(expected, rel=1e-9)


def test_the_sliced_distance_of_a_shift_is_its_square_by_the_dimension():
    """In the mean over directions; a shift moves every projection by the same."""
    shift = np.linspace(-1.0, 1.0, 64)
    value = sliced_wasserstein(REAL, REAL + shift, directions=4000)
    assert value == pytest.approx(np.sum(shift**2) / 64, rel=0.05)


def test_the_sliced_distance_in_one_dimension_is_that_of_the_quantiles():
    """0, 1 and 3 against 0 and 4: pairs weigh 1/3, 1/6, 1/6 and 1/3."""
    real, fake = np.array([[0.0], [1.0], [3.0]]), np.array([[4.0], [0.0]])
    expected = 1 / 3 * 0.0 + 1 / 6 * 1.0 + 1 / 6 * 9.0 + 1 / 3 * 1.0
    assert sliced_wasserstein(real, fake) == pytest.approx(expected)


def test_the_sliced_distance_does_not_see_how_often_a_set_is_repeated():
    assert sliced_wasserstein(REAL, np.repeat(REAL, 3, axis=0)) == pytest.approx(0.0, abs=1e-12)


def test_inception_score_equals_torch_fidelity():
    expected = (7.757257343348923, 0.906559886630985)
    assert inception_score(3 * REAL, splits=10) == pytest.approx(expected, rel=1e-9)


def test_fid_equals_the_formula_with_a_general_matrix_root():
    a, b = REAL.astype(np.float64), FAKE.astype(np.float64)
    ca, cb = np.cov(a.T), np.cov(b.T)
    shift = a.mean(0) - b.mean(0)
    expected = shift @ shift + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
    assert frechet_distance(moments(REAL), moments(FAKE)) == pytest.approx(expected, rel=1e-8)


def test_fid_of_scaled_gaussians_is_known():
    x = features(500, 8, 3).astype(np.float64)
    expected = np.trace(np.cov(x.T)) + (x.mean(0) ** 2).sum()
    assert frechet_distance(moments(x), moments(2.0 * x)) == pytest.approx(expected, rel=1e-9)


def test_fid_to_itself_is_zero():
    assert frechet_distance(moments(REAL), moments(REAL)) < 1e-6


@pytest.mark.parametrize("counts", [(400, 30), (30, 300), (30, 20)])
def test_low_rank_form_equals_the_full_one(counts):
    a, b = REAL[: counts[0]], FAKE[: counts[1]]
    low = frechet_distance(moments(a), moments(b), warn=False)
    full = [moments(x)._replace(cov=np.cov(x.T.astype(np.float64)), rows=None) for x in (a, b)]
    assert low == pytest.approx(frechet_distance(full[0], full[1], warn=False), rel=1e-6)


def test_low_rank_form_never_builds_the_covariance():
    m = moments(features(10, 64, 0))
    assert m.cov is None
    assert m.rows is not None
    assert m.rows.shape == (10, 64)


@pytest.mark.parametrize("count", [50, 64, 65, 400])
def test_moments_do_not_depend_on_the_batches(count):
    whole = moments(REAL[:count])
    parts = moments(iter(np.array_split(REAL[:count], 7)))
    assert parts.count == whole.count
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    for a, b in zip(parts[2:], whole[2:], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_moments_survive_a_large_mean_in_float32():
    x = features(300, 8, 0)
    shifted = moments(iter(np.array_split(x.astype(np.float64) + 1e6, 9)))
    np.testing.assert_allclose(shifted.cov, np.cov(x.T.astype(np.float64)), rtol=1e-6)


def test_enough_samples_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frechet_distance(moments(REAL), moments(FAKE))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (REAL[:1], "at least 2 samples"),
        (REAL[:, :, None], "shape"),
        (np.full((9, 3), np.nan, np.float32), "not finite"),
        ([], "at least 2 samples"),
    ],
)
def test_moments_name_what_is_wrong(bad, message):
    with pytest.raises(UserError, match=message):
        moments(bad)


def test_different_dimensions_are_refused():
    with pytest.raises(UserError, match="64 and 32 dimensions"):
        frechet_distance(moments(REAL), moments(FAKE[:, :32]))
    with pytest.raises(UserError, match="64 and 32 dimensions"):
        kernel_distance(REAL, FAKE[:, :32])
    with pytest.raises(UserError, match="64 and 32 dimensions"):
        precision_recall(REAL, FAKE[:, :32])


def test_kid_is_unbiased_where_fid_is_not():
    halves = [(x[::2], x[1::2]) for x in (features(80, 16, seed) for seed in range(20))]
    kid = [kernel_distance(a, b).mean for a, b in halves]
    assert abs(np.mean(kid)) < 3 * np.std(kid) / np.sqrt(len(kid))
    fid = [frechet_distance(moments(a), moments(b)) for a, b in halves]
    assert np.mean(fid) > 10 * np.std(fid) / np.sqrt(len(fid))


def test_kid_equals_the_definition():
    x, y = REAL[:5].astype(np.float64), FAKE[:5].astype(np.float64)
    k = lambda a, b: (a @ b / 64 + 1) ** 3  # noqa: E731
    pairs = [(i, j) for i in range(5) for j in range(5)]
    expected = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs if i != j) / 20
    expected -= 2 * sum(k(x[i], y[j]) for i, j in pairs) / 25
    assert kernel_distance(REAL[:5], FAKE[:5]).mean == pytest.approx(expected, rel=1e-12)


def test_kid_uses_small_sets_whole_and_once():
    assert kernel_distance(REAL[:50], FAKE[:50]).std == 0.0


def test_kid_is_the_same_for_the_same_seed():
    assert kernel_distance(REAL, FAKE, size=50) == kernel_distance(REAL, FAKE, size=50)


def test_precision_and_recall_of_equal_sets_are_one():
    assert precision_recall(REAL, REAL) == (1.0, 1.0)


def test_coverage_of_equal_sets_is_one():
    assert density_coverage(REAL, REAL).coverage == 1.0


def test_collapse_keeps_precision_and_loses_recall():
    collapsed = np.repeat(REAL[:1], 100, axis=0)
    assert precision_recall(REAL, collapsed) == (1.0, 1 / 400)
    assert density_coverage(REAL, collapsed).coverage < 0.1


def test_neighbours_are_exact_far_from_the_origin():
    draw = np.random.RandomState(0)
    near = draw.normal(size=(200, 4)).astype(np.float32)
    real, fake = near[:100], near[100:]
    base = precision_recall(real, fake)
    quarter = np.round(near * 16) / 16  # exact in float32 also after the shift
    moved = quarter + 4096
    assert precision_recall(
        moved[:100].astype(np.float32), moved[100:].astype(np.float32)
    ) == precision_recall(quarter[:100].astype(np.float32), quarter[100:].astype(np.float32))
    assert 0 < base.precision < 1


def test_blocks_do_not_change_precision_recall(monkeypatch):
    whole = precision_recall(REAL, FAKE), density_coverage(REAL, FAKE)
    monkeypatch.setattr("gan_jax.metrics.precision_recall._ENTRIES", 150 * 400)
    assert (precision_recall(REAL, FAKE), density_coverage(REAL, FAKE)) == whole


def test_progress_counts_every_row():
    seen = []
    precision_recall(REAL, FAKE, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (1400, 1400)
    density_coverage(REAL, FAKE, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (800, 800)


def test_too_few_neighbours_are_refused():
    with pytest.raises(UserError, match="k = 3 nearest neighbours need more than 3"):
        precision_recall(REAL, FAKE[:3])


def test_inception_score_bounds():
    sure = np.eye(10, dtype=np.float32)[np.arange(200) % 10] * 100
    assert inception_score(sure, splits=2).mean == pytest.approx(10.0)
    assert inception_score(np.zeros((200, 10), np.float32)).mean == pytest.approx(1.0)
    with pytest.raises(UserError, match="10 splits"):
        inception_score(sure[:9])
