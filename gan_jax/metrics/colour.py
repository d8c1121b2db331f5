"""Match the mean and covariance of colours, as a baseline for image translation.

The optimal transport map between two Gaussians (Pitie & Kokaram 2007, "The linear
Monge-Kantorovitch linear colour mapping for example-based colour transfer", equation 14).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num, UInt8

FLOOR = 1e-3  # added to the variances (uint8 levels squared), for domains of a single colour


class Colours(NamedTuple):
    """Mean and covariance over all pixels of a set of images, in uint8 levels."""

    mean: Float[np.ndarray, " c"]
    cov: Float[np.ndarray, "c c"]


def colours(pictures: Num[np.ndarray, "n h w c"]) -> Colours:
    """Compute the moments over all pixels of all images."""
    pixels = pictures.reshape(-1, pictures.shape[-1]).astype(np.float64)
    cov = np.atleast_2d(np.cov(pixels, rowvar=False, bias=True))
    return Colours(pixels.mean(axis=0), cov + FLOOR * np.eye(len(cov)))


def match_colours(
    pictures: UInt8[np.ndarray, "n h w c"], source: Colours, target: Colours
) -> UInt8[np.ndarray, "n h w c"]:
    """Map images of the domain `source` so that their colour moments are those of `target`.

    Values are clipped to 0..255.

    References:
        Pitie & Kokaram 2007, equation 14.
    """
    root = _root(source.cov)
    inverse = np.linalg.inv(root)
    matrix = inverse @ _root(root @ target.cov @ root) @ inverse
    moved = (
        pictures.astype(np.float64) - source.mean
    ) @ matrix + target.mean  # the matrix is symmetric
    return np.rint(np.clip(moved, 0.0, 255.0)).astype(np.uint8)


def _root(cov: Float[np.ndarray, "c c"]) -> Float[np.ndarray, "c c"]:
    values, vectors = np.linalg.eigh(cov)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
