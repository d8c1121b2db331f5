"""Projected GAN's discriminators, on the features of a frozen network (Sauer et al. 2021).

The paper is arXiv:2111.01007. A `FeaturePyramid` sees the images: four maps of EfficientNet-Lite0,
mixed across channels and across scales by random layers that are never trained, so that no
discriminator can attend to a few channels alone. A `Discriminator` has a head for each map.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gan_jax.networks.dcgan import leaky_relu
from gan_jax.networks.efficientnet import Taps
from gan_jax.networks.layers import SpectralConv, SpectralDense

TAPS = ("block2", "block4", "block10", "block15")  # of 1/4, 1/8, 1/16 and 1/32 of the side
KERNEL = 4  # side of the heads' convolutions
EMBEDDING = 128  # size of a class's embedding
# PyTorch's initialisation of a convolution's kernel and bias, which the paper's code leaves as is:
# uniform within 1 / sqrt(fan in).
UNIFORM = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")

Maps = Sequence[Float[Array, "b _ _ _"]]


class FeaturePyramid(nn.Module):
    """Images [b h w 1|3] in [-1, 1] to four maps of sides r/2, r/4, r/8 and r/16 (section 3.2).

    Smaller images are enlarged to r = `resolution`. The 1x1 convolutions to `channels`, and 2, 4
    and 8 times as many, mix the channels; then each map is added to the next deeper one, mixed
    again and enlarged to twice the side. The paper's text has 3x3 convolutions there, its code 1x1.

    References:
        Sauer et al. 2021, arXiv:2111.01007, figure 1 and section 3.2.
    """

    resolution: int = 256
    channels: int = 64

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> tuple[Array, ...]:
        x = jnp.broadcast_to(x.astype(jnp.float32), (*x.shape[:3], 3))
        if x.shape[1] < self.resolution:
            x = jax.image.resize(x, (len(x), *(self.resolution,) * 2, 3), "linear")
        taps = Taps(TAPS, name="network")(x)
        features = [self.channels * 2**level for level in range(len(TAPS))]
        maps = [
            _mix(width, f"channels{level}")(taps[name])
            for level, (name, width) in enumerate(zip(TAPS, features, strict=True))
        ]
        below, mixed = None, []
        for level in reversed(range(len(TAPS))):
            x = maps[level] if below is None else maps[level] + below
            # The convolution of each pixel before the enlargement: the same, a quarter of the work.
            x = _mix(features[max(level - 1, 0)], f"scales{level}")(x)
            below = enlarged(x)
            mixed.append(below)
        return tuple(reversed(mixed))


def _mix(features: int, name: str) -> nn.Module:
    return nn.Dense(features, kernel_init=UNIFORM, bias_init=_uniform_bias, name=name)


def _uniform_bias(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    # Of a kernel with as many inputs as outputs or half: the bound of the wider side.
    bound = 1.0 / np.sqrt(shape[0])
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def enlarged(x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w c"]:
    """Enlarge to twice the side, bilinearly, with the corners' centres aligned."""
    rows, columns = (jnp.asarray(_interpolation(side)) for side in x.shape[1:3])
    x = jnp.einsum("ih,bhwc->biwc", rows, x)
    return jnp.einsum("jw,biwc->bijc", columns, x)


def _interpolation(side: int) -> np.ndarray:
    """Weights [2 side, side] of the two nearest inputs of each output."""
    at = np.linspace(0.0, side - 1.0, 2 * side)
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(side)[None])).astype(np.float32)


class Discriminator(nn.Module):
    """Maps of a `FeaturePyramid`, large to small, to the logits [b n] of all heads, side by side.

    A head halves the side of its map by spectrally normalised 4x4 convolutions with batch norm,
    from the first four times to the last once, so that all end with the same side and `8 * width`
    channels; a 4x4 convolution without padding judges that map. With `projection` it gives `width`
    channels, and a logit is their inner product with the embedding of the last input, a condition.

    References:
        Sauer et al. 2021, arXiv:2111.01007, section 3.3; widths, norms and projection are those of
        the authors' code.
    """

    width: int = 64
    norm: Callable[..., nn.Module] | None = None
    projection: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, *inputs: Array, train: bool = True) -> Float[Array, "b n"]:
        maps, embedding = inputs, None
        if self.projection:
            *maps, condition = inputs
            x = SpectralDense(EMBEDDING, name="embed")(condition)
            embedding = leaky_relu(SpectralDense(self.width, name="mapping")(x))
        logits = [self._head(x, len(maps) - i, f"head{i}", train) for i, x in enumerate(maps)]
        if embedding is not None:
            logits = [
                jnp.einsum("bijc,bc->bij", x, embedding) / np.sqrt(self.width) for x in logits
            ]
        return jnp.concatenate([x.reshape(len(x), -1) for x in logits], axis=-1)

    def _head(self, x: Array, blocks: int, name: str, train: bool) -> Float[Array, "b i j c"]:
        x = x.astype(self.dtype)
        make = partial(SpectralConv, kernel_size=KERNEL, use_bias=False, dtype=self.dtype)
        for block in range(blocks):
            features = self.width * 2 ** (4 - blocks + block)
            x = make(features, stride=2, padding=1, name=f"{name}_down{block}")(x)
            if self.norm is not None:
                label = f"{name}_norm{block}"
                x = self.norm(use_running_average=not train, dtype=self.dtype, name=label)(x)
            x = leaky_relu(x)
        outputs = self.width if self.projection else 1
        return make(outputs, padding=0, name=f"{name}_out")(x).astype(jnp.float32)
