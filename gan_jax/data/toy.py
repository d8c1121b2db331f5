"""Infinite streams of two-dimensional toy distributions; sample i depends only on (seed, i).

Eight Gaussians on a ring: Metz et al., "Unrolled Generative Adversarial Networks",
arXiv:1611.02163, section 3.1. Grid of 25: Lin et al., "PacGAN", arXiv:1712.04086, section 4.1.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt64

from gan_jax.data.source import Records, Source, fingerprint
from gan_jax.errors import UserError, nearest

Uniforms = Float[np.ndarray, "b 4"]
Points = Float[np.ndarray, "b 2"]
Modes = Int32[np.ndarray, "b"]


class Toy(NamedTuple):
    """A toy distribution.

    Attributes:
        sample: uniforms in [0, 1) [b 4] -> (points [b 2], mode of each point [b] or None).
        description: one line for people.
        centres: means [k 2] of a mixture of Gaussians; None for other distributions.
        std: isotropic standard deviation of a mixture component; None for other distributions.
    """

    sample: Callable[[Uniforms], tuple[Points, Modes | None]]
    description: str
    centres: Float32[np.ndarray, "k 2"] | None = None
    std: float | None = None


def modes(name: str) -> tuple[Float32[np.ndarray, "k 2"], float]:
    """Return mode centres [k 2] and standard deviation of a toy mixture such as 'toy/ring8'.

    Raises:
        UserError: the name is unknown, or not of a mixture of Gaussians.
    """
    toy = find_toy(name)
    if toy.centres is None or toy.std is None:
        mixtures = [key for key, value in TOYS.items() if value.centres is not None]
        raise UserError(f"{name!r} has no modes; {', '.join(mixtures)} have")
    return toy.centres, toy.std


def find_toy(name: str) -> Toy:
    """Return a toy distribution by name, or raise a UserError that names the nearest."""
    if name not in TOYS:
        raise UserError(f"unknown toy data set {name!r}; did you mean {nearest(name, TOYS)}?")
    return TOYS[name]


def open_toy(name: str, *, split: str, seed: int) -> Source:
    """Open an infinite source of 'x' float32 [2], with 'label' int32 [] where there are modes.

    Any name is a split; splits are independent streams.
    """
    toy = find_toy(name)
    key = int(np.random.SeedSequence((seed, zlib.crc32(split.encode()))).generate_state(1)[0])
    labelled = toy.centres is not None and len(toy.centres) > 1

    def take(rows: np.ndarray) -> dict[str, np.ndarray]:
        points, mode = toy.sample(uniforms(key, rows))
        record = {"x": points.astype(np.float32)}
        return record | {"label": mode} if labelled and mode is not None else record

    classes = len(toy.centres) if labelled and toy.centres is not None else None
    names = tuple(f"mode {i}" for i in range(classes)) if classes else None
    facts = {"name": name, "version": 1, "split": split, "seed": seed}
    return Source(
        name, Records(None, take), fingerprint(facts), None, classes, names, toy.description
    )


def uniforms(key: int, rows: np.ndarray) -> Uniforms:
    """Draw four uniforms in [0, 1) per row, as a pure function of (key, row).

    Counter-based SplitMix64: word n is a hash of key + n * golden ratio, without state.

    References:
        Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    words = rows.astype(np.uint64)[:, None] * np.uint64(4) + np.arange(4, dtype=np.uint64)
    start = _mix(np.full((1, 1), key, np.uint64))
    bits = _mix(start + (words + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: UInt64[np.ndarray, "b n"]) -> UInt64[np.ndarray, "b n"]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _normal(u: Uniforms) -> Points:
    """Transform the last two uniforms to two standard normals (Box-Muller)."""
    radius = np.sqrt(-2.0 * np.log1p(-u[:, 2]))
    angle = 2.0 * np.pi * u[:, 3]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _mixture(centres: np.ndarray, std: float, description: str) -> Toy:
    def sample(u: Uniforms) -> tuple[Points, Modes | None]:
        mode = (u[:, 0] * len(centres)).astype(np.int32)
        return centres[mode] + std * _normal(u), mode

    return Toy(sample, description, centres.astype(np.float32), std)


def _swiss_roll(u: Uniforms) -> tuple[Points, Modes | None]:
    # Noise 0.25 and the division by 7.5 as in Gulrajani et al., arXiv:1704.00028, figure 2.
    t = 1.5 * np.pi * (1.0 + 2.0 * u[:, 0])
    roll = np.stack([t * np.cos(t), t * np.sin(t)], axis=1)
    return (roll + 0.25 * _normal(u)) / 7.5, None


def _two_moons(u: Uniforms) -> tuple[Points, Modes | None]:
    t = np.pi * u[:, 1]
    upper = np.stack([np.cos(t), np.sin(t)], axis=1)
    lower = np.stack([1.0 - np.cos(t), 0.5 - np.sin(t)], axis=1)
    return np.where(u[:, :1] < 0.5, upper, lower) + 0.05 * _normal(u), None


def _ring(count: int, radius: float) -> np.ndarray:
    angle = 2.0 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _grid(side: int, spacing: float) -> np.ndarray:
    line = spacing * (np.arange(side) - (side - 1) / 2)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


TOYS: dict[str, Toy] = {
    "toy/ring8": _mixture(_ring(8, 2.0), 0.02, "8 Gaussians on a circle of radius 2, std 0.02"),
    "toy/grid25": _mixture(_grid(5, 2.0), 0.05, "25 Gaussians on a 5x5 grid, spacing 2, std 0.05"),
    "toy/gaussian": _mixture(np.zeros((1, 2)), 1.0, "the standard Gaussian of two dimensions"),
    "toy/swiss_roll": Toy(_swiss_roll, "a spiral with Gaussian noise, about 2 across"),
    "toy/two_moons": Toy(_two_moons, "two interleaved half circles with Gaussian noise, std 0.05"),
}
"""All toy distributions by name."""
