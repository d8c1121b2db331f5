"""InceptionV3 of the literature's FID: the TensorFlow graph of 2015-12-05.

Szegedy et al. 2016, arXiv:1512.00567; the graph differs from later Inceptions in three places that
affect FID: average pools do not count padding, the last block pools by maximum, and there are 1008
classes. Batch normalisation is folded into the convolutions when weights are converted.
"""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from gan_jax.networks.conv import Conv

RESOLUTION, FEATURES, CLASSES = 299, 2048, 1008
EPSILON = 1e-3  # of the network's batch normalisation


class InceptionV3(nn.Module):
    """RGB [b 299 299 3] in 0..255 to pooled features [b 2048] and logits [b 1008].

    The logits lack the bias, as in the code of the Inception Score (Salimans et al. 2016).
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"]
    ) -> tuple[Float[Array, "b 2048"], Float[Array, "b 1008"]]:
        x = (x - 128.0) / 128.0
        x = Unit(32, (3, 3), 2, "VALID", name="Conv2d_1a_3x3")(x)
        x = Unit(32, (3, 3), 1, "VALID", conv=Conv, name="Conv2d_2a_3x3")(x)
        x = Unit(64, (3, 3), conv=Conv, name="Conv2d_2b_3x3")(x)
        x = nn.max_pool(x, (3, 3), (2, 2))
        x = Unit(80, (1, 1), name="Conv2d_3b_1x1")(x)
        x = Unit(192, (3, 3), 1, "VALID", conv=Conv, name="Conv2d_4a_3x3")(x)
        x = nn.max_pool(x, (3, 3), (2, 2))
        for letter, pooled in zip("bcd", (32, 64, 64), strict=True):
            x = BlockA(pooled, name=f"Mixed_5{letter}")(x)
        x = BlockB(name="Mixed_6a")(x)
        for letter, width in zip("bcde", (128, 160, 160, 192), strict=True):
            x = BlockC(width, name=f"Mixed_6{letter}")(x)
        x = BlockD(name="Mixed_7a")(x)
        x = BlockE(average_pool, name="Mixed_7b")(x)
        x = BlockE(max_pool, name="Mixed_7c")(x)  # later Inceptions average here
        x = x.mean(axis=(1, 2))
        return x, nn.Dense(CLASSES, use_bias=False, name="fc")(x)


class Unit(nn.Module):
    """Convolution with its folded normalisation, and ReLU.

    On CPUs `networks.conv.Conv` is worth its longer compilation for the stem's large images; for
    small ones `nn.Conv` is as fast, and a 1x1 kernel is a matrix product.
    """

    features: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: str = "SAME"
    conv: Callable[..., nn.Module] = nn.Conv

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        if self.kernel == (1, 1):
            return nn.relu(nn.Dense(self.features, name="conv")(x))
        conv = self.conv(self.features, self.kernel, self.stride, self.padding, name="conv")
        return nn.relu(conv(x))


def average_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Average 3x3 pixels, without padding: fewer than nine at the border."""
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Take the maximum of 3x3 pixels, without padding."""
    return nn.max_pool(x, (3, 3), (1, 1), "SAME")


def chain(x: Array, *branch: tuple[str, int, tuple[int, int]]) -> Array:
    """Apply units in sequence, as submodules of the calling module."""
    for name, features, kernel in branch:
        x = Unit(features, kernel, name=name)(x)
    return x


class BlockA(nn.Module):
    """35x35: 1x1, 5x5, double 3x3, and pooling."""

    pooled: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w f"]:
        double = ("branch3x3dbl_1", 64, (1, 1)), ("branch3x3dbl_2", 96, (3, 3))
        parts = (
            chain(x, ("branch1x1", 64, (1, 1))),
            chain(x, ("branch5x5_1", 48, (1, 1)), ("branch5x5_2", 64, (5, 5))),
            chain(x, *double, ("branch3x3dbl_3", 96, (3, 3))),
            chain(average_pool(x), ("branch_pool", self.pooled, (1, 1))),
        )
        return jnp.concatenate(parts, axis=-1)


class BlockB(nn.Module):
    """35x35 to 17x17."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        double = chain(x, ("branch3x3dbl_1", 64, (1, 1)), ("branch3x3dbl_2", 96, (3, 3)))
        parts = (
            Unit(384, (3, 3), 2, "VALID", name="branch3x3")(x),
            Unit(96, (3, 3), 2, "VALID", name="branch3x3dbl_3")(double),
            nn.max_pool(x, (3, 3), (2, 2)),
        )
        return jnp.concatenate(parts, axis=-1)


class BlockC(nn.Module):
    """17x17: 7x7 filters as 1x7 and 7x1."""

    width: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w f"]:
        w, row, column = self.width, (1, 7), (7, 1)
        once = ("branch7x7_1", w, (1, 1)), ("branch7x7_2", w, row), ("branch7x7_3", 192, column)
        twice = (
            ("branch7x7dbl_1", w, (1, 1)),
            ("branch7x7dbl_2", w, column),
            ("branch7x7dbl_3", w, row),
            ("branch7x7dbl_4", w, column),
            ("branch7x7dbl_5", 192, row),
        )
        parts = (
            chain(x, ("branch1x1", 192, (1, 1))),
            chain(x, *once),
            chain(x, *twice),
            chain(average_pool(x), ("branch_pool", 192, (1, 1))),
        )
        return jnp.concatenate(parts, axis=-1)


class BlockD(nn.Module):
    """17x17 to 8x8."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        seven = ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1))
        three = chain(x, ("branch3x3_1", 192, (1, 1)))
        both = chain(x, ("branch7x7x3_1", 192, (1, 1)), *seven)
        parts = (
            Unit(320, (3, 3), 2, "VALID", name="branch3x3_2")(three),
            Unit(192, (3, 3), 2, "VALID", name="branch7x7x3_4")(both),
            nn.max_pool(x, (3, 3), (2, 2)),
        )
        return jnp.concatenate(parts, axis=-1)


class BlockE(nn.Module):
    """8x8: 3x3 filters as parallel 1x3 and 3x1."""

    pool: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w f"]:
        three = chain(x, ("branch3x3_1", 384, (1, 1)))
        double = chain(x, ("branch3x3dbl_1", 448, (1, 1)), ("branch3x3dbl_2", 384, (3, 3)))
        parts = (
            chain(x, ("branch1x1", 320, (1, 1))),
            chain(three, ("branch3x3_2a", 384, (1, 3))),
            chain(three, ("branch3x3_2b", 384, (3, 1))),
            chain(double, ("branch3x3dbl_3a", 384, (1, 3))),
            chain(double, ("branch3x3dbl_3b", 384, (3, 1))),
            chain(self.pool(x), ("branch_pool", 192, (1, 1))),
        )
        return jnp.concatenate(parts, axis=-1)


def convert(state: Mapping[str, np.ndarray]) -> dict[str, PyTree[np.ndarray]]:
    """Convert the PyTorch state of the published port (`pt_inception-2015-12-05`).

    The port has the same module names: `place.conv` and `place.bn` become `place`.

    Raises:
        KeyError: A tensor is missing.
    """
    params: dict[str, PyTree[np.ndarray]] = {"fc": {"kernel": state["fc.weight"].T}}
    for name in state:
        if not name.endswith(".conv.weight"):
            continue
        place = name.removesuffix(".conv.weight")
        gain, shift, mean, variance = (
            state[f"{place}.bn.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gain / np.sqrt(variance + EPSILON)
        node = params
        for part in place.split("."):
            node = node.setdefault(part, {})
        kernel = (state[name].transpose(2, 3, 1, 0) * gain).astype(np.float32)
        node["conv"] = {
            "kernel": kernel[0, 0] if kernel.shape[:2] == (1, 1) else kernel,
            "bias": (shift - mean * gain).astype(np.float32),
        }
    return {"params": params}
