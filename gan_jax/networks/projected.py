"""Projected GAN's discriminators, on the features of a frozen network (Sauer et al. 2021).

The paper is arXiv:2111.01007. A `FeaturePyramid` sees the images: four maps of EfficientNet-Lite0,
mixed across channels and across scales by random layers that are never trained, so that no
discriminator can attend to a few channels alone. A `Discriminator` has a head for each map.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.dcgan import leaky_relu
from gan_jax.networks.efficientnet import Taps
from gan_jax.networks.layers import SpectralConv, pytorch_init

TAPS = ("block2", "block4", "block10", "block15")  # of 1/4, 1/8, 1/16 and 1/32 of the side
KERNEL = 4  # side of the heads' convolutions
EMBEDDING = 128  # size of a class's embedding


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
            _mix(taps[name], width, f"channels{level}")
            for level, (name, width) in enumerate(zip(TAPS, features, strict=True))
        ]
        below, mixed = None, []
        for level in reversed(range(len(TAPS))):
            x = maps[level] if below is None else maps[level] + below
            # A 1x1 convolution before the enlargement: the same, at a quarter of the work.
            x = _mix(x, features[max(level - 1, 0)], f"scales{level}")
            below = enlarged(x)
            mixed.append(below)
        return tuple(reversed(mixed))


def _mix(x: Array, features: int, name: str) -> Array:
    """Apply a 1x1 convolution with PyTorch's initialisation: uniform within 1 / sqrt(inputs)."""
    bound = 1.0 / np.sqrt(x.shape[-1])
    bias = partial(jax.random.uniform, minval=-bound, maxval=bound)
    return nn.Dense(features, kernel_init=pytorch_init(), bias_init=bias, name=name)(x)


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
    channels, and a logit is their inner product with an embedding of the last input, a condition,
    over the root of `width`.

    References:
        Sauer et al. 2021, arXiv:2111.01007, section 3.3; widths and norms are those of the authors'
        code.
    """

    width: int = 64
    norm: Callable[..., nn.Module] | None = None
    projection: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, *inputs: Array, train: bool = True) -> Float[Array, "b n"]:
        maps, condition = (inputs[:-1], inputs[-1]) if self.projection else (inputs, None)
        logits = []
        for number, x in enumerate(maps):
            name = f"head{number}"
            out = self._head(x, len(maps) - number, name, train)
            if condition is not None:
                embedding = nn.Dense(EMBEDDING, use_bias=False, name=f"{name}_embed")(condition)
                embedding = leaky_relu(nn.Dense(self.width, name=f"{name}_mapping")(embedding))
                out = jnp.einsum("bijc,bc->bij", out, embedding) / np.sqrt(self.width)
            logits.append(out.reshape(len(out), -1))
        return jnp.concatenate(logits, axis=-1)

    def _head(self, x: Array, blocks: int, name: str, train: bool) -> Float[Array, "b i j c"]:
        x = x.astype(self.dtype)
        make = partial(
            SpectralConv,
            kernel_size=KERNEL,
            use_bias=False,
            kernel_init=pytorch_init(),
            dtype=self.dtype,
        )
        for block in range(blocks):
            features = self.width * 2 ** (4 - blocks + block)
            x = make(features, stride=2, padding=1, name=f"{name}_down{block}")(x)
            if self.norm is not None:
                label = f"{name}_norm{block}"
                x = self.norm(use_running_average=not train, dtype=self.dtype, name=label)(x)
            x = leaky_relu(x)
        # Logits in float32 whatever the network's arithmetic, as in the StyleGAN2 authors' code.
        last = make(
            self.width if self.projection else 1,
            padding=0,
            dtype=jnp.float32,
            name=f"{name}_out",
        )
        return last(x.astype(jnp.float32))
