"""The heads through which CUT compares patches (Park et al. 2020, arXiv:2007.15651, section 3)."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.products import Dense

EPSILON = 1e-7  # added to a vector's length, in the authors' code
GAIN = 0.02
XAVIER = nn.initializers.variance_scaling(GAIN**2, "fan_avg", "normal")
"""Weights N(0, 0.02^2 * 2 / (fan in + fan out)): all networks in the authors' code."""


class PatchHeads(nn.Module):
    """Vectors [b n c] of each map to unit vectors [b n size] in float32, a perceptron for each map.

    Numbers of vectors n and of channels c differ between maps.

    Two dense layers of `size` units with a ReLU between them.
    """

    size: int = 256
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, *vectors: Float[Array, "b _ _"], train: bool = True
    ) -> tuple[Float[Array, "b _ size"], ...]:
        make = {"kernel_init": XAVIER, "dtype": self.dtype}
        outputs = []
        for number, x in enumerate(vectors):
            x = nn.relu(Dense(self.size, name=f"map{number}_hidden", **make)(x))
            x = Dense(self.size, name=f"map{number}_out", **make)(x).astype(jnp.float32)
            outputs.append(unit_length(x))
        return tuple(outputs)


def unit_length(x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
    """Divide vectors by their lengths; a zero vector stays, and its gradient is finite."""
    square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    # Flat areas of a drawing give zeros before the first biases have moved.
    return x / (jnp.sqrt(jnp.where(square > 0.0, square, 1.0)) + EPSILON)
