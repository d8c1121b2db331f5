"""Kernel Inception distance: squared maximum mean discrepancy under a cubic kernel.

Binkowski, Sutherland, Arbel & Gretton 2018, arXiv:1801.01401, section 4. Unlike the Fréchet
distance, its estimate is unbiased for every number of samples, and can be slightly negative.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gan_jax.errors import UserError

SUBSETS, SUBSET_SIZE = 100, 1000  # section 4


class Estimate(NamedTuple):
    """Mean and standard deviation over subsets; the latter is not the error of the mean."""

    mean: float
    std: float


def kernel_distance(
    real: Float[np.ndarray, "n d"],
    fake: Float[np.ndarray, "m _"],
    *,
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
    seed: int = 2020,
) -> Estimate:
    """Compute the unbiased MMD^2 under the kernel (x.y / d + 1)^3, averaged over random subsets.

    Subsets are drawn by numpy's `RandomState`, whose stream is frozen: a seed gives the same value
    everywhere. Arithmetic is float64.

    Args:
        real: features of real images.
        fake: features of generated images.
        subsets: number of subsets.
        size: samples of each set in a subset; at most min(n, m) are used.
        seed: of the subsets.

    Raises:
        UserError: sets of different dimension or with fewer than two samples.
    """
    if real.shape[1] != fake.shape[1]:
        raise UserError(
            f"features of {real.shape[1]} and {fake.shape[1]} dimensions cannot be compared"
        )
    size = min(size, len(real), len(fake))
    if size < 2:
        raise UserError(f"KID needs at least 2 samples of each set, not {size}")
    if size == len(real) == len(fake):
        subsets = 1  # all subsets would be the whole set
    draw = np.random.RandomState(seed).choice
    values = np.empty(subsets)
    with jax.enable_x64(True):
        for i in range(subsets):
            x = real[draw(len(real), size, replace=False)]
            y = fake[draw(len(fake), size, replace=False)]
            values[i] = _mmd(x, y)
    return Estimate(float(values.mean()), float(values.std()))


@jax.jit
def _mmd(x: Float[Array, "s d"], y: Float[Array, "s d"]) -> Float[Array, ""]:
    """Compute the unbiased MMD^2 (Gretton et al. 2012, equation 3), without self-pairs."""
    size, dimensions = x.shape
    x, y = x.astype(jnp.float64), y.astype(jnp.float64)

    def within(a: Array) -> Array:
        own = jnp.sum(a * a, axis=1) / dimensions + 1.0
        return (jnp.sum((a @ a.T / dimensions + 1.0) ** 3) - jnp.sum(own**3)) / (size * (size - 1))

    cross = jnp.mean((x @ y.T / dimensions + 1.0) ** 3)
    return within(x) + within(y) - 2.0 * cross
