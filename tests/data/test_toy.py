"""Toy distributions: pure in (seed, index), with the modes that they announce."""

import time

import numpy as np
import pytest

from gan_jax.data.toy import TOYS, find_toy, modes, open_toy, uniforms
from gan_jax.errors import UserError


@pytest.mark.parametrize("name", sorted(TOYS))
def test_a_sample_depends_on_seed_and_index_alone(name):
    records = open_toy(name, split="train", seed=3).records
    whole = records.take(np.arange(64))["x"]
    picked = np.array([63, 0, 17, 17])
    np.testing.assert_array_equal(records.take(picked)["x"], whole[picked])
    np.testing.assert_array_equal(records[5]["x"], whole[5])
    assert whole.shape == (64, 2) and whole.dtype == np.float32


def test_seeds_and_splits_are_different_streams():
    a = open_toy("toy/ring8", split="train", seed=0)
    b = open_toy("toy/ring8", split="train", seed=1)
    c = open_toy("toy/ring8", split="test", seed=0)
    rows = np.arange(32)
    assert len({source.records.take(rows)["x"].tobytes() for source in (a, b, c)}) == 3
    assert len({source.fingerprint for source in (a, b, c)}) == 3


@pytest.mark.parametrize("name", ["toy/ring8", "toy/grid25", "toy/gaussian"])
def test_samples_follow_the_announced_mixture(name):
    centres, std = modes(name)
    x = open_toy(name, split="train", seed=0).records.take(np.arange(50_000))["x"]
    distance = np.linalg.norm(x[:, None] - centres[None], axis=-1)
    mode = distance.argmin(axis=1)
    share = np.bincount(mode, minlength=len(centres)) * len(centres) / len(x)
    assert abs(share - 1).max() < 0.1
    residual = (x - centres[mode]) / std
    np.testing.assert_allclose(residual.std(axis=0), 1.0, atol=0.02)
    np.testing.assert_allclose(residual.mean(axis=0), 0.0, atol=0.02)


def test_the_ring_has_the_papers_geometry():
    centres, std = modes("toy/ring8")
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 2.0, rtol=1e-6)
    assert std == 0.02 and len(centres) == 8


def test_labels_are_the_modes():
    source = open_toy("toy/grid25", split="train", seed=0)
    batch = source.records.take(np.arange(1000))
    centres, std = modes("toy/grid25")
    assert source.num_classes == 25 and batch["label"].dtype == np.int32
    assert abs(batch["x"] - centres[batch["label"]]).max() < 6 * std


def test_uniforms_are_uniform_and_uncorrelated():
    u = uniforms(7, np.arange(200_000))
    np.testing.assert_allclose(u.mean(axis=0), 0.5, atol=0.005)
    np.testing.assert_allclose(np.corrcoef(u.T), np.eye(4), atol=0.01)
    assert abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 0.01
    assert u.min() >= 0 and u.max() < 1


def test_a_far_index_is_as_good_as_a_near_one():
    x = open_toy("toy/gaussian", split="train", seed=0).records.take(2**40 + np.arange(1000))["x"]
    assert abs(x.std() - 1) < 0.1


def test_swiss_roll_and_moons_have_no_modes():
    with pytest.raises(UserError, match="no modes"):
        modes("toy/swiss_roll")
    assert find_toy("toy/two_moons").std is None


def test_an_unknown_toy_names_the_nearest():
    with pytest.raises(UserError, match="toy/ring8"):
        open_toy("toy/ring", split="train", seed=0)


def test_an_endless_source_has_no_length():
    source = open_toy("toy/ring8", split="train", seed=0)
    assert source.size is None
    with pytest.raises(TypeError, match="infinite"):
        len(source.records)


def test_sampling_is_fast_enough_for_small_games():
    records = open_toy("toy/ring8", split="train", seed=0).records
    rows = np.arange(256)
    start = time.perf_counter()
    for step in range(100):
        records.take(rows + 256 * step)
    assert 25_600 / (time.perf_counter() - start) > 200_000 / 4  # a busy machine is 4 times slower
