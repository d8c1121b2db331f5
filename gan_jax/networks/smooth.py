"""Anti-aliased resampling of maps (Zhang 2019, arXiv:1904.11486), as in the code of CUT."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def halve(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Filter by [1 2 1] / 4 along both axes, reflected at the borders; keep every second pixel."""
    # Sums of shifted images: XLA's depthwise convolution is many times slower on CPUs.
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    x = 0.25 * x[:, :-2:2] + 0.5 * x[:, 1:-1:2] + 0.25 * x[:, 2::2]
    return 0.25 * x[:, :, :-2:2] + 0.5 * x[:, :, 1:-1:2] + 0.25 * x[:, :, 2::2]


def double(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Put zeros between pixels, repeated at the borders; filter by [1 3 3 1] / 4 along both axes.

    The result lies 3/4 at the nearest and 1/4 at the next pixel of each axis.
    """
    for axis in (1, 2):
        pads = [(1, 1) if a == axis else (0, 0) for a in range(4)]
        size, wide = x.shape[axis], jnp.pad(x, pads, mode="edge")
        before, after = (lax.slice_in_dim(wide, n, n + size, axis=axis) for n in (0, 2))
        pair = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis=axis + 1)
        x = pair.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
    return x
