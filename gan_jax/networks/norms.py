"""Normalisation without parameters: instance norm (Ulyanov et al. 2016, arXiv:1607.08022)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

EPSILON = 1e-5  # the CycleGAN authors' PyTorch code; flax's own instance norm has 1e-6


class InstanceNorm(nn.Module):
    """Each channel of each image to mean 0 and variance 1, with statistics in float32.

    No gain and no bias, as in the CycleGAN authors' PyTorch code. A map of one pixel becomes zero.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        x = x.astype(jnp.float32)
        x = x - jnp.mean(x, axis=(1, 2), keepdims=True)
        variance = jnp.mean(jnp.square(x), axis=(1, 2), keepdims=True)
        return (x * jax.lax.rsqrt(variance + EPSILON)).astype(self.dtype)


def instance_norm(
    *, use_running_average: bool = False, dtype: DTypeLike = jnp.float32, name: str | None = None
) -> InstanceNorm:
    """Make a network's `norm`, with the signature of what `dcgan.batch_norm` returns.

    The statistics are those of each image, never running ones: `use_running_average` has no effect.
    """
    return InstanceNorm(dtype=dtype, name=name)
