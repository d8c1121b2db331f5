"""Random changes of training pictures: mirrored, and the jitter of pix2pix and CycleGAN.

Isola et al., arXiv:1611.07004, section 6.2; Zhu et al., arXiv:1703.10593. What is drawn at random
is drawn elsewhere: these functions are pure.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Integer, UInt8, UInt32
from PIL import Image

from gan_jax.data.builders.base import as_image


def mirror(
    pictures: UInt8[np.ndarray, "b h w c"], chosen: Bool[np.ndarray, "b"]
) -> UInt8[np.ndarray, "b h w c"]:
    """Mirror the chosen pictures left to right."""
    return np.where(chosen[:, None, None, None], pictures[:, :, ::-1], pictures)


def jitter(
    pictures: UInt8[np.ndarray, "b h w c"], words: UInt32[np.ndarray, "b"], pixels: int
) -> UInt8[np.ndarray, "b h w c"]:
    """Enlarge each picture by `pixels` on both axes, bicubic, and cut a window of the old size out.

    Args:
        pictures: as they are.
        words: 32 random bits for each picture, which place its window.
        pixels: at least 0; the paper enlarges 256 by 30.
    """
    height, width = pictures.shape[1:3]
    size = (width + pixels, height + pixels)
    changed = np.empty_like(pictures)
    for index, (top, left) in enumerate(zip(*corners(words, pixels), strict=True)):
        large = np.asarray(as_image(pictures[index]).resize(size, Image.Resampling.BICUBIC))
        window = large[top : top + height, left : left + width]
        changed[index] = window.reshape(changed[index].shape)  # Pillow drops a single channel
    return changed


def corners(
    words: UInt32[np.ndarray, "b"], pixels: int
) -> tuple[Integer[np.ndarray, "b"], Integer[np.ndarray, "b"]]:
    """Place windows: 16 bits choose the top and 16 the left, each one of 0, ..., `pixels`."""
    halves = np.stack([words >> 16, words & 0xFFFF]).astype(np.int64)
    top, left = (halves * (pixels + 1)) >> 16
    return top, left
