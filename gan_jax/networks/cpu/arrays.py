"""Operations on arrays that several forms share."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from gan_jax.networks.geometry import Pair


def pad(x: Array, rows: Pair, columns: Pair) -> Array:
    """Pad images [b h w c] with zeros; negative numbers crop."""
    config = [(0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def total(parts: Sequence[Array]) -> Array:
    """Add arrays of one shape."""
    return sum(parts[1:], start=parts[0])
