"""Strided convolutions as convolutions of stride 1, by space-to-depth of image and kernel.

The pixels of a block of stride x stride become channels of one pixel, and a kernel of k taps one of
ceil(k / stride) taps. Forms of stride 1 (`im2col`, `winograd`) then need no stride or padding.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from gan_jax.networks.cpu.arrays import pad
from gan_jax.networks.cpu.form import Form
from gan_jax.networks.geometry import Geometry, Pair


class UnitStride(NamedTuple):
    """The static part of a convolution of stride 1 without padding."""

    taps: Pair  # size of the kernel
    output: Pair


class UnitStrideForm(NamedTuple):
    """An algorithm for a convolution of stride 1 without padding and its gradients.

    It multiplies by `weights`, a linear function of the kernel: the kernel's gradient is computed
    as the gradient to the weights, then mapped back.
    """

    weights: Callable[[UnitStride, Array], Array]
    kernel: Callable[[UnitStride, Array], Array]  # the transpose of `weights`
    conv: Callable[[UnitStride, Array, Array], Array]  # of image and weights
    weights_gradient: Callable[[UnitStride, Array, Array], Array]  # of image and output
    input_gradient: Callable[[UnitStride, Array, Array], Array]  # of output and weights


def with_any_stride(name: str, form: UnitStrideForm) -> Form:
    """Extend a form of stride 1 to any stride and padding."""

    def conv(geometry: Geometry, x: Array, kernel: Array) -> Array:
        unit = to_unit_stride(geometry)
        weights = form.weights(unit, _kernel_to_depth(geometry, kernel))
        return form.conv(unit, _to_depth(geometry, x), weights)

    def input_gradient(geometry: Geometry, y: Array, kernel: Array) -> Array:
        unit = to_unit_stride(geometry)
        weights = form.weights(unit, _kernel_to_depth(geometry, kernel))
        return _from_depth(geometry, form.input_gradient(unit, y, weights))

    def kernel_gradient(geometry: Geometry, x: Array, y: Array) -> Array:
        unit = to_unit_stride(geometry)
        weights = form.weights_gradient(unit, _to_depth(geometry, x), y)
        return _kernel_from_depth(geometry, form.kernel(unit, weights))

    return Form(
        name,
        {"conv": conv, "input_gradient": input_gradient, "kernel_gradient": kernel_gradient},
    )


def to_unit_stride(geometry: Geometry) -> UnitStride:
    """The convolution of stride 1 that space-to-depth makes of a convolution."""
    taps = tuple(-(-k // s) for k, s in zip(geometry.size, geometry.stride, strict=True))
    return UnitStride((taps[0], taps[1]), geometry.output)


def _margins(geometry: Geometry) -> list[Pair]:
    """Pixels to add on each side (to crop, where negative) to make whole blocks."""
    return [
        (a.padding[0], (a.output + -(-a.size // a.stride) - 1) * a.stride - a.image - a.padding[0])
        for a in geometry.axes
    ]


def _to_depth(geometry: Geometry, x: Array) -> Array:
    """[b h w c] to [b h/s w/t s*t*c]. The copy is stored, so that a form reads whole rows."""
    (s, t), (rows, columns) = geometry.stride, _margins(geometry)
    x = pad(x, rows, columns)
    return jnp.concatenate([x[:, i::s, j::t] for i in range(s) for j in range(t)], axis=-1)


def _from_depth(geometry: Geometry, blocks: Array) -> Array:
    """The transpose of `_to_depth`."""
    (s, t), (rows, columns) = geometry.stride, _margins(geometry)
    b, h, w, c = blocks.shape
    c //= s * t
    x = blocks.reshape(b, h, w, s, t, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h * s, w * t, c)
    return pad(x, (-rows[0], -rows[1]), (-columns[0], -columns[1]))


def _kernel_to_depth(geometry: Geometry, kernel: Array) -> Array:
    """[kh kw c f] to [u v s*t*c f], filled up with zeros."""
    (s, t), (u, v), (c, f) = geometry.stride, to_unit_stride(geometry).taps, kernel.shape[2:]
    excess = (u * s - kernel.shape[0], v * t - kernel.shape[1])
    kernel = jnp.pad(kernel, ((0, excess[0]), (0, excess[1]), (0, 0), (0, 0)))
    kernel = kernel.reshape(u, s, v, t, c, f).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(u, v, s * t * c, f)


def _kernel_from_depth(geometry: Geometry, kernel: Array) -> Array:
    """The transpose of `_kernel_to_depth`."""
    (s, t), (u, v), (c, f) = geometry.stride, to_unit_stride(geometry).taps, kernel.shape[2:]
    kernel = kernel.reshape(u, v, s, t, c // (s * t), f).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(u * s, v * t, c // (s * t), f)
    return kernel[: geometry.size[0], : geometry.size[1]]
