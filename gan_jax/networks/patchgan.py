"""The patch discriminators of pix2pix (Isola et al. 2017, arXiv:1611.07004, section 6.1.2).

CycleGAN uses that of 70 px with instance norm (Zhu et al. 2017, arXiv:1703.10593, section 7.2).
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.conv import Conv
from gan_jax.networks.dcgan import WEIGHTS, Norm, batch_norm, leaky_relu
from gan_jax.networks.smooth import halve

# The number of convolutions that halve the side, by the receptive field in pixels. Two of stride 1
# follow, the last of which gives the logits; a field of 1 px has only 1x1 kernels of stride 1.
HALVINGS = {1: 0, 16: 1, 70: 3, 286: 5}
WIDEST = 8  # times the width of the first layer: C512 after C64


class PatchGan(nn.Module):
    """Images [b h w c] in [-1, 1] to a logit for each overlapping patch, [b i j] in float32.

    A patch has `receptive_field` px a side: 1 (PixelGAN), 16, 70 or 286. Conditions [b h w d] join
    the image's channels. Leaky ReLU of slope 0.2; no norm on the first layer and on the logits, and
    convolutions have biases where no norm follows, which would remove them (with `bias` all have
    one, without `bias_out` the logits have none). `conv` is the class of the layers, for spectral
    normalisation. With `antialias`, as in CUT's code, convolutions have stride 1 and filters halve
    their activations.

    Raises:
        ValueError: The receptive field is another, or the images are too small for a logit.
    """

    receptive_field: int = 70
    width: int = 64
    norm: Norm | None = batch_norm()
    kernel_init: Callable[..., Array] = WEIGHTS
    dtype: DTypeLike = jnp.float32
    conv: Callable[..., nn.Module] = Conv
    bias: bool = False
    bias_out: bool = True
    antialias: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], *beside: Float[Array, "b h w _"], train: bool = True
    ) -> Float[Array, "b i j"]:
        halvings = _halvings(self.receptive_field, min(x.shape[1:3]))
        size, padding = (4, 1) if halvings else (1, 0)
        x = jnp.concatenate([x, *beside], axis=-1).astype(self.dtype)

        def layer(x: Array, features: int, stride: int, name: str, bias: bool) -> Array:
            make = {"use_bias": bias, "kernel_init": self.kernel_init, "dtype": x.dtype}
            make |= {"kernel_size": (size, size), "stride": stride, "padding": padding}
            return self.conv(features, name=name, **make)(x)

        for level in range(halvings + 1 if halvings else 2):
            features = self.width * min(2**level, WIDEST)
            bias = self.bias or self.norm is None or level == 0
            halves = level < halvings
            stride = 2 if halves and not self.antialias else 1
            x = layer(x, features, stride, f"conv{level}", bias)
            if self.norm is not None and level > 0:
                make = {"dtype": self.dtype, "name": f"norm{level}"}
                x = self.norm(use_running_average=not train, **make)(x)
            x = leaky_relu(x)
            x = halve(x) if halves and self.antialias else x
        return layer(x.astype(jnp.float32), 1, 1, "out", self.bias_out)[..., 0]


def _halvings(field: int, side: int) -> int:
    """Return the halvings of a receptive field, which images of the given side must allow."""
    if field not in HALVINGS:
        nearest = min(HALVINGS, key=lambda n: abs(n - field))
        raise ValueError(
            f"receptive field {field} is none of {list(HALVINGS)}: the nearest is {nearest}"
        )
    if HALVINGS[field] and side < smallest(field):
        largest = max(n for n in HALVINGS if side >= smallest(n))
        raise ValueError(
            f"a receptive field of {field} px takes images of at least {smallest(field)} px, "
            f"not {side}: the nearest that takes these is {largest}"
        )
    return HALVINGS[field]


def smallest(field: int) -> int:
    """Return the side of the smallest images that give a logit: 24 px for a field of 70 px.

    The last two convolutions, of 4x4 and stride 1, each shrink the smallest map by a pixel.
    """
    return 3 * 2 ** HALVINGS[field] if HALVINGS[field] else 1
