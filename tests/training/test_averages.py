"""Runs that keep averages of several half-lives: resumed, sampled and measured by any of them."""

import jax
import numpy as np
import pytest

import gan_jax
from gan_jax import config
from gan_jax.config import Data, Experiment, Gan, Mlp, Player, Run
from gan_jax.errors import UserError
from gan_jax.training import run_dir
from gan_jax.training.loop import train

FIRST, MORE = 0.01, 0.04  # thousands of images


def recipe(rounds: int = 6, **changes) -> Experiment:
    player = Player(network=Mlp((4,)), lr=0.01)
    made = Experiment(
        *("points", player, player),
        Gan(z=4, ema_kimg=FIRST, ema_kimg_more=(MORE,), ema_rampup=0.0),
        Data("toy/ring8"),
        batch_size=8,
        run=Run(kimg=rounds * 0.008, sample_kimg=0, checkpoint_kimg=0.008, devices=1, keep=9),
    )
    return config.change(made, changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    train(recipe(), workdir)
    return workdir


def state_of(workdir, step=None, ema=None):
    return run_dir.load(workdir, step, ema)[2]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def test_all_half_lives_resume_bit_for_bit(whole, tmp_path):
    train(recipe(rounds=3), tmp_path)
    train(recipe(), tmp_path)
    assert state_of(whole).ema.keys() == {"generator", f"generator@{MORE}"}
    assert same(state_of(whole), state_of(tmp_path))


def test_each_copy_follows_its_own_half_life(whole):
    """From one checkpoint to the next: mean' = new + 2^(-8 / 1000 h) (mean - new)."""
    before, after = state_of(whole, 5), state_of(whole, 6)
    for name, half_life in (("generator", FIRST), (f"generator@{MORE}", MORE)):
        rate = 0.5 ** (0.008 / half_life)
        for mean, old, new in zip(
            jax.tree.leaves(after.ema[name]["params"]),
            jax.tree.leaves(before.ema[name]["params"]),
            jax.tree.leaves(after.params["generator"]),
            strict=True,
        ):
            np.testing.assert_allclose(mean, new + rate * (old - new), rtol=1e-4, atol=1e-7)


def test_a_run_is_loaded_with_the_copy_that_is_chosen(whole):
    kept = state_of(whole).ema
    assert same(state_of(whole, ema=MORE).ema["generator"], kept[f"generator@{MORE}"])
    assert same(state_of(whole, ema=FIRST).ema["generator"], kept["generator"])
    default, first, other = (gan_jax.load(whole, ema=e).sample(8) for e in (None, FIRST, MORE))
    np.testing.assert_array_equal(default, first)
    assert not np.allclose(default, other)


def test_the_names_of_metrics_tell_a_half_life_that_is_not_the_first(whole):
    metrics = ["mode_coverage"]
    assert gan_jax.load(whole).evaluate(metrics).keys() == {"modes", "high_quality"}
    assert gan_jax.load(whole, ema=FIRST).evaluate(metrics).keys() == {"modes", "high_quality"}
    named = {f"modes[ema={MORE}]", f"high_quality[ema={MORE}]"}
    assert gan_jax.load(whole, ema=MORE).evaluate(metrics).keys() == named


def test_a_half_life_that_is_not_kept_is_refused(whole, tmp_path):
    with pytest.raises(UserError, match=r"ema = 7: this run keeps 0\.01, 0\.04"):
        gan_jax.load(whole, ema=7.0)
    train(recipe(1, **{"game.ema_kimg": 0.0, "game.ema_kimg_more": ()}), tmp_path)
    with pytest.raises(UserError, match="ema = 7: this run averages no network"):
        gan_jax.load(tmp_path, ema=7.0)


def test_a_checkpoint_of_one_half_life_has_no_further_leaves(tmp_path):
    """So that runs of before several were kept open as they are."""
    train(recipe(1, **{"game.ema_kimg_more": ()}), tmp_path)
    assert state_of(tmp_path).ema.keys() == {"generator"}
