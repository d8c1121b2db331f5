"""Which matrix products oneDNN computes on CPUs. Thresholds were measured on 2 cores (x86)."""

import math

import jax.numpy as jnp
from jax.core import ShapedArray

from gan_jax.networks.cpu import onednn

FEWEST_BATCHED = 10**7  # multiplications of several points' products, which XLA gives a core each
FEWEST_SINGLE = 4 * FEWEST_BATCHED  # XLA splits a single product among the cores
MANY_TERMS = 2**10  # with transpose_a and as many terms XLA does not split a single product either
NARROWEST = 16  # rows, columns or terms: XLA is faster with vectors


def is_for_library(a: ShapedArray, b: ShapedArray, *, transpose_a: bool, transpose_b: bool) -> bool:
    """Whether oneDNN computes a product faster than XLA."""
    terms = a.shape[-2 if transpose_a else -1]
    sizes = onednn.product_shape(a, b, transpose_a, transpose_b)
    if a.dtype != jnp.float32 or min(*sizes[-2:], terms) < NARROWEST:
        return False
    split = math.prod(sizes[:-2]) == 1 and not (transpose_a and terms >= MANY_TERMS)
    return math.prod(sizes) * terms >= (FEWEST_SINGLE if split else FEWEST_BATCHED)
