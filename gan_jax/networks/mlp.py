"""Multilayer perceptrons (Goodfellow et al. 2014, arXiv:1406.2661, section 5)."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.products import Dense


class Generator(nn.Module):
    """Latent [b z] to samples [b *shape]; `out` bounds the last layer (tanh for images).

    A condition [b k] joins the latent (Mirza & Osindero 2014, arXiv:1411.1784, section 4.1).
    """

    shape: Sequence[int]
    widths: Sequence[int] = (128, 128)
    activation: Callable[[Array], Array] = nn.relu
    out: Callable[[Array], Array] = nn.tanh
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        condition: Float[Array, "b k"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b *d"]:
        x = _with_condition(z, condition).astype(self.dtype)
        for width in self.widths:
            x = self.activation(Dense(width, dtype=self.dtype)(x))
        size = 1
        for n in self.shape:
            size *= n
        x = self.out(Dense(size, dtype=self.dtype)(x)).astype(jnp.float32)
        return x.reshape(-1, *self.shape)


class Discriminator(nn.Module):
    """Samples [b ...], with a condition [b k] or without, to one logit each, [b]."""

    widths: Sequence[int] = (128, 128)
    activation: Callable[[Array], Array] = lambda x: nn.leaky_relu(x, 0.2)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b *d"],
        condition: Float[Array, "b k"] | None = None,
        train: bool = True,
    ) -> Float[Array, " b"]:
        x = _with_condition(x.reshape(x.shape[0], -1), condition).astype(self.dtype)
        for width in self.widths:
            x = self.activation(Dense(width, dtype=self.dtype)(x))
        return Dense(1, dtype=jnp.float32)(x.astype(jnp.float32))[:, 0]


def _with_condition(x: Float[Array, "b d"], condition: Float[Array, "b k"] | None) -> Array:
    return x if condition is None else jnp.concatenate([x, condition.astype(x.dtype)], axis=-1)
