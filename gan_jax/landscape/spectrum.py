"""Matrix-free eigenvalues of a game's Jacobian.

The Jacobian of the vector field (Berard et al. 2020, arXiv:1906.04848, section 3.2) is not
symmetric: real parts of eigenvalues attract or repel, imaginary parts rotate. Arnoldi's method
needs only products with vectors. Products with the transpose, which has the same eigenvalues, cost
one reverse pass through the field; forward-mode differentiation is not needed.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse.linalg as sparse
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Complex, Float, Key

from gan_jax.errors import UserError, nearest
from gan_jax.game import Batch, Game, State, vector_field


def spectrum(
    game: Game,
    state: State,
    batch: Batch,
    key: Key[Array, ""],
    *,
    count: int = 20,
    player: str | None = None,
    seed: int = 0,
    tolerance: float = 1e-3,
) -> Complex[np.ndarray, " count"]:
    """Compute the eigenvalues of largest magnitude, in descending order.

    Args:
        game: the game.
        state: where the Jacobian is evaluated.
        batch: real data.
        key: of the latents.
        count: number of eigenvalues; smaller games have fewer.
        player: restricts the Jacobian to the block of one player, the Hessian of its loss, with
            real eigenvalues; negative ones indicate a saddle point. None for all players.
        seed: of the start vector.
        tolerance: relative accuracy.

    Raises:
        UserError: an unknown player, or no convergence.
    """
    transposed, size = products(game, state, batch, key, player=player)
    if size <= count + 1:
        matrix = dense(game, state, batch, key, player=player)
        values = np.linalg.eigvalsh(matrix) if player else np.linalg.eigvals(matrix)
        return _sorted(values)[:count]
    operator = sparse.LinearOperator((size, size), matvec=transposed, dtype=np.float64)  # pyright: ignore
    start = np.random.RandomState(seed).standard_normal(size)
    options: dict[str, Any] = {"which": "LM", "v0": start, "tol": tolerance}
    options |= {"return_eigenvectors": False}
    try:
        if player is not None:
            return _sorted(np.asarray(sparse.eigsh(operator, k=count, **options)))
        more = min(count + 1, size - 2)  # the last may be half of a conjugate pair
        return _sorted(np.asarray(sparse.eigs(operator, k=more, **options)))[:count]
    except sparse.ArpackNoConvergence as error:
        converged = len(error.eigenvalues)
        raise UserError(
            f"{converged} of {count} eigenvalues converged; raise the tolerance"
        ) from error


def products(
    game: Game, state: State, batch: Batch, key: Key[Array, ""], *, player: str | None = None
) -> tuple[Callable[[Float[np.ndarray, " d"]], Float[np.ndarray, " d"]], int]:
    """Return a function u -> J^T u for the Jacobian J, and the number d of parameters.

    Raises:
        UserError: an unknown player.
    """
    field, here = _flat(game, state, batch, key, player)

    @jax.jit
    def product(u: Array) -> Array:
        return jax.vjp(field, here)[1](u)[0]

    def transposed(u: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        return np.asarray(product(jnp.asarray(u.reshape(-1), jnp.float32)), np.float64)

    return transposed, len(here)


def dense(
    game: Game, state: State, batch: Batch, key: Key[Array, ""], *, player: str | None = None
) -> Float[np.ndarray, "d d"]:
    """Compute the whole Jacobian: row i is the gradient of component i. For small games."""
    field, here = _flat(game, state, batch, key, player)
    return np.asarray(jax.jit(jax.jacrev(field))(here), np.float64)


def _flat(
    game: Game, state: State, batch: Batch, key: Array, player: str | None
) -> tuple[Callable[[Array], Array], Array]:
    """Return the field as a function of the flattened parameters, and those parameters."""
    if player is not None and player not in game.players:
        raise UserError(f"no player {player!r}; did you mean {nearest(player, game.players)}?")
    players = game.players if player is None else {player: game.players[player]}
    owned = {name: {n: state.params[n] for n in p.nets} for name, p in players.items()}
    here, unravel = ravel_pytree(owned)

    def field(vector: Array) -> Array:
        params = dict(state.params)
        for nets in unravel(vector).values():
            params |= nets
        moved = State(state.step, params, state.stats, state.opt, state.ema)
        gradients = vector_field(game, moved, batch, key)
        return ravel_pytree({name: gradients[name] for name in owned})[0]

    return field, here


def _sorted(values: np.ndarray) -> Complex[np.ndarray, " n"]:
    order = np.argsort(-np.abs(values), kind="stable")
    return values[order].astype(np.complex128)
