"""CycleGAN's generator (Zhu et al. 2017, arXiv:1703.10593, section 7.2), a residual network.

The architecture is Johnson et al. 2016 (arXiv:1603.08155) with reflected borders.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.conv import Conv, ConvTranspose
from gan_jax.networks.dcgan import WEIGHTS, Norm
from gan_jax.networks.norms import instance_norm
from gan_jax.networks.smooth import double, halve

MULTIPLE = 4  # of every side: two convolutions halve it
FIFTH = 4  # the number, from 0, of the last block that CUT compares

Maps = tuple[Float[Array, "b _ _ _"], ...]


def blocks(resolution: int) -> int:
    """Return the paper's number of residual blocks: 6 for images below 256 px, 9 from there."""
    return 6 if resolution < 256 else 9


class ResnetTranslator(nn.Module):
    """Images [b h w c] to images [b h w channels] in [-1, 1], of any side that 4 divides.

    In the paper's names: c7s1-64, d128, d256, `blocks` times R256 (function `blocks`), u128, u64,
    c7s1-3, for a `width` of 64. Borders are reflected in the convolutions of stride 1 and zero in
    the others, as in the authors' code; no activation follows a block's sum. Convolutions have
    biases where no norm follows, with a norm only the output: a norm subtracts each channel's mean,
    and with it a bias, whose derivative is zero. With `bias` all have one. With `antialias`, as in
    CUT's code, d128 and d256 have stride 1 and filters halve what follows them, and u128 and u64
    are convolutions of maps that filters have doubled.

    Raises:
        ValueError: A side is not a multiple of 4, or below 8. At 4 px the residual blocks' maps
            would have one pixel, which cannot be reflected and which instance norm makes zero.
    """

    channels: int = 3
    width: int = 64
    blocks: int = 9
    norm: Norm | None = instance_norm
    kernel_init: Callable[..., Array] = WEIGHTS
    dtype: DTypeLike = jnp.float32
    bias: bool = False
    antialias: bool = False

    def __call__(
        self, x: Float[Array, "b h w c"], train: bool = True
    ) -> Float[Array, "b h w channels"]:
        return self._layers(x, train)[0]

    def encode(self, x: Float[Array, "b h w c"], train: bool = True) -> Maps:
        """Compute the maps that CUT compares (Park et al. 2020, arXiv:2007.15651, section 4).

        The image, the outputs of the two convolutions that halve it, before their norms, and those
        of the first and the fifth (or the last) residual block: layers 0, 4, 8, 12 and 16 of the
        authors' code, whose image is padded already. The layers after them are not computed.
        """
        return self._layers(x, train, decode=False)[1]

    def translate_and_encode(
        self, x: Float[Array, "b h w c"], train: bool = True
    ) -> tuple[Float[Array, "b h w channels"], Maps]:
        """Compute the translation and, in the same pass, the maps of `encode`."""
        return self._layers(x, train)

    @nn.compact
    def _layers(self, x: Array, train: bool, decode: bool = True) -> tuple[Any, Maps]:
        check(x.shape[1:3])
        last = min(FIFTH, self.blocks - 1)
        weights = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        reflected = {"padding_mode": "reflect", **weights}
        halving = {"stride": 1 if self.antialias else 2, "padding": 1, **weights}

        def convolve(x: Array, kind: Callable[..., nn.Module], name: str, *size: int, **make: Any):
            return kind(*size, use_bias=self.bias or self.norm is None, name=name, **make)(x)

        def normalise(x: Array, name: str) -> Array:
            if self.norm is None:
                return x
            make = {"dtype": self.dtype, "name": f"norm_{name}"}
            return self.norm(use_running_average=not train, **make)(x)

        def layer(x: Array, kind: Callable[..., nn.Module], name: str, *size: int, **make: Any):
            return normalise(convolve(x, kind, name, *size, **make), name)

        x = x.astype(self.dtype)
        maps = [x]
        x = nn.relu(layer(x, Conv, "in", self.width, 7, padding=3, **reflected))
        for level in (1, 2):
            name = f"down{level}"
            x = convolve(x, Conv, name, self.width * 2**level, 3, **halving)
            maps.append(x)
            x = nn.relu(normalise(x, name))
            x = halve(x) if self.antialias else x
        for number in range(self.blocks):
            make = {"padding": 1, **reflected}
            h = nn.relu(layer(x, Conv, f"block{number}a", 4 * self.width, 3, **make))
            x = x + layer(h, Conv, f"block{number}b", 4 * self.width, 3, **make)
            if number in (0, last):
                maps.append(x)
            if number == last and not decode:
                return None, tuple(maps)
        for level in (1, 0):
            name, width = f"up{level}", self.width * 2**level
            if self.antialias:
                x = layer(double(x), Conv, name, width, 3, **halving)
            else:
                x = layer(x, ConvTranspose, name, width, 3, output_padding=1, **halving)
            x = nn.relu(x)
        x = Conv(self.channels, 7, padding=3, name="out", **reflected)(x)
        return nn.tanh(x.astype(jnp.float32)), tuple(maps)


def check(image: tuple[int, ...]) -> None:
    """Raise a ValueError for a side that the network does not take, naming the nearest."""
    for side in image:
        if side % MULTIPLE or side < 2 * MULTIPLE:
            nearest = max(MULTIPLE * round(side / MULTIPLE), 2 * MULTIPLE)
            raise ValueError(
                f"a side of {side} px is not a multiple of 4 from 8: the nearest is {nearest}"
            )
