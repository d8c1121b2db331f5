"""The losses and the vector field of a game along the way to a solution.

Berard et al. 2020 (arXiv:1906.04848): v stacks the gradient of each player's *own* loss. Between
two points of training, the norm of v and its angle to the line tell attraction from rotation.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree, Scalar

from gan_jax import game as core
from gan_jax.game import Batch, Game, State


def losses(game: Game, state: State, batch: Batch, key: Key[Array, ""]) -> dict[str, Scalar]:
    """Each player's loss: the functions whose gradients are `game.vector_field`.

    A player's loss sums its moves, a rare move by its share of the player's rounds; a shared
    forward pass is computed once and read by all.
    """
    key = jax.random.fold_in(key, state.step)
    batch = core.with_index(batch, state.step)
    seen = core.variables(game, state)
    if game.shared is not None:
        values, _ = game.shared.forward(seen, batch, core.fold(key, "shared"))
        batch = {**batch, **values}
        if game.shared.recall is not None:
            recalled, _ = game.shared.recall(seen, values, core.fold(key, "recall"))
            batch = {**batch, **jax.lax.stop_gradient(recalled)}
    found: dict[str, Any] = {}
    for number, move in enumerate(game.moves):
        value, _ = move.loss(seen, batch, jax.random.fold_in(key, number))
        found[move.player] = found.get(move.player, 0.0) + core.move_weight(game, move) * value
    return found


class Path(NamedTuple):
    """The field on the line from `start` (alpha 0) to `end` (alpha 1), one entry an alpha.

    `angle` is the cosine between v and end - start, of all players and of each; `norm` is |v|. A
    sign switch of the angle at alpha 1 means attraction; a bump there means rotation.
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
    """Walks in a line between two states: parameters and statistics both, batch and latents fixed.

    By default 100 points on [-0.1, 1.1], the paper's. `key` and the end's round decide the latents.
    """
    alphas = np.linspace(-0.1, 1.1, 100) if alphas is None else alphas
    step = end.step

    @jax.jit
    def at(alpha: Array) -> dict[str, Any]:
        here = mix(start, end, alpha, step)
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


def mix(start: State, end: State, alpha: Array, step: Array) -> State:
    """The state at `alpha` on the line: every float leaf interpolated, the others the end's."""

    def between(a: Array, b: Array) -> Array:
        return a + alpha * (b - a) if jnp.issubdtype(b.dtype, jnp.floating) else b

    params = jax.tree.map(between, start.params, end.params)
    stats = jax.tree.map(between, start.stats, end.stats)
    return State(step, params, stats, end.opt, end.ema)


def gradient_cosines(
    game: Game, state: State, batch: Batch, key: Key[Array, ""]
) -> dict[str, dict[str, Scalar]]:
    """How far players want the same of a player's parameters: {owner: {other: cosine}}.

    Of the gradients of the owner's and of another's loss in the owner's parameters: -1 in a
    zero-sum game, where one's loss is the other's gain. Reads every loss as a function of all
    parameters, the shared forward pass included.
    """

    def total(params: PyTree, player: str) -> Scalar:
        moved = State(state.step, params, state.stats, state.opt, state.ema)
        return losses(game, moved, batch, key)[player]

    slopes = {player: jax.grad(total)(state.params, player) for player in game.players}
    found: dict[str, dict[str, Scalar]] = {}
    for owner, player in game.players.items():
        own = {n: slopes[owner][n] for n in player.nets}
        found[owner] = {
            other: cosine(own, {n: slopes[other][n] for n in player.nets})
            for other in game.players
            if other != owner
        }
    return found


def cosine(a: PyTree, b: PyTree) -> Scalar:
    """The cosine between two trees as vectors; 0 where one is zero."""
    scale = optax.tree.norm(a) * optax.tree.norm(b)
    return jnp.where(scale > 0, optax.tree.vdot(a, b) / jnp.where(scale > 0, scale, 1.0), 0.0)


def trajectory(game: Game, state: State, batch: Batch, key: Key[Array, ""], rounds: int) -> State:
    """The states of `rounds` rounds, the first one included: leaves [rounds + 1, ...]."""

    def one(state: State, _: None) -> tuple[State, State]:
        state, _metrics = core.step(game, state, batch, key)
        return state, state

    after = jax.jit(lambda state: jax.lax.scan(one, state, length=rounds)[1])(state)
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), state, after)


class Arrows(NamedTuple):
    """The dynamics -v of a game of two numbers on a grid: `x`, `y`, `dx`, `dy`, [m n] each."""

    x: Float[np.ndarray, "m n"]
    y: Float[np.ndarray, "m n"]
    dx: Float[np.ndarray, "m n"]
    dy: Float[np.ndarray, "m n"]


def arrows(
    game: Game, state: State, batch: Batch, key: Key[Array, ""], line: Float[np.ndarray, " n"]
) -> Arrows:
    """Where a game whose two players own one number each pulls, at all points of line x line."""
    first, second = game.players
    x, y = np.meshgrid(line, line)

    def at(x: Array, y: Array) -> tuple[Array, Array]:
        places = {first: x, second: y}
        params = {
            name: jax.tree.map(lambda w, v=places[name]: jnp.broadcast_to(v, w.shape), tree)
            for name, tree in state.params.items()
        }
        here = State(state.step, params, state.stats, state.opt, state.ema)
        found = core.vector_field(game, here, batch, key)
        dx, dy = (-jax.tree.leaves(found[name])[0].reshape(()) for name in (first, second))
        return dx, dy

    dx, dy = jax.jit(jax.vmap(jax.vmap(at)))(jnp.asarray(x), jnp.asarray(y))
    return Arrows(x, y, np.asarray(dx), np.asarray(dy))
