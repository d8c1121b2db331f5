"""R3GAN's residual networks without normalisation (Huang et al. 2024, arXiv:2501.05441).

Stages of 4, 8, ... px hold residual blocks in the manner of ResNeXt with an inverted bottleneck:
1x1 up, grouped 3x3, 1x1 down. Fix-up initialisation takes the place of a norm: every block starts
as the identity (section 3.4). The generator begins, and the discriminator ends, with a learned 4x4
map for every channel. Details beyond the paper are those of the authors' code.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.errors import UserError
from gan_jax.networks.conv import conv, grouped_conv
from gan_jax.networks.stylegan_layers import blur, double, halve, leaky_relu, stages

GAIN = math.sqrt(2.0 / (1.0 + 0.2**2))  # He's, before a leaky ReLU of slope 0.2
LINEAR_LAYERS = 3  # of a block
EXACT = jnp.float32  # of the smallest stage and the layers before and after it


def scaled(gain: float, fan_in: int) -> nn.initializers.Initializer:
    """Make the initializer N(0, gain^2 / fan_in)."""
    return nn.initializers.normal(gain / math.sqrt(fan_in))


def fixup_gain(blocks: int) -> float:
    """Return the gain of a block's first layers in a network of `blocks` blocks.

    L^(-1 / (2m - 2)) times the activation's (Zhang et al. 2019, arXiv:1901.09321), m = 3 layers.
    """
    return GAIN * blocks ** (-1.0 / (2 * LINEAR_LAYERS - 2))


def upsample(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Double the side bilinearly: repeat pixels, then filter by [1 2 1]."""
    return blur(double(x))


def downsample(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Halve the side: filter by [1 2 1], then average 2x2 pixels."""
    return halve(blur(x))


class Shape(nn.Module):
    """The base of both networks: widths and groups of every stage, and the layers.

    `width` channels and `cardinality` groups up to `widest` px, half as many at every doubling
    beyond; `blocks` residual blocks a stage, their middle `expansion` times as wide.
    `dtype` is that of the stages beyond 4 px; the smallest and the layers before and after it are
    computed in float32, as in the authors' code up to 64 px. At 256 px theirs has 8 and 16 px in
    float32 as well.
    """

    resolution: int = 256
    width: int = 768
    cardinality: int = 96
    blocks: int = 2
    expansion: int = 2
    widest: int = 32
    dtype: DTypeLike = jnp.float32

    def at(self, stage: int) -> tuple[int, int]:
        """Return width and groups of the stage of 4 * 2^stage px.

        Raises:
            UserError: The groups do not divide the channels.
        """
        ratio = max(1, (4 << stage) // self.widest)
        width, groups = max(1, self.width // ratio), max(1, self.cardinality // ratio)
        if self.expansion * width % groups:
            middle = f"{self.expansion} * {width} channels"
            near = math.gcd(self.expansion * width, groups)
            raise UserError(f"{middle} do not divide among {groups} groups; among {near} they do")
        return width, groups

    def block(self, x: Float[Array, "b h w c"], stage: int, name: str) -> Float[Array, "b h w c"]:
        """Add a branch of three convolutions to `x`; it is initially 0."""
        width, groups = self.at(stage)
        middle = self.expansion * width
        gain = fixup_gain(self.blocks * (stages(self.resolution) + 1))
        dtype = self.dtype if stage else EXACT
        x = x.astype(dtype)
        y = self.linear(x, middle, f"{name}_in", dtype, gain)
        y = leaky_relu(y + self._bias(middle, f"{name}_bias0", dtype))
        shape = (3, 3, middle // groups, middle)
        kernel = self._weights(f"{name}_mid", scaled(gain, 9 * shape[2]), shape, dtype)
        y = grouped_conv(y, kernel, groups=groups)
        y = leaky_relu(y + self._bias(middle, f"{name}_bias1", dtype))
        return x + self.linear(y, width, f"{name}_out", dtype, 0.0)

    def linear(
        self, x: Float[Array, "*b c"], features: int, name: str, dtype: DTypeLike, gain: float = 1.0
    ) -> Float[Array, "*b f"]:
        """Multiply vectors, or every pixel of images, by a matrix [c features]."""
        fan_in = x.shape[-1]
        matrix = self._weights(name, scaled(gain, fan_in), (fan_in, features), dtype)
        if x.ndim == 2:
            return x.astype(dtype) @ matrix
        return conv(x.astype(dtype), matrix[None, None])

    def _weights(
        self, name: str, draw: Callable[..., Array], shape: tuple[int, ...], dtype: DTypeLike
    ) -> Array:
        return self.param(name, draw, shape, jnp.float32).astype(dtype)

    def _bias(self, features: int, name: str, dtype: DTypeLike) -> Array:
        bias = self._weights(name, nn.initializers.zeros_init(), (features,), dtype)
        return bias[None, None, None]


class Generator(Shape):
    """Latents [b z] to images [b resolution resolution channels], unbounded: there is no tanh.

    A condition [b k] is embedded in as many numbers as z and joins it.
    """

    channels: int = 3

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        condition: Float[Array, "b k"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b h w c"]:
        x = z.astype(EXACT)
        if condition is not None:
            label = self.linear(condition, z.shape[-1], "embed", EXACT)
            x = jnp.concatenate([x, label], axis=-1)
        width = self.at(0)[0]
        basis = self._weights("basis", nn.initializers.normal(1.0), (1, 4, 4, width), EXACT)
        x = basis * self.linear(x, width, "modulation", EXACT)[:, None, None]
        for stage in range(stages(self.resolution) + 1):
            width = self.at(stage)[0]
            if stage:
                narrow = x.shape[-1] != width
                x = self.linear(x, width, f"narrow{stage}", self.dtype) if narrow else x
                x = upsample(x.astype(self.dtype))
            for number in range(self.blocks):
                x = self.block(x, stage, f"block{stage}_{number}")
        return self.linear(x, self.channels, "to_rgb", self.dtype).astype(EXACT)


class Discriminator(Shape):
    """Images [b resolution resolution channels] to one logit each, [b].

    The logit for a condition [b k] is the inner product of the features and its embedding in
    `width` numbers (`projection`; Miyato & Koyama 2018, without the unconditional term).

    Raises:
        UserError: A condition comes without `projection`.
    """

    projection: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        condition: Float[Array, "b k"] | None = None,
        train: bool = True,
    ) -> Float[Array, " b"]:
        if condition is not None and not self.projection:
            raise UserError(
                "R3gan's discriminator does not know game.condition = 'concat'; "
                "did you mean 'projection'?"
            )
        last = stages(self.resolution)
        if x.shape[1:3] != (self.resolution, self.resolution):
            raise UserError(f"images of {x.shape[1:3]}, but the network takes {self.resolution}")
        x = self.linear(x, self.at(last)[0], "from_rgb", self.dtype)
        for stage in range(last, -1, -1):
            for number in range(self.blocks):
                x = self.block(x, stage, f"block{stage}_{number}")
            if stage:
                x, width = downsample(x), self.at(stage - 1)[0]
                widen = x.shape[-1] != width
                x = self.linear(x, width, f"widen{stage}", self.dtype) if widen else x
        basis = self._weights("basis", scaled(1.0, 16), (1, 4, 4, x.shape[-1]), EXACT)
        x = jnp.sum(x.astype(EXACT) * basis, axis=(1, 2))
        if condition is None:
            return self.linear(x, 1, "out", EXACT)[:, 0]
        width = self.at(0)[0]
        features = self.linear(x, width, "out", EXACT)
        label = self.linear(condition, width, "embed", EXACT, 1.0 / math.sqrt(width))
        return jnp.sum(features * label, axis=-1)
