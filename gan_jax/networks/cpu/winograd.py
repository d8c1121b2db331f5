"""Convolutions of stride 1 by Winograd's minimal filtering.

Winograd 1980; Lavin & Gray 2015, arXiv:1509.09308. F(m, r) computes m outputs of r taps by
m + r - 1 multiplications instead of m * r. In two dimensions, for every tile of an image,
output = A^T [(G kernel G^T) * (B^T image B)] A, where * is a matrix product over the channels for
each of the (m + r - 1)^2 points. That saves 7/16 of the multiplications of 2x2 taps and 5/9 of 3x3;
with larger tiles 39/64 of 2x2 and 3/4 of 3x3 and 4x4.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from gan_jax.networks.cpu.arrays import pad, total
from gan_jax.networks.cpu.form import Form
from gan_jax.networks.cpu.space_to_depth import UnitStride, UnitStrideForm, with_any_stride
from gan_jax.networks.geometry import Pair
from gan_jax.networks.products import product


class Tile(NamedTuple):
    """The matrices of F(m, r)."""

    m: int
    a: np.ndarray  # [m + r - 1, m]
    b: np.ndarray  # [m + r - 1, m + r - 1], the transpose of the paper's B
    g: np.ndarray  # [m + r - 1, r]


def _tile_at(points: Sequence[float], m: int, r: int) -> Tile:
    """F(m, r) by interpolation at `points` and infinity (Toom 1963, Cook 1966).

    A point's row of `b` holds the polynomial that vanishes at the other points; `g` divides by its
    value, so that the factors of the image are exact in float32.
    """
    n = m + r - 1

    def powers(size: int) -> np.ndarray:
        rows = np.vander(np.array(points), size, increasing=True)
        return np.concatenate([rows, np.eye(size)[-1:]])

    roots = [[q for q in points if q != p] for p in points]
    values = [math.prod(p - q for q in others) for p, others in zip(points, roots, strict=True)]
    b = np.zeros((n, n))
    for row, others in zip(b, [*roots, points], strict=True):
        row[: len(others) + 1] = np.poly(others)[::-1]
    g = powers(r) / np.array([*values, 1.0])[:, None]
    return Tile(m, *(matrix.astype(np.float32) for matrix in (powers(m), b, g)))


_TWO_TAPS = Tile(
    m=2,
    a=np.array([[1, 0], [1, -1], [0, 1]], np.float32),
    b=np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]], np.float32),
    g=np.array([[1, 0], [-1, 1], [0, 1]], np.float32),
)
_THREE_TAPS = Tile(
    m=2,
    a=np.array([[1, 0], [1, 1], [1, -1], [0, 1]], np.float32),
    b=np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]], np.float32),
    g=np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32),
)
_SMALL_TILES = {(2, 2): _TWO_TAPS, (3, 3): _THREE_TAPS}
# Of the points tried, those with the smallest error: 2e-6 of the largest output with 256 channels,
# 7e-6 with 1,024. That is enough in float32 only.
_LARGE_TILES = {
    (2, 2): _tile_at((0.0, 0.75, -1.0, 1.5), 4, 2),
    (3, 3): _tile_at((0.0, 0.75, -0.75, 1.5, -1.5), 4, 3),
    (4, 4): _tile_at((0.0, 0.75, -0.75, 1.5, -1.5), 3, 4),
}
_SMALLEST_OUTPUT = 7  # height and width, for large tiles
_LARGEST_COST = 0.8  # of a large tile's multiplications to a small one's: its transforms cost more
_FEW_TAPS = 4  # a loop is twice as fast as a matrix product with 4 taps, half as fast with 9


def choose_tile(unit: UnitStride, dtype: jnp.dtype) -> Tile | None:
    """Select the tile with the fewest multiplications; None if there is none for these taps."""
    small, large = _SMALL_TILES.get(unit.taps), _LARGE_TILES.get(unit.taps)
    if large is None or dtype != jnp.float32 or min(unit.output) < _SMALLEST_OUTPUT:
        return small
    direct = math.prod(unit.output) * math.prod(unit.taps)
    most = _LARGEST_COST * (_multiplications(small, unit) if small else direct)
    return large if _multiplications(large, unit) <= most else small


def _multiplications(tile: Tile, unit: UnitStride) -> int:
    """The number per image, channel and feature."""
    return math.prod(_tile_counts(tile, unit)) * len(tile.b) ** 2


def _tile_counts(tile: Tile, unit: UnitStride) -> Pair:
    """How many tiles cover an image, in rows and columns."""
    h, w = unit.output
    return -(-h // tile.m), -(-w // tile.m)


def form(tile: Tile) -> Form:
    """The form that filters by a tile."""
    unit_stride = UnitStrideForm(
        partial(_transform_kernel, tile),
        partial(_kernel_from_points, tile),
        partial(_conv, tile),
        partial(_weights_gradient, tile),
        partial(_input_gradient, tile),
    )
    return with_any_stride("winograd", unit_stride)


def _conv(tile: Tile, unit: UnitStride, x: Array, weights: Array) -> Array:
    return _output_from_points(tile, unit, product(_transform_image(tile, unit, x), weights))


def _input_gradient(tile: Tile, unit: UnitStride, y: Array, weights: Array) -> Array:
    points = product(_transform_output(tile, unit, y), weights, transpose_b=True)
    return _image_from_points(tile, unit, points)


def _weights_gradient(tile: Tile, unit: UnitStride, x: Array, y: Array) -> Array:
    x, y = _transform_image(tile, unit, x), _transform_output(tile, unit, y)
    return product(x, y, transpose_a=True)


# Transforms between arrays and their points [points, tiles, channels], each with its transpose


def _transform_image(tile: Tile, unit: UnitStride, x: Array) -> Array:
    """B^T image B of every tile: [points, tiles, c]."""
    (i, j), n, m, c = _tile_counts(tile, unit), len(tile.b), tile.m, x.shape[-1]
    x = pad(x, (0, m * i + n - m - x.shape[1]), (0, m * j + n - m - x.shape[2]))

    def places(x: Array, tiles: int, axis: int) -> list[Array]:
        """Split an axis by the place in a tile: n arrays of as many places as tiles."""
        return [lax.slice_in_dim(x, p, p + m * (tiles - 1) + 1, m, axis) for p in range(n)]

    if _takes_one_loop(tile):
        points = _transform(tile.b, [places(row, j, 2) for row in places(x, i, 1)])
    else:
        columns = jnp.stack(_combine(tile.b, places(x, j, 2)))
        points = jnp.stack(_combine(tile.b, places(columns, i, 2)))
    return points.reshape(n * n, -1, c)


def _image_from_points(tile: Tile, unit: UnitStride, points: Array) -> Array:
    """The transpose of `_transform_image`."""
    n = len(tile.b)
    points = points.reshape(n, n, -1, *_tile_counts(tile, unit), points.shape[-1])
    rows = _add_tiles(tile.m, _combine(tile.b.T, list(points)), 2)
    x = _add_tiles(tile.m, _combine(tile.b.T, list(rows)), 2)
    (u, v), (h, w) = unit.taps, unit.output
    return x[:, : h + u - 1, : w + v - 1]


def _transform_output(tile: Tile, unit: UnitStride, y: Array) -> Array:
    """A outputs A^T of every tile: [points, tiles, f]."""
    (i, j), n, m, f = _tile_counts(tile, unit), len(tile.b), tile.m, y.shape[-1]
    y = pad(y, (0, m * i - y.shape[1]), (0, m * j - y.shape[2])).reshape(-1, i, m, j, m, f)
    if _takes_one_loop(tile):
        points = _transform(tile.a, [[y[:, :, k, :, q] for q in range(m)] for k in range(m)])
    else:
        columns = jnp.stack(_combine(tile.a, [y[..., q, :] for q in range(m)]))
        points = jnp.stack(_combine(tile.a, [columns[:, :, :, k] for k in range(m)]))
    return points.reshape(n * n, -1, f)


def _output_from_points(tile: Tile, unit: UnitStride, points: Array) -> Array:
    """The transpose of `_transform_output`."""
    (i, j), n, m, f = _tile_counts(tile, unit), len(tile.b), tile.m, points.shape[-1]
    points = points.reshape(n, n, -1, i, j, f)
    rows = _combine(tile.a.T, list(points))
    if _takes_one_loop(tile):
        lines = [_interleave(_combine(tile.a.T, list(row)), 2) for row in rows]
        y = _interleave(lines, 1)
    else:
        columns = _combine(tile.a.T, list(jnp.stack(rows, 3)))
        y = jnp.stack(columns, 4).reshape(-1, i * m, j * m, f)
    return y[:, : unit.output[0], : unit.output[1]]


def _transform_kernel(tile: Tile, unit: UnitStride, kernel: Array) -> Array:
    """G kernel G^T: [points, c, f]."""
    u, v = unit.taps
    if u * v <= _FEW_TAPS:  # one loop, which reads the kernel where it is stored
        points = _transform(tile.g, [[kernel[i, j] for j in range(v)] for i in range(u)])
    else:
        points = jnp.asarray(np.kron(tile.g, tile.g), kernel.dtype)
        points = points @ kernel.reshape(u * v, -1)
    return points.reshape(-1, *kernel.shape[2:])


def _kernel_from_points(tile: Tile, unit: UnitStride, points: Array) -> Array:
    """The transpose of `_transform_kernel`."""
    kernel = jnp.asarray(np.kron(tile.g, tile.g).T, points.dtype) @ points.reshape(len(points), -1)
    return kernel.reshape(*unit.taps, *points.shape[1:])


# Sums of parts with constant factors


def _takes_one_loop(tile: Tile) -> bool:
    """Whether a loop over all terms of a point is faster than rows first, then columns."""
    return len(tile.b) <= 4


def _transform(weights: np.ndarray, grid: Sequence[Sequence[Array]]) -> Array:
    """`weights @ grid @ weights.T` with the points in front, which XLA compiles to one loop."""
    return _transform_axis(weights, [_transform_axis(weights, row) for row in grid])


def _transform_axis(weights: np.ndarray, parts: Sequence[Array]) -> Array:
    shape = (len(weights),) + (1,) * parts[0].ndim
    terms = [
        jnp.asarray(column.reshape(shape), part.dtype) * part[None]
        for column, part in zip(weights.T, parts, strict=True)
    ]
    return total(terms)


def _combine(weights: np.ndarray, parts: Sequence[Array]) -> list[Array]:
    """The sum of the parts weighted by each row, without multiplications by 0, 1 and -1."""
    return [_weighted_sum(row, parts) for row in weights]


def _weighted_sum(row: np.ndarray, parts: Sequence[Array]) -> Array:
    result = None
    for weight, part in zip(row.tolist(), parts, strict=True):
        if weight == 0:
            continue
        term = part if abs(weight) == 1 else part * abs(weight)
        if result is None:
            result = term if weight > 0 else -term
        else:
            result = result + term if weight > 0 else result - term
    assert result is not None
    return result


def _add_tiles(m: int, parts: Sequence[Array], axis: int) -> Array:
    """Add up overlapping tiles, m places apart: part k of tile i goes to place m*i + k."""
    longest = -(-len(parts) // m) - 1
    phases = []
    for k in range(m):
        shifted = []
        for shift, part in enumerate(parts[k::m]):
            config = [(0, 0, 0)] * part.ndim
            config[axis] = (shift, longest - shift, 0)
            shifted.append(lax.pad(part, jnp.zeros((), part.dtype), config))
        phases.append(total(shifted))
    return _interleave(phases, axis)


def _interleave(phases: Sequence[Array], axis: int) -> Array:
    x = jnp.stack(phases, axis + 1)
    return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
