"""Augmentation of training images: horizontal flips and the jitter of pix2pix and CycleGAN.

Isola et al., arXiv:1611.07004, section 6.2; Zhu et al., arXiv:1703.10593. The functions are pure:
random numbers are arguments.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Integer, UInt8, UInt32
from PIL import Image

from gan_jax.data.builders.base import as_image


def mirror(
    pictures: UInt8[np.ndarray, "b h w c"], chosen: Bool[np.ndarray, "b"]
) -> UInt8[np.ndarray, "b h w c"]:
    """Mirror the chosen images horizontally."""
    return np.where(chosen[:, None, None, None], pictures[:, :, ::-1], pictures)


def jitter(
    pictures: UInt8[np.ndarray, "b h w c"], bits: UInt32[np.ndarray, "b"], pixels: int
) -> UInt8[np.ndarray, "b h w c"]:
    """Enlarge each image by `pixels` along both axes (bicubic) and crop it to its original size.

    Args:
        pictures: images.
        bits: 32 random bits per image, which place its window.
        pixels: at least 0; the paper enlarges 256 by 30.

    Returns:
        Images of the same shape.
    """
    height, width = pictures.shape[1:3]
    size = (width + pixels, height + pixels)
    changed = np.empty_like(pictures)
    for index, (top, left) in enumerate(zip(*corners(bits, pixels), strict=True)):
        large = np.asarray(as_image(pictures[index]).resize(size, Image.Resampling.BICUBIC))
        window = large[top : top + height, left : left + width]
        changed[index] = window.reshape(
            changed[index].shape
        )  # Pillow drops the axis of a single channel
    return changed


def corners(
    bits: UInt32[np.ndarray, "b"], pixels: int
) -> tuple[Integer[np.ndarray, "b"], Integer[np.ndarray, "b"]]:
    """Return top and left of windows in 0, ..., `pixels`: the high and low 16 bits select them."""
    halves = np.stack([bits >> 16, bits & 0xFFFF]).astype(np.int64)
    top, left = (halves * (pixels + 1)) >> 16
    return top, left
