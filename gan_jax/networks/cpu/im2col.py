"""Convolutions of stride 1 as one matrix product: im2col and kn2row.

im2col copies the windows of the image side by side and multiplies them by the kernel. kn2row
(Vasudevan et al. 2017, arXiv:1704.04428) multiplies every pixel by all taps of the kernel and adds
the results up where they belong: windows are of the output, faster where that has fewer features.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from gan_jax.networks.cpu.arrays import pad, total
from gan_jax.networks.cpu.space_to_depth import UnitStride, UnitStrideForm, with_any_stride
from gan_jax.networks.products import product


def _windows(unit: UnitStride, x: Array) -> Array:
    """The window of every output, [b*h*w u*v*c].

    Columns are copied first, then rows: u + v copies instead of u * v.
    """
    (u, v), (h, w), size = unit.taps, unit.output, x.shape[-1]
    x = jnp.concatenate([x[:, :, j : j + w] for j in range(v)], axis=-1)
    x = jnp.concatenate([x[:, i : i + h] for i in range(u)], axis=-1)
    return x.reshape(-1, u * v * size)


def _add_windows(unit: UnitStride, windows: Array) -> Array:
    """The transpose of `_windows`, of [b h w u*v*c]."""
    (u, v), size = unit.taps, windows.shape[-1]
    rows = [windows[..., i * size // u : (i + 1) * size // u] for i in range(u)]
    x = total([pad(row, (i, u - 1 - i), (0, 0)) for i, row in enumerate(rows)])
    size //= u
    columns = [x[..., j * size // v : (j + 1) * size // v] for j in range(v)]
    return total([pad(column, (0, 0), (j, v - 1 - j)) for j, column in enumerate(columns)])


# im2col


def _im2col_weights(unit: UnitStride, kernel: Array) -> Array:
    """[u*v*c f]."""
    return kernel.reshape(-1, kernel.shape[-1])


def _im2col_kernel(unit: UnitStride, weights: Array) -> Array:
    return weights.reshape(*unit.taps, -1, weights.shape[-1])


def _im2col_conv(unit: UnitStride, x: Array, weights: Array) -> Array:
    return product(_windows(unit, x), weights).reshape(-1, *unit.output, weights.shape[-1])


def _im2col_input_gradient(unit: UnitStride, y: Array, weights: Array) -> Array:
    windows = product(y.reshape(-1, y.shape[-1]), weights, transpose_b=True)
    return _add_windows(unit, windows.reshape(-1, *unit.output, len(weights)))


def _im2col_weights_gradient(unit: UnitStride, x: Array, y: Array) -> Array:
    return product(_windows(unit, x), y.reshape(-1, y.shape[-1]), transpose_a=True)


IM2COL = with_any_stride(
    "im2col",
    UnitStrideForm(
        _im2col_weights,
        _im2col_kernel,
        _im2col_conv,
        _im2col_weights_gradient,
        _im2col_input_gradient,
    ),
)


# kn2row: the roles of image and output are exchanged


def _kn2row_weights(unit: UnitStride, kernel: Array) -> Array:
    """[c u*v*f], the taps mirrored: what a pixel adds to the outputs around it."""
    return lax.rev(kernel, (0, 1)).transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)


def _kn2row_kernel(unit: UnitStride, weights: Array) -> Array:
    kernel = weights.reshape(len(weights), *unit.taps, -1).transpose(1, 2, 0, 3)
    return lax.rev(kernel, (0, 1))


def _over_image(unit: UnitStride) -> UnitStride:
    """The convolution whose outputs are the pixels of the image."""
    (u, v), (h, w) = unit.taps, unit.output
    return UnitStride(unit.taps, (h + u - 1, w + v - 1))


def _kn2row_conv(unit: UnitStride, x: Array, weights: Array) -> Array:
    (u, v), (h, w), whole = unit.taps, unit.output, _over_image(unit)
    terms = product(x.reshape(-1, x.shape[-1]), weights)
    terms = terms.reshape(-1, *whole.output, weights.shape[-1])
    return _add_windows(whole, terms)[:, u - 1 : u - 1 + h, v - 1 : v - 1 + w]


def _output_windows(unit: UnitStride, y: Array) -> Array:
    """The outputs that every pixel of the image adds to, [b*h*w u*v*f]."""
    u, v = unit.taps
    return _windows(_over_image(unit), pad(y, (u - 1, u - 1), (v - 1, v - 1)))


def _kn2row_input_gradient(unit: UnitStride, y: Array, weights: Array) -> Array:
    pixels = product(_output_windows(unit, y), weights, transpose_b=True)
    return pixels.reshape(-1, *_over_image(unit).output, len(weights))


def _kn2row_weights_gradient(unit: UnitStride, x: Array, y: Array) -> Array:
    windows = _output_windows(unit, y)
    return product(x.reshape(-1, x.shape[-1]), windows, transpose_a=True)


KN2ROW = with_any_stride(
    "kn2row",
    UnitStrideForm(
        _kn2row_weights,
        _kn2row_kernel,
        _kn2row_conv,
        _kn2row_weights_gradient,
        _kn2row_input_gradient,
    ),
)
