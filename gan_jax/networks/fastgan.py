"""A light generator after FastGAN (Liu et al. 2021, arXiv:2101.04775).

Gated linear units, and skip-layer excitation: a map of low resolution scales the channels of one of
high resolution. The widths are those of Projected GAN's generator (Sauer et al. 2021,
arXiv:2111.01007), which has no tanh. A class enters by the batch norms, as in their code: the first
map varies with the latent alone, which keeps samples of a class apart. The initialisation is that
of their code, which sets the pace of training (see `pytorch_init`).
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.errors import UserError
from gan_jax.networks.layers import SpectralConv, SpectralDense, pytorch_init
from gan_jax.networks.stylegan_layers import draw_noise

INIT = pytorch_init()
EMBEDDING = nn.initializers.normal(1.0)  # of a class, as in PyTorch
SIDE = 4  # of the smallest map
# By the side of the map that is scaled, that of the map that scales it
EXCITATION = {64: 4, 128: 8, 256: 16, 512: 32}
# By side, the channels of a map in multiples of the width
CHANNELS = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5, 512: 0.25, 1024: 0.125}


def sides(resolution: int) -> list[int]:
    """List the sides of a generator's maps.

    Raises:
        UserError: The resolution is not a power of two from 8 to 1024.
    """
    if resolution not in CHANNELS or resolution == SIDE:
        raise UserError(f"resolution {resolution} is not a power of two from 8 to 1024")
    return [side for side in CHANNELS if side <= resolution]


class Generator(nn.Module):
    """Latent [b z] to images [b resolution resolution channels] in [-1, 1].

    A condition [b k] is embedded and gives gain and bias of every norm but the first. With `blocks`
    2 every other enlargement has a second convolution, and noise after both, as in FastGAN.

    Attributes:
        width: channels at 128 px; twice as many at 64 and 32 px, and so on (`CHANNELS`).
        norm: as in `dcgan.Generator`.
    """

    resolution: int
    channels: int
    width: int = 64
    blocks: int = 1
    norm: Callable[..., nn.Module] | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        condition: Float[Array, "b k"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b h w c"]:
        embedded = None
        if condition is not None:
            embed = nn.Dense(z.shape[-1], False, kernel_init=EMBEDDING, name="embed")
            embedded = embed(condition)
        z = z * jax.lax.rsqrt(jnp.mean(jnp.square(z), axis=-1, keepdims=True) + 1e-8)
        make = partial(SpectralConv, use_bias=False, kernel_init=INIT, dtype=self.dtype)
        first, *rest = sides(self.resolution)
        features = 2 * self._features(first)
        x = SpectralDense(
            SIDE * SIDE * features,
            use_bias=False,
            kernel_init=pytorch_init("fan_out"),
            name="project",
        )(z)
        x = self._gated(x.astype(self.dtype).reshape(-1, SIDE, SIDE, features), "first", train)
        maps = {first: x}
        for number, side in enumerate(rest):
            features, name = 2 * self._features(side), f"up{side}"
            x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
            double = self.blocks == 2 and number % 2 == 0
            for step in range(2 if double else 1):
                label = f"{name}_{step}"
                x = make(features, 3, name=f"{label}_conv")(x)
                x = Noise(name=f"{label}_noise")(x, train) if double else x
                x = self._gated(x, label, train, embedded)
            if side in EXCITATION:
                x = x * self._excitation(maps[EXCITATION[side]], x.shape[-1], name)
            maps[side] = x
        x = SpectralConv(self.channels, 3, kernel_init=INIT, dtype=self.dtype, name="out")(x)
        return nn.tanh(x.astype(jnp.float32))

    def _features(self, side: int) -> int:
        return max(1, round(self.width * CHANNELS[side]))

    def _gated(self, x: Array, name: str, train: bool, embedded: Array | None = None) -> Array:
        """Normalise, then let half of the channels gate the others (GLU).

        An embedded class gives the norm's gain, beside 1, and bias.
        """
        if self.norm is not None:
            make = {"use_running_average": not train, "dtype": self.dtype}
            make |= {} if embedded is None else {"use_scale": False, "use_bias": False}
            x = self.norm(name=f"{name}_norm", **make)(x)
        if embedded is not None:
            gain, bias = (
                SpectralDense(x.shape[-1], False, INIT, self.dtype, name=f"{name}_{part}")(
                    embedded
                )[:, None, None]
                for part in ("gain", "bias")
            )
            x = (1.0 + gain) * x + bias
        x, gate = jnp.split(x, 2, axis=-1)
        return x * nn.sigmoid(gate)

    def _excitation(self, low: Array, features: int, name: str) -> Float[Array, "b 1 1 f"]:
        """Compute the scale of each channel from a smaller map (equation 1)."""
        step = low.shape[1] // SIDE
        x = nn.avg_pool(low, (step, step), strides=(step, step))
        make = partial(
            SpectralConv,
            features,
            use_bias=False,
            padding=0,
            kernel_init=INIT,
            dtype=self.dtype,
        )
        x = nn.silu(make(kernel_size=SIDE, name=f"{name}_excite0")(x))
        return nn.sigmoid(make(kernel_size=1, name=f"{name}_excite1")(x))


class Noise(nn.Module):
    """Add `draw_noise` times one learned factor, initially 0."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h w c"]:
        scale = self.param("scale", nn.initializers.zeros_init(), ())
        return x + (draw_noise(self, x, train) * scale).astype(x.dtype)
