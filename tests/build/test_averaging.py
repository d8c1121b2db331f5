"""The averaged generator's half-life and its ramp-up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.paths import ROOT

from gan_jax import config, game, parallel
from gan_jax.build import schedule
from gan_jax.build.averages import averaged_translators, averaging
from gan_jax.build.experiment import build
from gan_jax.config import Anneal, Data, Dcgan, Experiment, Gan, Grow, Player, Run, Stylegan
from gan_jax.errors import UserError

SIZE = 32


def authors_beta(shown, size, kimg, rampup):
    """The decay in StyleGAN2-ADA's training loop; `shown` is `cur_nimg` at the update."""
    return 0.5 ** (size / max(min(1000.0 * kimg, shown * rampup), 1e-8))


def experiment(**fields):
    return config.change(Experiment("x", batch_size=SIZE, game=Gan(ema_kimg=10.0)), fields)


@pytest.mark.parametrize("round", [0, 1, 100, 5_000, 100_000])
def test_the_half_life_grows_with_what_was_shown_as_in_the_authors_code(round):
    made = experiment()
    decay = averaging(made, made.game)[10.0](jnp.float32(round))
    np.testing.assert_allclose(decay, authors_beta(round * SIZE, SIZE, 10.0, 0.05), rtol=1e-5)


def test_without_a_ramp_the_half_life_is_what_it_says():
    made = experiment(**{"game.ema_rampup": 0.0})
    assert averaging(made, made.game)[10.0] ** (10_000 / SIZE) == pytest.approx(0.5)
    none = experiment(**{"game.ema_kimg": 0.0})
    assert averaging(none, none.game) == {}


def test_the_ramp_goes_on_from_one_stage_of_a_growing_run_to_the_next():
    grow = Grow(8, 1.0, 1.0, batch_sizes=(64, 16))
    made = Experiment("x", game=Stylegan(grow=grow), data=Data(resolution=16), run=Run(kimg=9.0))
    stage = schedule.stages(made)[1]
    decay = averaging(made, made.game, stage)[10.0](jnp.float32(stage.first + 3))
    expected = authors_beta(stage.images + 3 * 16, 16, 10.0, 0.05)
    np.testing.assert_allclose(decay, expected, rtol=1e-5)


def test_the_first_average_is_the_network_itself():
    player = Player(network=Dcgan(width=2))
    made = Experiment(
        *("x", player, player, Gan(z=4, ema_kimg=10.0), Data(resolution=8)),
        batch_size=8,
        run=Run(devices=1),
    )
    built = build(made)

    @jax.jit
    def play(key):
        state, batch = game.init(built.game, key), {"image": jnp.zeros((8, 8, 8, 1), jnp.uint8)}
        return parallel.on_one_device(built.round)(state, batch, key)[0]

    state = play(built.key)
    for mean, new in zip(
        jax.tree.leaves(state.ema["generator"]["params"]),
        jax.tree.leaves(state.params["generator"]),
        strict=True,
    ):
        np.testing.assert_array_equal(mean, new)


@pytest.mark.parametrize("round", [10, 100_000])
def test_each_of_several_half_lives_has_its_own_decay_and_the_same_ramp(round):
    made = experiment(**{"game.ema_kimg_more": (50.0, 0.5)})
    decays = averaging(made, made.game)
    assert list(decays) == [10.0, 50.0, 0.5], "the first makes samples"
    for half_life, decay in decays.items():
        expected = authors_beta(round * SIZE, SIZE, half_life, 0.05)
        np.testing.assert_allclose(decay(jnp.float32(round)), expected, rtol=1e-5)


def test_each_of_several_half_lives_is_annealed():
    made = experiment(**{"game.ema_kimg_more": (50.0,), "game.anneal": Anneal(kimg=1.0)})
    for half_life, decay in averaging(made, made.game).items():
        np.testing.assert_allclose(
            decay(jnp.float32(1e6)), 0.5 ** (SIZE / 1000 / half_life), rtol=1e-5
        )


def test_an_averaged_translator_has_no_batch_norm():
    made = config.recipe(f"{ROOT}/experiments/cut.py:faces")
    assert averaged_translators(made, made.game)
    made = config.change(made, {"generator.network.norm": "batch"})
    with pytest.raises(UserError, match="no batch statistics; did you mean 'instance'"):
        averaged_translators(made, made.game)


@pytest.mark.parametrize(
    ("first", "more", "message"),
    [
        (0.0, (50.0,), "game.ema_kimg must not be 0"),
        (10.0, (10.0,), "differ"),
        (10.0, (5.0, 0.0), "above 0"),
    ],
)
def test_half_lives_that_say_nothing_are_refused(first, more, message):
    made = experiment(**{"game.ema_kimg": first, "game.ema_kimg_more": more})
    with pytest.raises(UserError, match=f"game.ema_kimg_more = .*{message}"):
        averaging(made, made.game)
