"""Conditioning augmentation of captions (Zhang et al. 2017, StackGAN, arXiv:1612.03242)."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class Augmenter(nn.Module):
    """A caption's embedding [b t] to mean and log-variance [b size] of the generator's condition.

    Section 3.2: one linear layer with a leaky ReLU.
    """

    size: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, text: Float[Array, "b t"], train: bool = True
    ) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
        x = nn.Dense(2 * self.size, dtype=self.dtype)(text.astype(self.dtype))
        mean, log_variance = jnp.split(nn.leaky_relu(x, 0.2).astype(jnp.float32), 2, axis=-1)
        return mean, log_variance
