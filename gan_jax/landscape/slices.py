"""Lines and planes through a player's parameters, filter by filter as large as they are.

Li et al. 2018 (arXiv:1712.09913), section 4: each filter of a random direction has the norm of the
same filter of the network; biases and norms' parameters do not move. Latents, batch and the other
players are held fixed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from gan_jax.errors import UserError, nearest
from gan_jax.game import Batch, Game, State
from gan_jax.landscape.field import losses, mix


def direction(params: PyTree, key: Key[Array, ""]) -> PyTree:
    """A random direction, filter-normalised: leaves [.. features], those of one axis zero.

    A transposed kernel's filters are those of its input channels, its last axis, as in the authors'
    code.
    """
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, map(_filters, leaves, keys))


def _filters(leaf: Array, key: Array) -> Array:
    if leaf.ndim <= 1:
        return jnp.zeros_like(leaf)
    draw = jax.random.normal(key, leaf.shape, leaf.dtype)
    axes = tuple(range(leaf.ndim - 1))
    norm, own = (jnp.sqrt(jnp.sum(x * x, axis=axes, keepdims=True)) for x in (draw, leaf))
    return draw * own / norm


def loss_line(
    game: Game,
    state: State,
    batch: Batch,
    key: Key[Array, ""],
    player: str,
    along: PyTree,
    alphas: Sequence[float] | Float[np.ndarray, " n"],
) -> dict[str, Float[np.ndarray, " n"]]:
    """Every player's loss where `player` moves by alpha * `along` (as `own` gives it).

    Raises UserError for a player that the game does not have.
    """
    own(game, state, player)

    def at(alpha: Array) -> dict[str, Array]:
        return losses(game, _moved(state, along, alpha), batch, key)

    return _map(at, jnp.asarray(alphas, jnp.float32))


def loss_plane(
    game: Game,
    state: State,
    batch: Batch,
    key: Key[Array, ""],
    player: str,
    along: tuple[PyTree, PyTree],
    alphas: Sequence[float] | Float[np.ndarray, " n"],
    betas: Sequence[float] | Float[np.ndarray, " m"],
) -> dict[str, Float[np.ndarray, "n m"]]:
    """Every player's loss on the plane alpha * along[0] + beta * along[1] around the state.

    Raises UserError for a player that the game does not have.
    """
    own(game, state, player)
    a, b = jnp.meshgrid(jnp.asarray(alphas, jnp.float32), jnp.asarray(betas, jnp.float32))

    def at(point: tuple[Array, Array]) -> dict[str, Array]:
        here = _moved(_moved(state, along[0], point[0]), along[1], point[1])
        return losses(game, here, batch, key)

    found = _map(at, (a.T.reshape(-1), b.T.reshape(-1)))
    return {name: values.reshape(len(alphas), len(betas)) for name, values in found.items()}


def interpolate(
    game: Game,
    start: State,
    end: State,
    batch: Batch,
    key: Key[Array, ""],
    alphas: Sequence[float] | Float[np.ndarray, " n"],
) -> dict[str, Float[np.ndarray, " n"]]:
    """Every player's loss between two states (alpha 0 and 1), statistics interpolated as well."""
    return _map(
        lambda alpha: losses(game, mix(start, end, alpha, end.step), batch, key),
        jnp.asarray(alphas, jnp.float32),
    )


def own(game: Game, state: State, player: str) -> dict[str, PyTree]:
    """The parameters that a player owns, by network: what `direction` takes for a slice.

    Raises UserError naming the nearest player.
    """
    if player not in game.players:
        raise UserError(f"no player {player!r}; did you mean {nearest(player, game.players)}?")
    return {name: state.params[name] for name in game.players[player].nets}


def _moved(state: State, along: PyTree, amount: Array) -> State:
    moved = {n: jax.tree.map(lambda p, d: p + amount * d, state.params[n], along[n]) for n in along}
    params = {**state.params, **moved}
    return State(state.step, params, state.stats, state.opt, state.ema)


def _map(at: Callable[[Any], dict[str, Array]], points: Any) -> dict[str, np.ndarray]:
    """One point after another in one compiled loop: a batch of pictures fills a processor."""
    found = jax.jit(lambda points: jax.lax.map(at, points))(points)
    return {name: np.asarray(values) for name, values in found.items()}
