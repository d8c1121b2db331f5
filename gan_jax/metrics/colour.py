"""Matching the mean and covariance of colour: what a translation must beat to have learned more.

The map between two Gaussians that moves colours least (Pitie & Kokaram 2007, "The linear
Monge-Kantorovitch linear colour mapping for example-based colour transfer", equation 14).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num, UInt8

FLOOR = 1e-3  # added to variances of bytes, for domains of one colour


class Colours(NamedTuple):
    """Mean [c] and covariance [c c] of the pixels of a set of pictures, in bytes."""

    mean: Float[np.ndarray, " c"]
    cov: Float[np.ndarray, "c c"]


def colours(pictures: Num[np.ndarray, "n h w c"]) -> Colours:
    """The moments of all pixels of all pictures."""
    pixels = pictures.reshape(-1, pictures.shape[-1]).astype(np.float64)
    cov = np.atleast_2d(np.cov(pixels, rowvar=False, bias=True))
    return Colours(pixels.mean(axis=0), cov + FLOOR * np.eye(len(cov)))


def match_colours(
    pictures: UInt8[np.ndarray, "n h w c"], source: Colours, target: Colours
) -> UInt8[np.ndarray, "n h w c"]:
    """Pictures of the domain `source` with every pixel mapped so that the moments are `target`'s.

    Values beyond the range of bytes are cut off.
    """
    root = _root(source.cov)
    inverse = np.linalg.inv(root)
    matrix = inverse @ _root(root @ target.cov @ root) @ inverse
    moved = (pictures.astype(np.float64) - source.mean) @ matrix + target.mean  # it is symmetric
    return np.rint(np.clip(moved, 0.0, 255.0)).astype(np.uint8)


def _root(cov: Float[np.ndarray, "c c"]) -> Float[np.ndarray, "c c"]:
    values, vectors = np.linalg.eigh(cov)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
