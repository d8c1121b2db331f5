"""The U-Net of pix2pix (Isola et al. 2017, arXiv:1611.07004, sections 3.2.1 and 6.1.1).

Checked against the authors' Lua code (phillipi/pix2pix, `models.lua`). Its bias of a convolution
that a norm follows is left out: the norm removes it.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.conv import Conv, ConvTranspose
from gan_jax.networks.dcgan import WEIGHTS, Norm, batch_norm, leaky_relu

WIDEST = 8  # times the width of the first layer: C512 after C64
NOISY = 3  # decoder layers with dropout, CD512-CD512-CD512
GEOMETRY = {"kernel_size": (4, 4), "stride": 2, "padding": 1}  # halves a side, or doubles it


def depth(resolution: int) -> int:
    """Count the halvings from the image to one pixel: 8 at 256 px, 6 at 64 px.

    Raises:
        ValueError: The resolution is not a power of two, or below 8.
    """
    if resolution >= 8 and resolution & (resolution - 1) == 0:
        return resolution.bit_length() - 1
    below = 1 << max(resolution.bit_length() - 1, 3)
    nearest = min(below, 2 * below, key=lambda n: abs(n - resolution))
    raise ValueError(
        f"resolution {resolution} is not a power of two from 8: the nearest is {nearest}"
    )


class Unet(nn.Module):
    """Images [b h w c] to images [b h w channels] in [-1, 1]: the generator of pix2pix.

    `depth` convolutions of stride 2 halve the side (function `depth`: down to one pixel), as many
    transposed ones double it; widths go from `width` to `8 * width` and back. Each decoder layer
    but the first also reads the encoder's map of its side; `skip=False` is the paper's
    encoder-decoder, without these connections.

    Every layer is activation, convolution, norm, as in the authors' code: leaky ReLU of slope 0.2
    down, ReLU up. A skip connection takes a layer's normalised output before any activation. The
    authors' in-place leaky ReLU changes that output, without effect: a ReLU follows.

    No norm on the first layer, the output and the bottleneck: on one pixel, an image's statistics
    (those of the batch, if it has one image) are the value itself, and the normalised map is zero.
    `norm=None` removes every norm. Convolutions have biases where no norm follows; `bias` says that
    all have one, or none but the output (the authors' PyTorch code). Batch norm takes the batch's
    statistics if `train`, else the running ones; the paper tests with those of the test batch,
    which is a call with `train=True` whose new statistics are dropped.

    Dropout is the only noise, in the three innermost decoder layers or in the levels `noisy`, first
    and last (the authors' PyTorch code: from 4 to the level before the bottleneck). It is on
    whenever a key for `dropout` is given, whatever `train` is, as the paper keeps it at test
    (section 3.3); without that key the network is deterministic.

    Raises:
        ValueError: A side is not a multiple of `2 ** depth`.
    """

    channels: int = 3
    width: int = 64
    depth: int = 8
    dropout: float = 0.5
    norm: Norm | None = batch_norm()
    skip: bool = True
    kernel_init: Callable[..., Array] = WEIGHTS
    dtype: DTypeLike = jnp.float32
    bias: bool | None = None
    noisy: tuple[int, int] | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], train: bool = True
    ) -> Float[Array, "b h w channels"]:
        _check(x.shape[1:3], self.depth)
        *skipped, x = self._encode(x.astype(self.dtype), train)
        first, last = self.noisy or (self.depth - NOISY, self.depth - 1)
        for level in reversed(range(1, self.depth)):
            up = self._layer(ConvTranspose, self._features(level - 1), f"up{level}", normed=True)
            x = self._norm(up(nn.relu(x)), f"norm_up{level}", train)
            x = self._noise(x) if first <= level <= last else x
            x = jnp.concatenate([x, skipped[level - 1]], axis=-1) if self.skip else x
        out = self._layer(ConvTranspose, self.channels, "out", normed=False)
        return nn.tanh(out(nn.relu(x)).astype(jnp.float32))

    def _encode(self, x: Array, train: bool) -> list[Array]:
        """Compute the maps of every level, the bottleneck last."""
        maps = []
        for level in range(self.depth):
            normed = 0 < level < self.depth - 1
            down = self._layer(Conv, self._features(level), f"down{level}", normed)
            x = down(leaky_relu(x) if level else x)
            x = self._norm(x, f"norm_down{level}", train) if normed else x
            maps.append(x)
        return maps

    def _features(self, level: int) -> int:
        return self.width * min(2**level, WIDEST)

    def _layer(
        self, kind: Callable[..., nn.Module], features: int, name: str, normed: bool
    ) -> nn.Module:
        bias = self.norm is None or not normed
        if self.bias is not None:
            bias = self.bias or name == "out"
        make = {"use_bias": bias, "kernel_init": self.kernel_init, "dtype": self.dtype}
        return kind(features, name=name, **GEOMETRY, **make)

    def _norm(self, x: Array, name: str, train: bool) -> Array:
        if self.norm is None:
            return x
        return self.norm(use_running_average=not train, dtype=self.dtype, name=name)(x)

    def _noise(self, x: Array) -> Array:
        return nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))(x)


def _check(image: tuple[int, ...], halvings: int) -> None:
    block = 2**halvings
    for side in image:
        if side % block:
            nearest = max(round(side / block), 1) * block
            raise ValueError(
                f"a side of {side} px cannot be halved {halvings} times: the nearest is {nearest}"
            )
