"""Priors p(z) and walks between latents.

A prior is `(key, index) -> z`: example `index[i]` gets the same z however the batch is split over
devices, because its key is folded with its global number.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

Prior = Callable[[Key[Array, ""], Int[Array, " b"]], Float[Array, "b z"]]


def _per_example(draw: Callable[[Array], Array]) -> Prior:
    return lambda key, index: jax.vmap(lambda i: draw(jax.random.fold_in(key, i)))(index)


def normal(size: int) -> Prior:
    """Z ~ N(0, I) of `size` numbers."""
    return _per_example(lambda key: jax.random.normal(key, (size,)))


def uniform(size: int) -> Prior:
    """Z ~ U[-1, 1] of `size` numbers: the DCGAN paper's prior (Radford et al. 2016)."""
    return _per_example(lambda key: jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0))


def divergence(mean: Float[Array, "b k"], log_variance: Float[Array, "b k"]) -> Float[Array, " b"]:
    """KL(N(mean, variance) || N(0, I)), nats, summed over dimensions (Kingma & Welling 2014, B)."""
    terms = jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance
    return 0.5 * jnp.sum(terms, axis=-1)


def lerp(
    a: Float[Array, "*b z"], b: Float[Array, "*b z"], t: Float[Array, "*#b 1"] | float
) -> Float[Array, "*b z"]:
    """Straight line from `a` (t=0) to `b` (t=1)."""
    return a + t * (b - a)


def slerp(
    a: Float[Array, "*b z"], b: Float[Array, "*b z"], t: Float[Array, "*#b 1"] | float
) -> Float[Array, "*b z"]:
    """Great circle from `a` to `b` at constant angular speed, lengths interpolated in a line.

    A Gaussian's mass lies near a sphere, which a straight line would leave (White 2016,
    arXiv:1609.04468).
    """
    length_a = jnp.linalg.norm(a, axis=-1, keepdims=True)
    length_b = jnp.linalg.norm(b, axis=-1, keepdims=True)
    cosine = jnp.sum(a * b, axis=-1, keepdims=True) / (length_a * length_b)
    angle = jnp.arccos(jnp.clip(cosine, -1.0 + 1e-7, 1.0 - 1e-7))
    arc = (jnp.sin((1.0 - t) * angle) * a / length_a + jnp.sin(t * angle) * b / length_b) / jnp.sin(
        angle
    )
    return arc * lerp(length_a, length_b, t)
