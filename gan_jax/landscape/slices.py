"""Losses on lines and planes through a player's parameters, with filter normalisation.

Li et al. 2018 (arXiv:1712.09913), section 4: each filter of a random direction is scaled to the
norm of the same filter of the network; biases and the parameters of normalisation layers are fixed.
Latents, batch and the other players are fixed as well.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from gan_jax.errors import UserError, nearest
from gan_jax.game import Batch, Game, State
from gan_jax.landscape.field import interpolate_states, losses


def direction(params: PyTree, key: Key[Array, ""]) -> PyTree:
    """Draw a filter-normalised random direction.

    Filters are indexed by the last axis. For a transposed convolution these are the input channels,
    as in the authors' code.

    Args:
        params: parameters of a player.
        key: of the direction.

    Returns:
        A tree like `params`; leaves of at most one axis are zero.
    """
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, map(_filters, leaves, keys))


def _filters(leaf: Array, key: Array) -> Array:
    if leaf.ndim <= 1:
        return jnp.zeros_like(leaf)
    draw = jax.random.normal(key, leaf.shape, leaf.dtype)
    axes = tuple(range(leaf.ndim - 1))
    norm, target = (jnp.sqrt(jnp.sum(x * x, axis=axes, keepdims=True)) for x in (draw, leaf))
    return draw * target / norm


def loss_line(
    game: Game,
    state: State,
    batch: Batch,
    key: Key[Array, ""],
    player: str,
    along: PyTree,
    alphas: Sequence[float] | Float[np.ndarray, " n"],
) -> dict[str, Float[np.ndarray, " n"]]:
    """Compute every player's loss with the parameters of `player` moved by alpha * `along`.

    Args:
        game: the game.
        state: state at alpha 0.
        batch: real data.
        key: of the latents.
        player: whose parameters move.
        along: direction, a tree like `player_params`.
        alphas: positions on the line.

    Returns:
        Player -> losses.

    Raises:
        UserError: an unknown player.
    """
    player_params(game, state, player)

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
    """Compute every player's loss on the plane alpha * along[0] + beta * along[1].

    Arguments are those of `loss_line`, with two directions.

    Returns:
        Player -> losses [n m], n alphas by m betas.

    Raises:
        UserError: an unknown player.
    """
    player_params(game, state, player)
    a, b = jnp.meshgrid(jnp.asarray(alphas, jnp.float32), jnp.asarray(betas, jnp.float32))

    def at(point: tuple[Array, Array]) -> dict[str, Array]:
        here = _moved(_moved(state, along[0], point[0]), along[1], point[1])
        return losses(game, here, batch, key)

    flat = _map(at, (a.T.reshape(-1), b.T.reshape(-1)))
    return {name: values.reshape(len(alphas), len(betas)) for name, values in flat.items()}


def interpolate(
    game: Game,
    start: State,
    end: State,
    batch: Batch,
    key: Key[Array, ""],
    alphas: Sequence[float] | Float[np.ndarray, " n"],
) -> dict[str, Float[np.ndarray, " n"]]:
    """Compute every player's loss between two states (alpha 0 and 1).

    Parameters and statistics, such as those of batch norm, are interpolated.
    """
    return _map(
        lambda alpha: losses(game, interpolate_states(start, end, alpha, end.step), batch, key),
        jnp.asarray(alphas, jnp.float32),
    )


def player_params(game: Game, state: State, player: str) -> dict[str, PyTree]:
    """Return the parameters of a player by network.

    Raises:
        UserError: an unknown player; the message names the nearest.
    """
    if player not in game.players:
        raise UserError(f"no player {player!r}; did you mean {nearest(player, game.players)}?")
    return {name: state.params[name] for name in game.players[player].nets}


def _moved(state: State, along: PyTree, amount: Array) -> State:
    moved = {n: jax.tree.map(lambda p, d: p + amount * d, state.params[n], along[n]) for n in along}
    params = {**state.params, **moved}
    return State(state.step, params, state.stats, state.opt, state.ema)


def _map(at: Callable[[PyTree], dict[str, Array]], points: PyTree) -> dict[str, np.ndarray]:
    """Evaluate points sequentially in one compiled loop: a single batch saturates the device."""
    results = jax.jit(lambda points: jax.lax.map(at, points))(points)
    return {name: np.asarray(values) for name, values in results.items()}
