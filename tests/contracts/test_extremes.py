"""Extreme but legal inputs through every game: all stays finite, or the guard says what does not.

`OUTCOMES` is the table of those that are stopped. Every case of a game feeds the same compiled
round, that of the golden numbers.
"""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.games import GAMES
from PIL import Image

from gan_jax import config, game, parallel
from gan_jax.build.common import OBJECTIVES
from gan_jax.build.experiment import build
from gan_jax.config import Cut, Cyclegan, Mlp, Pix2Pix
from gan_jax.errors import UserError
from gan_jax.training import checkpoint, guard, run_dir
from gan_jax.training.loop import train

ROUNDS = 2
RNG = np.random.default_rng(0)
SIDE, SIZE = 8, 8
LEVELS = np.linspace(0, 255, SIZE).astype(np.uint8).reshape(-1, 1, 1, 1)


def pictures(make):
    return np.broadcast_to(make, (SIZE, SIDE, SIDE, 1)).astype(np.uint8)


NOISE = RNG.integers(0, 256, (SIZE, SIDE, SIDE, 1))
PICTURES = {
    "plain": pictures(NOISE),
    "constant pictures": pictures(LEVELS),
    "one picture": pictures(NOISE[:1]),
    "all black": pictures(0),
    "all white": pictures(255),
}
POINTS = {
    "plain": RNG.normal(size=(SIZE, 2)),
    "constant pictures": np.full((SIZE, 2), 3.0),
    "one picture": np.full((SIZE, 2), 0.5),
    "all black": np.zeros((SIZE, 2)),
    "all white": np.full((SIZE, 2), 1e6),
}
STATES = {
    "plain": lambda params: params,
    "huge weights": lambda params: scaled(params, 1e4, set(params)),  # after too large a step
    "overflowing logits": lambda params: scaled(params, 1e30, {"discriminator", "d_x", "d_y"}),
    "zero weights": lambda params: scaled(params, 0.0, set(params)),
}


def scaled(params, factor, nets):
    """The parameters of some networks times a factor."""
    return {
        net: jax.tree.map(lambda leaf: leaf * jnp.float32(factor), tree) if net in nets else tree
        for net, tree in params.items()
    }


@functools.cache
def opened(name):
    """A game's compiled round, its first state on the host, its key."""
    built = build(config.change(GAMES[name], {"run.devices": 1}))
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    return jax.jit(parallel.on_one_device(built.round)), jax.device_get(state), built.key


def batch_of(name, case):
    experiment = GAMES[name]
    if experiment.data.name.startswith("toy/"):
        return {"x": POINTS[case].astype(np.float32)}
    paired = isinstance(experiment.game, Pix2Pix | Cyclegan | Cut)
    batch = {column: PICTURES[case] for column in (("x", "y") if paired else ("image",))}
    batch["label"] = np.arange(SIZE, dtype=np.int32) % 3 * (case == "plain")  # else one class
    batch["text"] = RNG.normal(size=(SIZE, 5)).astype(np.float32) * (case == "plain")
    return batch


def outcome(name, inputs="plain", weights="plain"):
    """What went non-finite first, by the guard's own words; "" where nothing did."""
    play, state, key = opened(name)
    state = dataclasses.replace(state, params=STATES[weights](state.params))
    batch = batch_of(name, inputs)
    for step in range(1, ROUNDS + 1):
        state, metrics = play(state, batch, key)
        row = {f"{m}/{n}": float(x) for m, some in metrics.items() for n, x in some.items()}
        try:
            guard.require_finite({"step": step, **row})
            guard.require_finite_state(step, state)
        except guard.Stopped as stop:
            return str(stop)
    return ""


OUTCOMES = {  # all others stay finite
    "huge weights": (
        *("r3gan", "text_to_image", "dfgan", "stylegan", "stylegan2", "vae", "vision_aided"),
    ),
    "overflowing logits": tuple(set(GAMES) - {"vae"}),  # which has no discriminator
    "zero weights": ("projected",),  # spectral normalisation divides by the norm of a kernel
}


@pytest.mark.parametrize("name", GAMES)
def test_extremes_stay_finite_or_are_named(name):
    found = {case: outcome(name, case) for case in PICTURES}
    found |= {case: outcome(name, weights=case) for case in STATES if case != "plain"}
    for case, said in found.items():
        assert bool(said) == (name in OUTCOMES.get(case, ())), (case, said)
        if said:
            assert re.match(r"round \d: \w+(/\w+)+ is (nan|inf)", said)


@pytest.mark.parametrize("name", ["gan", "dcgan", "text_to_image", "pix2pix", "vae"])
def test_a_batch_of_one_stays_finite(name):
    """Batch norm of one picture's single pixel has no variance; one caption has no other."""
    built = build(config.change(GAMES[name], {"run.devices": 1, "batch_size": 1}))
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    batch = {column: rows[:1] for column, rows in batch_of(name, "plain").items()}
    state, metrics = jax.jit(parallel.on_one_device(built.round))(state, batch, built.key)
    row = {f"{m}/{n}": float(x) for m, some in metrics.items() for n, x in some.items()}
    guard.require_finite({"step": 1, **row})
    guard.require_finite_state(1, state)


LARGEST = {np.float32: 1e38, np.float16: 3e4, jnp.bfloat16: 1e38}  # two of them can be added


@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"least_squares"}))
def test_the_largest_logits_have_finite_payoffs_and_gradients(name, dtype):
    """Least squares alone square them: a run ends there by the guard."""
    made, largest = OBJECTIVES[name](), LARGEST[dtype]
    real = jnp.asarray([largest, -largest, largest, -largest], dtype)
    fake = jnp.asarray([largest, largest, -largest, -largest], dtype)
    for payoff in (made.generator, made.discriminator):
        values, pull = jax.vjp(payoff, real, fake)
        assert np.isfinite(np.asarray(values, np.float32)).all()
        for grads in pull(jnp.ones_like(values)):
            assert np.isfinite(np.asarray(grads, np.float32)).all()


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_logits_and_losses_are_float32_in_bfloat16(name):
    experiment = {"run.devices": 1, "precision": "bfloat16"}
    built = build(config.change(GAMES[name], experiment))
    state = jax.eval_shape(lambda: game.init(built.game, built.key))
    batch = batch_of(name, "plain")
    state, metrics = jax.eval_shape(parallel.on_one_device(built.round), state, batch, built.key)
    assert {leaf.dtype for leaf in jax.tree.leaves(metrics)} == {jnp.dtype("float32")}
    floats = [x.dtype for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert set(floats) == {jnp.dtype("float32")}


def test_one_picture_in_the_data_set_trains_and_a_larger_batch_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    Image.effect_noise((9, 9), 90).save(tmp_path / "data" / "only.png")
    alone = {
        "data.name": "folder",
        "data.path": str(tmp_path / "data"),
        "run.devices": 1,
        "batch_size": 1,
    }
    alone |= {"run.kimg": 0.002, "data.resolution": 8, "generator.network": Mlp((4,))}
    experiment = config.change(GAMES["dcgan"], alone | {"discriminator.network": Mlp((4,))})
    state = train(experiment, tmp_path / "run")
    guard.require_finite_state(2, state)
    with pytest.raises(UserError, match=r"batch_size 2 is more than the 1 of data set 'folder'"):
        train(config.change(experiment, {"batch_size": 2}), tmp_path / "other")


@pytest.mark.parametrize("log_every", [1, 100])
def test_no_checkpoint_of_a_state_that_is_not_finite(log_every, tmp_path):
    """Not even between two logged rounds: a run that resumed from it could not go on."""
    rate = {"generator.optimizer": "sgd", "generator.lr": 1e38, "run.devices": 1}
    often = {"run.checkpoint_kimg": 0.008, "run.log_every": log_every, "run.kimg": 0.08}
    with pytest.raises(guard.Stopped, match=r"/.* (is|not) .*checkpoints before it") as stopped:
        train(config.change(GAMES["gan"], rate | often), tmp_path)
    assert stopped.value.code == 1
    for step in checkpoint.steps(tmp_path):
        guard.require_finite_state(step, run_dir.load(tmp_path, step)[2])
