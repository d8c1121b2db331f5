"""Sliced Wasserstein distance between features: the mean over random directions in one dimension.

Of features of images it needs fewer samples than a Fréchet distance and assumes no shape of their
distribution. Rabin et al. 2011, "Wasserstein barycenter and its application to texture mixing";
on features of generated images as MIND (2026, arXiv:2605.06797).
"""

import numpy as np
from jaxtyping import Float, Int

from gan_jax.errors import UserError

DIRECTIONS = 512


def sliced_wasserstein(
    real: Float[np.ndarray, "n d"],
    fake: Float[np.ndarray, "m _"],
    *,
    directions: int = DIRECTIONS,
    seed: int = 2026,
) -> float:
    """Compute the squared 2-Wasserstein distance of projections, averaged over directions.

    In one dimension it is the integral of the squared difference of both quantile functions, which
    is exact here for any n and m.

    Args:
        real: features of real images.
        fake: features of generated images.
        directions: number of random unit vectors.
        seed: of the directions, which numpy's `RandomState` gives alike everywhere.

    Raises:
        UserError: sets of different dimension, or empty ones.
    """
    if real.shape[1] != fake.shape[1]:
        raise UserError(
            f"features of {real.shape[1]} and {fake.shape[1]} dimensions cannot be compared"
        )
    if not len(real) or not len(fake):
        raise UserError("the sliced Wasserstein distance needs samples of both sets")
    axes = np.random.RandomState(seed).normal(size=(real.shape[1], directions))
    axes /= np.linalg.norm(axes, axis=0, keepdims=True)
    a, b = (np.sort(x.astype(np.float64) @ axes, axis=0) for x in (real, fake))
    widths, i, j = _steps(len(a), len(b))
    return float(np.mean(widths @ np.square(a[i] - b[j])))


def _steps(
    n: int, m: int
) -> tuple[Float[np.ndarray, " k"], Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """The intervals on which two quantile functions are constant, and the samples' ranks there."""
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / (n m)
    widths = np.diff(ends, prepend=0)
    starts = ends - widths
    return widths / (n * m), starts // m, starts // n
