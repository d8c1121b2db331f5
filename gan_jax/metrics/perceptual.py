"""Distances between two images: of pixels (L1, PSNR, SSIM) and of network layers (LPIPS and kin).

Network distances are `Distance` values. The offline one uses EfficientNet-Lite0; only the one with
the published network and heads may be called LPIPS (Zhang et al. 2018, arXiv:1801.03924).
"""

from collections.abc import Callable, Mapping
from functools import cache
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


class Distance(NamedTuple):
    """A distance of image pairs, [b h w c] and [b h w c] in [-1, 1], 1 or 3 channels, to [b].

    `metric` and `label` name it: 'lpips' and 'vgg16'.
    """

    metric: str
    label: str
    run: Callable[[Float[Array, "b h w c"], Float[Array, "b h w c"]], Float[Array, " b"]]
    batch: int = 16


@cache
def lpips(network: str = "vgg16") -> Distance:
    """LPIPS 0.1 on "vgg16" or "alexnet", at the images' own resolution.

    Raises UserError, with the command that gets the weights, when they are not there.
    """
    trunk = _trunk(network)
    heads = load_weights(f"lpips-{network}")
    variables = vgg.convert_lpips(load_weights(network), heads)
    return module_distance("lpips", network, vgg.Lpips(trunk), variables)


@cache
def vgg_distance(network: str = "vgg16") -> Distance:
    """The same layers with every weight 1, for which no heads are needed: not LPIPS.

    Raises UserError, with the command that gets the weights, when they are not there.
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
    """Unit-length differences of five layers of EfficientNet-Lite0 at 224 x 224: the offline one.

    Raises UserError, with the command that installs it, when the package is not there.
    """
    module = efficientnet.EfficientNetLite0()
    variables = jax.device_put(efficientnet.convert(load_weights("efficientnet-lite0")))

    @jax.jit
    def run(variables: PyTree, x: Array, y: Array) -> Array:
        with jax.default_matmul_precision("highest"):
            both = _rgb(jnp.concatenate([x, y]))
            both = resize(both, efficientnet.RESOLUTION, antialias, (-1.0, 1.0))
            _, kept = module.apply(
                variables,
                (both + 1.0) * 127.5,
                capture_intermediates=lambda part, _: part.name in efficientnet.TAPS,
            )
            layers: Any = kept["intermediates"]
            return vgg.tap_distance([layers[n]["__call__"][0] for n in efficientnet.TAPS], None)

    label = "efficientnet-lite0,antialias"
    return Distance("perceptual", label, lambda x, y: run(variables, x, y))


def module_distance(metric: str, label: str, module: nn.Module, variables: PyTree) -> Distance:
    """The distance a Linen module computes from two batches of RGB in [-1, 1]."""
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
    """The distance of each pair of images, uint8 or float [-1, 1], in batches of one shape.

    Raises UserError when the two sets differ in shape.
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
    """Images as float32 in [-1, 1]."""
    if images.dtype == np.uint8:
        return images.astype(np.float32) / 127.5 - 1.0
    return images.astype(np.float32)


def l1(x: Images, y: Images) -> Float[np.ndarray, " n"]:
    """Mean absolute difference of each pair, in units of the range: 0 to 1; of 8-bit images."""
    a, b = _unit(x, y)
    return np.abs(a - b).mean(axis=(1, 2, 3))


def psnr(x: Images, y: Images) -> Float[np.ndarray, " n"]:
    """Peak signal-to-noise ratio of each pair in decibels, of 8-bit images; infinite for equals."""
    a, b = _unit(x, y)
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(((a - b) ** 2).mean(axis=(1, 2, 3)))


def ssim(x: Images, y: Images) -> Float[np.ndarray, " n"]:
    """Structural similarity of each pair, -1 to 1, of 8-bit images (Wang et al. 2004, III-B).

    Gaussian window of 11 x 11 and 1.5 pixels, K1 = 0.01, K2 = 0.03; the mean over channels and
    over the places where the whole window fits. Raises UserError for images below 11 pixels.
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
    """Both as float64 in [0, 1], at the 256 levels they are saved with."""
    _check(x, y)
    a, b = (to_uint8(images).astype(np.float64) / 255.0 for images in (x, y))
    return a, b


def _window(images: np.ndarray) -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        images = correlate1d(images, weights, axis=axis)
    return images[:, 5:-5, 5:-5]


PAIRWISE: Mapping[str, Callable[[Images, Images], np.ndarray]] = {
    "l1_error": l1,
    "psnr": psnr,
    "ssim": ssim,
}


def compare_pairs(
    generated: Images, target: Images, *, split: str, distance: Distance | None = None
) -> dict[str, float]:
    """Means over pairs of L1, PSNR and SSIM, and of a network's distance: 'psnr100-test[pixels]'.

    For reconstructions, and translations with a known answer. Raises UserError when the two sets
    differ in shape.
    """
    results = {
        metric_name(name, len(target), split, "pixels"): float(np.mean(function(generated, target)))
        for name, function in PAIRWISE.items()
    }
    if distance is not None:
        name = metric_name(distance.metric, len(target), split, distance.label)
        results[name] = float(np.mean(measure(distance, generated, target), dtype=np.float64))
    return results
