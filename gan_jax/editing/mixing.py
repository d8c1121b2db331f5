"""Effects of mixing, truncation, noise and directions, as sheets of pictures [r c h w ch].

Karras et al. 2019, arXiv:1812.04948: figure 3 (mixing), figures 4 and 5 (noise), figure 8
(truncation). All but `noise_deviation` use the constant noise, so that nothing else changes.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gan_jax.editing.styles import BATCH, AnyArray, Synthesise, push, render, replace, truncate


def mixing_grid(
    synthesise: Synthesise,
    rows: Float[AnyArray, "r l n"],
    columns: Float[AnyArray, "c l n"],
    chosen: Bool[AnyArray, " l"],
) -> Float[np.ndarray, "i j h w ch"]:
    """Mix each row's styles with the chosen layers of each column's.

    Returns:
        Pictures with i = r + 1 and j = c + 1: the first row and column show the sources, the corner
        is empty (-1, black).
    """
    r, c = len(rows), len(columns)
    mixed = replace(jnp.repeat(rows, c, axis=0), jnp.tile(columns, (r, 1, 1)), chosen)
    pictures = render(synthesise, jnp.concatenate([columns, rows, mixed]))
    top, side, inner = np.split(pictures, [c, c + r])
    grid = np.full((r + 1, c + 1, *pictures.shape[1:]), -1.0, pictures.dtype)
    grid[0, 1:], grid[1:, 0] = top, side
    grid[1:, 1:] = inner.reshape(r, c, *pictures.shape[1:])
    return grid


def truncation_sweep(
    synthesise: Synthesise,
    ws: Float[AnyArray, "r l n"],
    mean: Float[AnyArray, " n"],
    psis: Sequence[float],
    chosen: Bool[AnyArray, " l"],
) -> Float[np.ndarray, "r c h w ch"]:
    """Render every style at every psi; a negative psi gives the opposite, the "anti-face"."""
    return _sheet(synthesise, [truncate(ws, mean, psi, chosen) for psi in psis])


def edits(
    synthesise: Synthesise,
    ws: Float[AnyArray, "r l n"],
    steps: Float[AnyArray, "#r n"],
    strengths: Sequence[float],
    chosen: Bool[AnyArray, " l"],
) -> Float[np.ndarray, "r c h w ch"]:
    """Render every style after each strength times its step, in the chosen layers."""
    return _sheet(synthesise, [push(ws, strength * steps, chosen) for strength in strengths])


def noise_deviation(
    synthesise: Synthesise,
    ws: Float[AnyArray, "r l n"],
    key: Key[Array, ""],
    *,
    draws: int = 64,
) -> Float[np.ndarray, "r h w"]:
    """The standard deviation of each pixel over draws of the noise, mean over channels (figure 4).

    Welford's running moments do not cancel where the deviation is small.
    """
    mean = square = np.zeros(())
    for number in range(draws):
        pictures = render(synthesise, ws, jax.random.fold_in(key, number)).astype(np.float64)
        change = pictures - mean
        mean = mean + change / (number + 1)
        square = square + change * (pictures - mean)
    return np.sqrt(square / draws).mean(axis=-1).astype(np.float32)


def _sheet(synthesise: Synthesise, columns: Sequence[Array]) -> Float[np.ndarray, "r c h w ch"]:
    pictures = render(synthesise, jnp.concatenate(columns), batch=BATCH)
    return pictures.reshape(len(columns), -1, *pictures.shape[1:]).swapaxes(0, 1)
