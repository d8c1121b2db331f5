"""What every game promises, for every objective, penalty and schedule of moves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import game, latents, objectives, parallel
from gan_jax.game import Net
from gan_jax.games.gan import gan
from gan_jax.networks import mlp
from gan_jax.training.build import OBJECTIVES

G = Net(mlp.Generator((2,), (8,), out=lambda x: x), (jax.ShapeDtypeStruct((2, 3), jnp.float32),))
D = Net(mlp.Discriminator((8,)), (jax.ShapeDtypeStruct((2, 2), jnp.float32),))
BATCH = {"real": jnp.asarray(np.random.default_rng(0).normal(size=(16, 2)), jnp.float32)}
KEY = jax.random.key(0)


def perceptrons(objective: objectives.Objective, **options):
    sgd = optax.sgd(0.05)
    return gan(G, D, sgd, sgd, objective=objective, prior=latents.normal(3), **options)


GAMES = {name: perceptrons(make()) for name, make in OBJECTIVES.items()} | {
    "r1_r2": perceptrons(objectives.relativistic(), r1=1.0, r2=1.0, ema=0.5),
    "lazy": perceptrons(objectives.non_saturating(), r1=1.0, penalty_every=2),
    "critic": perceptrons(objectives.wasserstein(), gradient_penalty=10.0, n_critic=2),
    "simultaneous": perceptrons(objectives.hinge(), simultaneous=True),
}


def playing(name, devices):
    played = GAMES[name]
    mesh = parallel.make_mesh(devices)
    state = parallel.place(game.init(played, KEY), mesh)
    play = parallel.data_parallel(
        lambda s, b, k: game.step(played, s, b, k, axis_name=parallel.AXIS),
        mesh,
        backend="shard_map",
    )
    batch = parallel.shard(jax.device_get(BATCH), mesh)
    for _ in range(4):
        state, metrics = play(state, batch, KEY)
    return jax.device_get((state, metrics))


@pytest.mark.parametrize("name", GAMES)
def test_eight_devices_play_as_one_and_all_stays_finite(name):
    one, eight = playing(name, 1), playing(name, 8)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", GAMES)
def test_the_field_names_every_player_and_its_own_parameters(name):
    played = GAMES[name]
    state = game.init(played, KEY)
    field = jax.jit(lambda state: game.vector_field(played, state, BATCH, KEY))(state)
    assert field.keys() == played.players.keys()
    for player, grads in field.items():
        own = {net: state.params[net] for net in played.players[player].nets}
        assert jax.tree.structure(grads) == jax.tree.structure(own)


@pytest.mark.parametrize("name", GAMES)
def test_metrics_keep_their_names_from_round_to_round(name):
    played = GAMES[name]
    state = game.init(played, KEY)
    play = jax.jit(lambda state: game.step(played, state, BATCH, KEY))
    state, first = play(state)
    _, second = play(state)
    assert first.keys() == second.keys() == {move.label for move in played.moves}
    assert all({"loss", "grad_norm"} <= row.keys() for row in first.values())
