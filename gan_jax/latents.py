"""Priors p(z), and interpolation between latents.

A prior is `(key, index) -> z`. Example `index[i]` gets the same z however the batch is split over
devices, because its key is folded with its global number.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

Prior = Callable[[Key[Array, ""], Int[Array, " b"]], Float[Array, "b z"]]


def per_example(
    draw: Callable[[Key[Array, ""]], Array],
) -> Callable[[Key[Array, ""], Int[Array, " b"]], Array]:
    """Turn `key -> sample` into `(key, index) -> samples`, by a key for each global number."""
    return lambda key, index: jax.vmap(lambda i: draw(jax.random.fold_in(key, i)))(index)


def normal(size: int) -> Prior:
    """The prior z ~ N(0, I), [b size]."""
    return per_example(lambda key: jax.random.normal(key, (size,)))


def uniform(size: int) -> Prior:
    """The prior z ~ U[-1, 1], [b size]: DCGAN's (Radford et al. 2016, arXiv:1511.06434)."""
    return per_example(lambda key: jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0))


def kl_to_standard_normal(
    mean: Float[Array, "b k"], log_variance: Float[Array, "b k"]
) -> Float[Array, " b"]:
    """KL(N(mean, variance) || N(0, I)) in nats, summed over dimensions.

    References:
        Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114, appendix B.
    """
    terms = jnp.square(mean) + jnp.exp(log_variance) - 1.0 - log_variance
    return 0.5 * jnp.sum(terms, axis=-1)


def lerp(
    a: Float[Array, "*b z"], b: Float[Array, "*b z"], t: Float[Array, "*#b 1"] | float
) -> Float[Array, "*b z"]:
    """Interpolate along the straight line from `a` (t=0) to `b` (t=1)."""
    return a + t * (b - a)


def slerp(
    a: Float[Array, "*b z"], b: Float[Array, "*b z"], t: Float[Array, "*#b 1"] | float
) -> Float[Array, "*b z"]:
    """Interpolate along the great circle from `a` (t=0) to `b` (t=1).

    The angle is linear in t, and so is the length. A Gaussian's mass lies near a sphere, which a
    straight line would leave (White 2016, arXiv:1609.04468).
    """
    length_a = jnp.linalg.norm(a, axis=-1, keepdims=True)
    length_b = jnp.linalg.norm(b, axis=-1, keepdims=True)
    cosine = jnp.sum(a * b, axis=-1, keepdims=True) / (length_a * length_b)
    angle = jnp.arccos(jnp.clip(cosine, -1.0 + 1e-7, 1.0 - 1e-7))
    arc = (jnp.sin((1.0 - t) * angle) * a / length_a + jnp.sin(t * angle) * b / length_b) / jnp.sin(
        angle
    )
    return arc * lerp(length_a, length_b, t)
