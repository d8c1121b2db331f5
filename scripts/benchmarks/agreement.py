"""One round of every kind of game on the accelerator and on the CPU, from the same state.

`python -m benchmarks.agreement GAME...` prints one JSON object for each game and precision of
products.

The games are the small ones of `games`, in a round in which every move is
played. The optimisers are replaced by ones that keep the gradients and move nothing, so that all
gradients are taken at the same parameters and no optimiser enlarges what differs.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from benchmarks.games import GAMES, batch_of
from gan_jax import config, game, parallel
from gan_jax.build.data import data_shape, to_real
from gan_jax.build.experiment import build, make_parts
from gan_jax.config import Experiment

LOSSES = 1e-4
"""The largest difference of a loss that agrees, over the loss or 1 if that is more."""
GRADIENTS = 1e-3
"""The largest difference of a gradient's numbers that agrees, over the largest number of that
parameter's gradient, or over `SMALL` of the network's largest if that is more."""
SMALL = 0.01  # the gradient of a bias that a norm follows is but roundings
ROUND = 3  # in which the lazy and the late moves of all the games are played
EXACT, DEFAULT = "highest", "default"
"""Precisions of float32 products: all bits, and what the platform does unless it is told."""


class Played(NamedTuple):
    """What a round gave: each move's loss, and each player's gradients by network."""

    losses: dict[str, Any]
    gradients: PyTree


class Difference(NamedTuple):
    """How far a round is from the CPU's.

    Attributes:
        losses: the largest difference of a loss, in the unit of `LOSSES`.
        gradients: the largest of a gradient, in the unit of `GRADIENTS`.
        worst: the parameter with that gradient.
    """

    losses: float
    gradients: float
    worst: str

    @property
    def agrees(self) -> bool:
        """Whether both are within their tolerances; what is not a number is not."""
        return self.losses <= LOSSES and self.gradients <= GRADIENTS


def compare(reference: Played, found: Played) -> Difference:
    """Compare a round with the CPU's."""
    losses = max(
        _over(abs(float(found.losses[name]) - float(loss)), max(1.0, abs(float(loss))))
        for name, loss in reference.losses.items()
    )
    worst, largest = "", -1.0
    for player, networks in reference.gradients.items():
        for network, grads in networks.items():
            others = jax.tree.leaves(found.gradients[player][network])
            leaves = jax.tree.leaves_with_path(grads)
            floor = SMALL * max(float(np.abs(leaf).max(initial=0.0)) for _, leaf in leaves)
            for (path, leaf), other in zip(leaves, others, strict=True):
                scale = max(float(np.abs(leaf).max(initial=0.0)), floor)
                difference = _over(float(np.abs(leaf - other).max(initial=0.0)), scale)
                if difference > largest:
                    largest = difference
                    worst = f"{network}/{jax.tree_util.keystr(path, simple=True, separator='/')}"
    return Difference(losses, largest, worst)


def _over(difference: float, scale: float) -> float:
    """A relative difference; infinite where one side is not a number."""
    if not np.isfinite(difference):
        return float("inf")
    return difference / scale if difference else 0.0


def keep_gradients() -> optax.GradientTransformation:
    """An optimiser that adds up the gradients in its state and moves nothing."""

    def update(updates: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        return optax.tree.zeros_like(updates), optax.tree.add(state, updates)

    return optax.GradientTransformation(lambda params: optax.tree.zeros_like(params), update)


class Round(NamedTuple):
    """A round to play on any device: `play` of its `arguments`."""

    play: Callable[..., Any]
    arguments: tuple[Any, ...]


def round_of(experiment: Experiment) -> Round:
    """The round `ROUND` of a game from its initial state, with its gradients as its result."""
    experiment = config.change(experiment, {"run.devices": 1})
    key, classes = build(experiment).key, getattr(experiment.game, "classes", 0)
    parts = make_parts(experiment, data_shape(experiment.data))
    players = {
        name: player._replace(tx=keep_gradients()) for name, player in parts.game.players.items()
    }
    played = parts.game._replace(players=players)

    def play(state: game.State, batch: game.Batch, key: jax.Array) -> Played:
        seen = parts.see(to_real(batch, classes), state.step)
        state, metrics = game.step(played, state, seen, key, axis_name=parallel.AXIS)
        return Played({move: row["loss"] for move, row in metrics.items()}, state.opt)

    def start() -> game.State:
        return dataclasses.replace(game.init(played, key), step=jnp.int32(ROUND))

    state = jax.jit(start, compiler_options={"xla_backend_optimization_level": 1})()
    return Round(parallel.on_one_device(play), (state, batch_of(experiment), key))


def played_on(device: Any, round_: Round, precision: str) -> Played:
    """Play a round on a device with products of float32 in a precision."""
    with jax.default_matmul_precision(precision):
        played = jax.jit(round_.play)(*jax.device_put(round_.arguments, device))
    return jax.device_get(played)


def main() -> None:
    """Compare the games that are named: all with exact products, then with the platform's."""
    cpu, device = jax.devices("cpu")[0], jax.devices()[0]
    rounds: dict[str, tuple[Round, Played]] = {}

    def difference(name: str, precision: str) -> Difference:
        if name not in rounds:
            with jax.default_device(cpu):
                round_ = round_of(GAMES[name])
            rounds[name] = round_, played_on(cpu, round_, EXACT)
        round_, reference = rounds[name]
        return compare(reference, played_on(device, round_, precision))

    for precision in (EXACT, DEFAULT):
        for name in sys.argv[1:]:
            if precision == DEFAULT and name not in rounds:
                continue
            before, facts = time.perf_counter(), {"game": name, "products": precision}
            try:
                found = difference(name, precision)
            except Exception as error:  # of this game: the others are still compared
                facts["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            else:
                facts |= {**found._asdict(), "agrees": found.agrees}
            print(json.dumps({**facts, "seconds": time.perf_counter() - before}), flush=True)


if __name__ == "__main__":
    main()
