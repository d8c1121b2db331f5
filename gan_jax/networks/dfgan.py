"""DF-GAN's networks: text fused into every block, and a discriminator with one output.

Tao et al. 2022 (arXiv:2008.05865). The generator has no normalisation: latent and sentence shift
and scale its maps twice before each convolution. The discriminator judges image and sentence
together and has no unconditional output. Details beyond the paper are those of the authors' code.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.errors import UserError
from gan_jax.networks.conv import Conv, Initializer
from gan_jax.networks.layers import pytorch_init
from gan_jax.networks.products import Dense
from gan_jax.networks.stylegan_layers import double, halve, leaky_relu, stages

MOST = 8  # the widest maps, in multiples of `width`
WEIGHTS = pytorch_init()  # as the code keeps it


def channels(width: int, resolution: int) -> tuple[int, ...]:
    """Count the channels of the maps at 4 px, ..., `resolution` px: width * min(2^i, 8) from there.

    Raises:
        UserError: The resolution is not a power of two, or less than 8.
    """
    blocks = stages(resolution)
    if not blocks:
        raise UserError(f"resolution {resolution} leaves no block; 8 has one")
    return tuple(width * min(2**i, MOST) for i in reversed(range(blocks + 1)))


class Affine(nn.Module):
    """Scale and shift each channel of maps by functions of the condition; initially the identity.

    Each function is a hidden layer of as many units as channels, ReLU, and a linear layer whose
    weights are initially 0 (section 3.4).
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], condition: Float[Array, "b k"]
    ) -> Float[Array, "b h w c"]:
        gamma = self._function("gamma", nn.initializers.ones_init(), x.shape[-1], condition)
        beta = self._function("beta", nn.initializers.zeros_init(), x.shape[-1], condition)
        return gamma[:, None, None] * x + beta[:, None, None]

    def _function(self, name: str, bias: Initializer, features: int, condition: Array) -> Array:
        dtype, zeros = self.dtype, nn.initializers.zeros_init()
        first = Dense(features, kernel_init=WEIGHTS, dtype=dtype, name=f"{name}_hidden")
        last = Dense(features, kernel_init=zeros, bias_init=bias, dtype=dtype, name=name)
        return last(nn.relu(first(condition)))


class Fusion(nn.Module):
    """Deep fusion: affine, leaky ReLU, affine, leaky ReLU, of slope 0.2 (section 3.4)."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], condition: Float[Array, "b k"]
    ) -> Float[Array, "b h w c"]:
        for number in range(2):
            x = leaky_relu(Affine(self.dtype, name=f"affine{number}")(x, condition))
        return x


class UpBlock(nn.Module):
    """Double the side; add to a shortcut two convolutions 3x3, each after a `Fusion`.

    What acts on each pixel alone, the first fusion and the shortcut's 1x1, comes before the pixels
    are repeated instead of after it: the result is the same, at a quarter of the cost.
    """

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], condition: Float[Array, "b k"]
    ) -> Float[Array, "b i j f"]:
        make = {"kernel_init": WEIGHTS, "dtype": self.dtype}
        y = double(Fusion(self.dtype, name="fusion0")(x, condition))
        y = Conv(self.features, 3, padding=1, name="conv0", **make)(y)
        y = Fusion(self.dtype, name="fusion1")(y, condition)
        y = Conv(self.features, 3, padding=1, name="conv1", **make)(y)
        if x.shape[-1] != self.features:
            x = Conv(self.features, 1, name="shortcut", **make)(x)
        return double(x) + y


class Generator(nn.Module):
    """Latent [b z] and sentence [b s] to images [b resolution resolution channels] in [-1, 1].

    The latent becomes a map of 4x4; blocks double its side. The condition of every block is the
    latent beside the sentence.
    """

    resolution: int = 64
    channels: int = 3
    width: int = 32
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "b z"], sentence: Float[Array, "b s"], train: bool = True
    ) -> Float[Array, "b h w c"]:
        first, *others = channels(self.width, self.resolution)
        make = {"kernel_init": WEIGHTS, "dtype": self.dtype}
        z = z.astype(self.dtype)
        condition = jnp.concatenate([z, sentence.astype(self.dtype)], axis=-1)
        x = Dense(16 * first, name="project", **make)(z).reshape(-1, 4, 4, first)
        for number, features in enumerate(others):
            x = UpBlock(features, self.dtype, name=f"block{number}")(x, condition)
        x = Conv(self.channels, 3, padding=1, name="out", **make)(leaky_relu(x))
        return nn.tanh(x.astype(jnp.float32))


class DownBlock(nn.Module):
    """Halve the side; add `gamma` times a residual branch to a shortcut; gamma is initially 0."""

    features: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        make = {"kernel_init": WEIGHTS, "dtype": self.dtype}
        branch = {"use_bias": False, "padding": 1, **make}
        y = leaky_relu(Conv(self.features, 4, stride=2, name="conv0", **branch)(x))
        y = leaky_relu(Conv(self.features, 3, name="conv1", **branch)(y))
        x = halve(x)  # commutes with the 1x1, which is cheaper after it
        if x.shape[-1] != self.features:
            x = Conv(self.features, 1, name="shortcut", **make)(x)
        gamma = self.param("gamma", nn.initializers.zeros_init(), (), jnp.float32)
        return x + gamma.astype(self.dtype) * y


class Discriminator(nn.Module):
    """Images [b resolution resolution c] with sentences [b s] to one logit each, [b].

    Blocks halve the side to 4 px; the sentence is repeated at every pixel of that map, and two
    convolutions judge both (section 3.3, the one-way output). With `auxiliary` the output is
    (logits, sentences read off the images [b s]).
    """

    resolution: int = 64
    width: int = 32
    dtype: DTypeLike = jnp.float32
    auxiliary: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], sentence: Float[Array, "b s"], train: bool = True
    ) -> Float[Array, " b"] | tuple[Float[Array, " b"], Float[Array, "b s"]]:
        *others, first = channels(self.width, self.resolution)
        make = {"kernel_init": WEIGHTS, "dtype": self.dtype}
        x = Conv(first, 3, padding=1, name="in", **make)(x.astype(self.dtype))
        for number, features in enumerate(reversed(others)):
            x = DownBlock(features, self.dtype, name=f"block{number}")(x)
        # Logits in float32 whatever the network's arithmetic.
        exact = {"use_bias": False, "kernel_init": WEIGHTS, "dtype": jnp.float32}
        x, sentence = x.astype(jnp.float32), sentence.astype(jnp.float32)
        y = leaky_relu(Conv(2 * self.width, 3, padding=1, name="joint", **exact)(x, sentence))
        logits = Conv(1, 4, padding=0, name="out", **exact)(y)[:, 0, 0, 0]
        if not self.auxiliary:
            return logits
        size, flat = sentence.shape[-1], leaky_relu(x).reshape(len(x), -1)
        return logits, Dense(size, kernel_init=WEIGHTS, name="sentence")(flat)
