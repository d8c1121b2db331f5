"""Penalties on a discriminator's slope, and weight clipping as an optax transform.

`discriminate(x) -> (logits, aux)` judges a batch; slopes are per sample, summed over pixels.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

Discriminate = Callable[[Float[Array, "b *d"]], tuple[Float[Array, "b *p"], Any]]


def squared_slope(
    discriminate: Discriminate, x: Float[Array, "b *d"]
) -> tuple[Float[Array, "b *p"], Float[Array, " b"], Any]:
    """The logits, |grad_x D(x)|^2 of each sample, and aux, from a single forward pass.

    R1 is gamma/2 times the mean of the squares on real samples, R2 on fakes (Mescheder et al. 2018,
    arXiv:1801.04406): summed over pixels, averaged over the batch.
    """
    logits, pull, aux = jax.vjp(discriminate, x, has_aux=True)
    (slope,) = pull(jnp.ones_like(logits))
    return logits, jnp.sum(jnp.square(slope), axis=tuple(range(1, x.ndim))), aux


def gradient_penalty(
    discriminate: Discriminate,
    real: Float[Array, "b *d"],
    fake: Float[Array, "b *d"],
    mix: Float[Array, " b"],
) -> Float[Array, " b"]:
    """(|grad D| - 1)^2 between real and fake, one `mix` in [0, 1] per sample.

    Gulrajani et al. 2017, arXiv:1704.00028, eq. 3; the paper weighs it by 10 and uses no batch norm
    in the critic, because the penalty is per sample.
    """
    mix = mix.reshape(-1, *(1,) * (real.ndim - 1))
    _, squares, _ = squared_slope(discriminate, real + mix * (fake - real))
    return jnp.square(jnp.sqrt(squares + 1e-12) - 1.0)  # 1e-12: the root's slope at 0 is finite


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Keeps every parameter in [-limit, limit]; the last transform of a chain (WGAN: 0.01)."""

    def update(updates: Any, state: optax.OptState, params: Any = None) -> Any:
        if params is None:
            raise ValueError("clip_weights needs the parameters: call update(grads, state, params)")
        clipped = jax.tree.map(lambda p, u: jnp.clip(p + u, -limit, limit) - p, params, updates)
        return clipped, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
