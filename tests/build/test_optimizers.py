"""Schedules of the players' optimisers, which count moves and not rounds."""

import jax.numpy as jnp
import optax
import pytest

from gan_jax import config
from gan_jax.build.optimizers import decaying, make_annealed
from gan_jax.config import Anneal, Experiment
from gan_jax.game import Game, Move, Player

DECAYING = config.change(Experiment("x", batch_size=100), {"discriminator.decay": (1.0, 2.0)})
ONE = {"w": jnp.ones(())}


def loss(*_):
    raise NotImplementedError("schedules play no move")


@pytest.mark.parametrize(("name", "moves"), [("discriminator", 15), ("vision_discriminator", 5)])
def test_a_player_that_begins_late_slows_down_with_the_others(name, moves):
    players = {n: Player((n,), optax.sgd(1.0)) for n in ("discriminator", "vision_discriminator")}
    begin = Move("discriminator", loss), Move("vision_discriminator", loss, start=10)
    tx = decaying(DECAYING, Game({}, players, begin)).players[name].tx
    state, update = tx.init(ONE), ONE
    for _ in range(moves + 1):
        update, state = tx.update(ONE, state)
    assert update["w"] == -0.5  # after 1.5 kimg


@pytest.mark.parametrize("start", [0, 10])
def test_an_annealed_rate_follows_the_rounds_since_its_first_move(start):
    tx = make_annealed(DECAYING, "discriminator", Anneal(kimg=2.0, lr=0.5), start=start)
    state = tx.init(ONE)
    for _ in range(10 - start + 1):
        _, state = tx.update(ONE, state, ONE)
    lr = DECAYING.discriminator.lr
    assert state.hyperparams["learning_rate"] == pytest.approx(0.75 * lr)  # half of the cosine
