"""Networks of CycleGAN-VC and CycleGAN-VC2 on mel-cepstra.

Kaneko & Kameoka 2017, arXiv:1711.11293, figure 2; Kaneko et al. 2019, arXiv:1904.04631, figure 4;
details from public reimplementations, as the authors published no code. A `masked` generator is
that of MaskCycleGAN-VC (Kaneko et al. 2021, arXiv:2102.12841): it sees frames times a mask, and the
mask itself; without one nothing is hidden. Every activation is a gated
linear unit (Dauphin et al. 2017, arXiv:1612.08083) whose value and gate are two halves of one
convolution. One-dimensional convolutions are those of height 1. Discriminators end in logits where
those reimplementations have sigmoids.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.conv import Conv, Pair
from gan_jax.networks.norms import InstanceNorm

MULTIPLE = 4  # of frames, and in two dimensions of coefficients: two layers halve them
WEIGHTS = nn.initializers.glorot_uniform()


class _Layer(nn.Module):
    """Convolution, pixel shuffle by `up`, norm with gain and bias, gate."""

    features: int
    size: Pair
    stride: int | Pair = 1
    up: Pair = (1, 1)
    norm: bool = True
    gate: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        halves = 2 if self.gate else 1
        make = {"stride": self.stride, "kernel_init": WEIGHTS, "dtype": self.dtype}
        x = Conv(halves * self.features, self.size, padding="SAME", **make)(x)
        x = shuffle(x, self.up)
        if self.norm:
            scale = self.param("scale", nn.initializers.ones_init(), x.shape[-1:], jnp.float32)
            shift = self.param("shift", nn.initializers.zeros_init(), x.shape[-1:], jnp.float32)
            x = InstanceNorm(dtype=self.dtype, name="norm")(x)
            x = (
                x * scale.astype(x.dtype)[None, None, None]
                + shift.astype(x.dtype)[None, None, None]
            )
        if not self.gate:
            return x
        value, gate = jnp.split(x, 2, axis=-1)
        return value * nn.sigmoid(gate)


def shuffle(x: Float[Array, "b h w c"], up: Pair) -> Float[Array, "b i j f"]:
    """Move channels to blocks of `up` pixels: sub-pixel convolution (Shi et al. 2016)."""
    b, h, w, c = x.shape
    rows, columns = up
    features = c // (rows * columns)
    x = x.reshape(b, h, w, rows, columns, features).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * rows, w * columns, features)


class Generator1d(nn.Module):
    """CycleGAN-VC's: frames [b t m] to frames, convolved over time with coefficients as channels.

    For a `width` of 128: 15-wide 128, two 5-wide of stride 2 to 256 and 512, six residual blocks
    512 -> 1024 -> 512, two 5-wide whose pixels are shuffled to twice the time, 15-wide to m.

    Raises:
        ValueError: 4 does not divide the frames.
    """

    width: int = 128
    blocks: int = 6
    dtype: DTypeLike = jnp.float32
    masked: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t m"],
        mask: Float[Array, "b t 1"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b t m"]:
        del train
        w, coefficients = self.width, x.shape[-1]
        check(x.shape[1], "frames")
        h = jnp.concatenate(_hidden(x, mask), axis=-1) if self.masked else x
        h = h.astype(self.dtype)[:, None]
        h = _Layer(w, (1, 15), norm=False, name="in", dtype=self.dtype)(h)
        for level in (2, 4):
            h = _Layer(level * w, (1, 5), (1, 2), name=f"down{level}", dtype=self.dtype)(h)
        h = _residual(h, 8 * w, self.blocks, self.dtype)
        for level in (4, 2):
            # 1024 and 512 features, which the shuffle halves
            h = _Layer(2 * level * w, (1, 5), up=(1, 2), name=f"up{level}", dtype=self.dtype)(h)
        out = Conv(
            coefficients, (1, 15), padding="SAME", kernel_init=WEIGHTS, name="out", dtype=self.dtype
        )
        return out(h)[:, 0].astype(jnp.float32)


class Generator212d(nn.Module):
    """CycleGAN-VC2's: frames [b t m] to frames; two dimensions at the ends, one in the middle.

    For a `width` of 128: 5x15 to 128, two 5x5 of stride 2 to 256; the coefficients join the
    channels (2304 for m = 36), 1x1 to 256, six residual blocks 256 -> 512 -> 256 over time, 1x1
    back to 2304; two 5x5 whose pixels are shuffled to twice both sides (1024 -> 256, 512 -> 128),
    5x15 to 1.

    Raises:
        ValueError: 4 does not divide the frames or the coefficients.
    """

    width: int = 128
    blocks: int = 6
    dtype: DTypeLike = jnp.float32
    masked: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t m"],
        mask: Float[Array, "b t 1"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b t m"]:
        del train
        w = self.width
        check(x.shape[1], "frames")
        check(x.shape[2], "coefficients")
        h = _image(x, self.dtype)
        if self.masked:
            x, mask = _hidden(x, mask)
            planes = (x, jnp.broadcast_to(mask, x.shape))
            h = jnp.concatenate([_image(plane, self.dtype) for plane in planes], axis=-1)
        h = _Layer(w, (5, 15), norm=False, name="in", dtype=self.dtype)(h)
        for level in (1, 2):
            h = _Layer(2 * w, (5, 5), 2, name=f"down{level}", dtype=self.dtype)(h)
        b, rows, frames, channels = h.shape
        h = h.transpose(0, 2, 1, 3).reshape(b, 1, frames, rows * channels)
        h = _Layer(2 * w, (1, 1), gate=False, name="to_1d", dtype=self.dtype)(h)
        h = _residual(h, 4 * w, self.blocks, self.dtype)
        h = _Layer(rows * channels, (1, 1), gate=False, name="to_2d", dtype=self.dtype)(h)
        h = h.reshape(b, frames, rows, channels).transpose(0, 2, 1, 3)
        for level in (2, 1):
            h = _Layer(4 * level * w, (5, 5), up=(2, 2), name=f"up{level}", dtype=self.dtype)(h)
        out = Conv(1, (5, 15), padding="SAME", kernel_init=WEIGHTS, name="out", dtype=self.dtype)(h)
        return out[..., 0].transpose(0, 2, 1).astype(jnp.float32)


class Discriminator(nn.Module):
    """Frames [b t m] as an image to a logit for each position, [b i j] in float32.

    For a `width` of 128 both have 3x3 convolutions to 128, 256 and 512. CycleGAN-VC's first one has
    stride 2 over time, and 6x3 to 1024 with the same and a dense layer follow; with `patch`,
    CycleGAN-VC2's, the first has stride 1, and 3x3 of stride 2 and 1x5 to 1024 and 1x3 to 1 follow.
    """

    width: int = 128
    patch: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t m"], train: bool = True) -> Float[Array, "b i j"]:
        del train
        w = self.width
        first, last = (1, (1, 3)) if self.patch else ((1, 2), (1, 1))
        h = _image(x, self.dtype)
        h = _Layer(w, (3, 3), first, norm=False, name="in", dtype=self.dtype)(h)
        for level in (2, 4):
            h = _Layer(level * w, (3, 3), 2, name=f"down{level}", dtype=self.dtype)(h)
        if self.patch:
            h = _Layer(8 * w, (3, 3), 2, name="down8", dtype=self.dtype)(h)
            h = _Layer(8 * w, (1, 5), name="wide", dtype=self.dtype)(h)
        else:
            h = _Layer(8 * w, (6, 3), (1, 2), name="wide", dtype=self.dtype)(h)
        out = Conv(1, last, padding="SAME", kernel_init=WEIGHTS, name="out", dtype=jnp.float32)
        return out(h.astype(jnp.float32))[..., 0]


def _hidden(
    x: Float[Array, "b t m"], mask: Float[Array, "b t 1"] | None
) -> tuple[Float[Array, "b t m"], Float[Array, "b t 1"]]:
    """Hide the frames whose mask is 0; return them with the mask, of ones if there is none."""
    mask = jnp.ones((*x.shape[:2], 1), x.dtype) if mask is None else mask
    return x * mask, mask


def check(size: int, what: str) -> None:
    """Raise a ValueError for a number that cannot be halved twice, naming the nearest."""
    if size % MULTIPLE or size < 2 * MULTIPLE:
        nearest = max(MULTIPLE * round(size / MULTIPLE), 2 * MULTIPLE)
        raise ValueError(f"{size} {what} are no multiple of 4 from 8: the nearest is {nearest}")


def _image(x: Float[Array, "b t m"], dtype: DTypeLike) -> Float[Array, "b m t 1"]:
    return x.astype(dtype).transpose(0, 2, 1)[..., None]


def _residual(
    x: Float[Array, "b 1 t c"], inner: int, blocks: int, dtype: DTypeLike
) -> Float[Array, "b 1 t c"]:
    """Apply the blocks: 3-wide to `inner` with gates, 3-wide back, no activation after the sum."""
    features = x.shape[-1]
    for number in range(blocks):
        h = _Layer(inner, (1, 3), name=f"block{number}a", dtype=dtype)(x)
        x = x + _Layer(features, (1, 3), gate=False, name=f"block{number}b", dtype=dtype)(h)
    return x
