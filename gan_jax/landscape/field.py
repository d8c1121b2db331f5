"""Losses and vector field of a game on the line between two states of training.

The vector field v concatenates the gradients of each player's own loss. Its norm on the line, and
its angle to the line, distinguish attraction from rotation (Berard et al. 2020, arXiv:1906.04848).
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree, Scalar

from gan_jax import game as core
from gan_jax.game import Batch, Game, State


def losses(game: Game, state: State, batch: Batch, key: Key[Array, ""]) -> dict[str, Scalar]:
    """Compute each player's loss; their gradients are `game.vector_field`.

    A player's loss is the sum over its moves; a move that is not played every round is weighted by
    its share of the player's rounds. A shared forward pass is computed once.

    Returns:
        Player -> loss.
    """
    key = jax.random.fold_in(key, state.step)
    batch = core.with_index(batch, state.step)
    variables = core.variables(game, state)
    if game.shared is not None:
        values, _ = game.shared.forward(variables, batch, core.fold(key, "shared"))
        batch = {**batch, **values}
        if game.shared.recall is not None:
            recalled, _ = game.shared.recall(variables, values, core.fold(key, "recall"))
            batch = {**batch, **jax.lax.stop_gradient(recalled)}
    totals: dict[str, Scalar] = {}
    for number, move in enumerate(game.moves):
        value, _ = move.loss(variables, batch, jax.random.fold_in(key, number))
        totals[move.player] = totals.get(move.player, 0.0) + core.move_weight(game, move) * value
    return totals


class Path(NamedTuple):
    """The vector field v on the line from `start` (alpha 0) to `end` (alpha 1).

    A sign change of the angle at alpha 1 indicates attraction, a bump indicates rotation.

    Attributes:
        alphas: positions on the line.
        norm: |v|, by position.
        angle: cosine between v and end - start, by position.
        player_angle: the same cosine over the parameters of each player.
        losses: of each player.
    """

    alphas: Float[np.ndarray, " n"]
    norm: Float[np.ndarray, " n"]
    angle: Float[np.ndarray, " n"]
    player_angle: Mapping[str, Float[np.ndarray, " n"]]
    losses: Mapping[str, Float[np.ndarray, " n"]]


def path(
    game: Game,
    start: State,
    end: State,
    batch: Batch,
    key: Key[Array, ""],
    alphas: Float[np.ndarray, " n"] | None = None,
) -> Path:
    """Evaluate the field on the line between two states, with fixed batch and latents.

    Args:
        game: the game.
        start: state at alpha 0.
        end: state at alpha 1.
        batch: real data.
        key: of the latents, folded with the round of `end`.
        alphas: positions; by default the paper's 100 points on [-0.1, 1.1].

    References:
        Berard et al. 2020, arXiv:1906.04848, section 4.
    """
    alphas = np.linspace(-0.1, 1.1, 100) if alphas is None else alphas
    step = end.step

    @jax.jit
    def at(alpha: Array) -> dict[str, PyTree]:
        here = interpolate_states(start, end, alpha, step)
        field = core.vector_field(game, here, batch, key)
        line = {
            player: {n: jax.tree.map(jnp.subtract, end.params[n], start.params[n]) for n in grads}
            for player, grads in field.items()
        }
        return {
            "norm": optax.tree.norm(field),
            "angle": cosine(field, line),
            "players": {player: cosine(field[player], line[player]) for player in field},
            "losses": losses(game, here, batch, key),
        }

    rows = [jax.device_get(at(jnp.asarray(alpha, jnp.float32))) for alpha in alphas]
    columns = jax.tree.map(lambda *values: np.array(values), *rows)
    return Path(alphas, columns["norm"], columns["angle"], columns["players"], columns["losses"])


def interpolate_states(start: State, end: State, alpha: Array, step: Array) -> State:
    """Interpolate parameters and statistics linearly; integer leaves and the rest are `end`'s."""

    def between(a: Array, b: Array) -> Array:
        return a + alpha * (b - a) if jnp.issubdtype(b.dtype, jnp.floating) else b

    params = jax.tree.map(between, start.params, end.params)
    stats = jax.tree.map(between, start.stats, end.stats)
    return State(step, params, stats, end.opt, end.ema)


def gradient_cosines(
    game: Game, state: State, batch: Batch, key: Key[Array, ""]
) -> dict[str, dict[str, Scalar]]:
    """Compute the cosines between gradients of two players' losses in one player's parameters.

    They measure how far the players' interests agree: -1 in a zero-sum game. Every loss is
    differentiated as a function of all parameters, including the shared forward pass.

    Returns:
        Owner of the parameters -> other player -> cosine.
    """

    def total(params: PyTree, player: str) -> Scalar:
        moved = State(state.step, params, state.stats, state.opt, state.ema)
        return losses(game, moved, batch, key)[player]

    slopes = {player: jax.grad(total)(state.params, player) for player in game.players}
    cosines: dict[str, dict[str, Scalar]] = {}
    for owner, player in game.players.items():
        own = {n: slopes[owner][n] for n in player.nets}
        cosines[owner] = {
            other: cosine(own, {n: slopes[other][n] for n in player.nets})
            for other in game.players
            if other != owner
        }
    return cosines


def cosine(a: PyTree, b: PyTree) -> Scalar:
    """Compute the cosine between two trees as vectors; 0 if one of them is zero."""
    scale = optax.tree.norm(a) * optax.tree.norm(b)
    return jnp.where(scale > 0, optax.tree.vdot(a, b) / jnp.where(scale > 0, scale, 1.0), 0.0)


def trajectory(game: Game, state: State, batch: Batch, key: Key[Array, ""], rounds: int) -> State:
    """Play `rounds` rounds and stack all states, including the first: leaves [rounds + 1, ...]."""

    def play(state: State, _: None) -> tuple[State, State]:
        state, _metrics = core.step(game, state, batch, key)
        return state, state

    after = jax.jit(lambda state: jax.lax.scan(play, state, length=rounds)[1])(state)
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), state, after)


class Arrows(NamedTuple):
    """The dynamics (dx, dy) = -v of a game of two scalars at the points (x, y) of a grid."""

    x: Float[np.ndarray, "m n"]
    y: Float[np.ndarray, "m n"]
    dx: Float[np.ndarray, "m n"]
    dy: Float[np.ndarray, "m n"]


def arrows(
    game: Game, state: State, batch: Batch, key: Key[Array, ""], line: Float[np.ndarray, " n"]
) -> Arrows:
    """Evaluate -v of a game whose two players own one scalar each, on the grid line x line."""
    first, second = game.players
    x, y = np.meshgrid(line, line)

    def at(x: Array, y: Array) -> tuple[Array, Array]:
        values = {first: x, second: y}
        params = {
            name: jax.tree.map(lambda w, v=values[name]: jnp.broadcast_to(v, w.shape), tree)
            for name, tree in state.params.items()
        }
        here = State(state.step, params, state.stats, state.opt, state.ema)
        field = core.vector_field(game, here, batch, key)
        dx, dy = (-jax.tree.leaves(field[name])[0].reshape(()) for name in (first, second))
        return dx, dy

    dx, dy = jax.jit(jax.vmap(jax.vmap(at)))(jnp.asarray(x), jnp.asarray(y))
    return Arrows(x, y, np.asarray(dx), np.asarray(dy))
