"""Image resizers as matrices: a resized image is R @ image @ C^T.

The resizer changes FID by several points (Parmar et al. 2022, arXiv:2104.11222). A matrix product
is exact, the same on every device, and runs on the device of the feature network. Bicubic
interpolation overshoots at edges by up to a fifth of the range, so resized images are clipped to
the range, as in clean-fid.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Resizer = Callable[[int, int], Float[np.ndarray, "new old"]]
"""(old side, new side) -> interpolation matrix."""


def antialias(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """Bicubic (Keys 1981, a = -1/2), with a kernel widened for downscaling: Pillow's BICUBIC."""
    scale = old / new
    width = max(scale, 1.0)
    centre = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centre[:, None]) / width
    weights = _keys(distance)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _keys(t: Float[np.ndarray, "new old"], a: float = -0.5) -> Float[np.ndarray, "new old"]:
    near = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    far = a * (((t - 5.0) * t + 8.0) * t - 4.0)
    return np.where(t < 1.0, near, np.where(t < 2.0, far, 0.0))


def tf1_bilinear(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """Bilinear as in TensorFlow 1: positions i * old / new, no half-pixel shift or antialiasing.

    It is part of the Inception graph of 2015 used for FID, with positions in float32.
    """
    position = np.arange(new, dtype=np.float32) * np.float32(old / new)
    low = np.minimum(position.astype(np.int64), old - 1)
    high, t = np.minimum(low + 1, old - 1), position - low.astype(np.float32)
    weights = np.zeros((new, old), np.float32)
    np.add.at(weights, (np.arange(new), low), 1.0 - t)
    np.add.at(weights, (np.arange(new), high), t)
    return weights


RESIZERS: Mapping[str, Resizer] = {"antialias": antialias, "tf1-bilinear": tf1_bilinear}


def resize(
    images: Float[Array, "b h w c"],
    resolution: int,
    resizer: Resizer,
    levels: tuple[float, float],
) -> Float[Array, "b r r c"]:
    """Resize images to [b r r c] and clip them to `levels` (lowest, highest), without rounding."""
    h, w = images.shape[1:3]
    if h != resolution:
        images = jnp.einsum("rh,bhwc->brwc", resizer(h, resolution), images)
    if w != resolution:
        images = jnp.einsum("sw,brwc->brsc", resizer(w, resolution), images)
    return jnp.clip(images, *levels)
