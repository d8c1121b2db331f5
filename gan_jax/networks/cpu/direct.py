"""Strided convolutions as one matrix product of the image's windows and the kernel as stored.

A few images are taken at a time, so that their windows are read back from the processor's cache.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from gan_jax.networks.cpu.arrays import pad, total
from gan_jax.networks.cpu.form import Form
from gan_jax.networks.geometry import Geometry, Pair
from gan_jax.networks.products import product

CACHE = 2**20  # numbers: twice a core's L2 cache, of which half to four times is as fast
FEWEST_ROWS = 256  # of a matrix product: fewer slow it down
LANES = 2  # portions in an iteration of a loop, which the cores run in parallel


def _conv(geometry: Geometry, x: Array, kernel: Array) -> Array:
    weights = kernel.reshape(-1, kernel.shape[-1])

    def conv_portion(x: Array) -> Array:
        y = product(_windows(geometry, x), weights)
        return y.reshape(len(x), *geometry.output, -1)

    return _map_portions(_portion(geometry), conv_portion, x)


def _kernel_gradient(geometry: Geometry, x: Array, y: Array) -> Array:
    def gradient_of_portion(x: Array, y: Array) -> Array:
        windows = _windows(geometry, x)
        return product(windows, y.reshape(-1, y.shape[-1]), transpose_a=True)

    weights = _sum_portions(_portion(geometry), gradient_of_portion, x, y)
    return weights.reshape(*geometry.size, x.shape[-1], y.shape[-1])


def _input_gradient(geometry: Geometry, y: Array, kernel: Array) -> Array:
    k, m, c, f = kernel.shape
    windows = product(y.reshape(-1, f), kernel.reshape(-1, f), transpose_b=True)
    windows = windows.reshape(*y.shape[:3], k, m, c)
    taps = [_dilate(geometry, windows[..., i, j, :], (i, j)) for i in range(k) for j in range(m)]
    return total(taps)


FORM = Form(
    "direct",
    {"conv": _conv, "input_gradient": _input_gradient, "kernel_gradient": _kernel_gradient},
)


def _windows(geometry: Geometry, x: Array) -> Array:
    """The window of every output: [b*h*w, taps*c]."""
    (k, m), (s, t), (h, w) = geometry.size, geometry.stride, geometry.output
    rows, columns = (
        (a.padding[0], (a.output - 1) * a.stride + a.size - a.image - a.padding[0])
        for a in geometry.axes
    )
    x = pad(x, rows, columns)
    taps = [
        x[:, i : i + s * (h - 1) + 1 : s, j : j + t * (w - 1) + 1 : t]
        for i in range(k)
        for j in range(m)
    ]
    return jnp.concatenate(taps, axis=-1).reshape(-1, k * m * x.shape[-1])


def _dilate(geometry: Geometry, x: Array, tap: Pair) -> Array:
    """Move a tap's numbers [b i j c] to the pixels that it read, with zeros between."""
    config = [
        (
            i - a.padding[0],
            a.image + a.padding[0] - i - (a.output - 1) * a.stride - 1,
            a.stride - 1,
        )
        for i, a in zip(tap, geometry.axes, strict=True)
    ]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])


# Portions of a batch


def _portion(geometry: Geometry) -> int:
    """How many images to take at a time."""
    if geometry.size == (1, 1):  # the windows are the image
        return geometry.batch
    rows = math.prod(geometry.output)
    numbers = rows * math.prod(geometry.size) * geometry.channels
    most = max(CACHE // numbers, -(-FEWEST_ROWS // rows))
    sizes = range(min(most, geometry.batch), 0, -1)
    return next(size for size in sizes if geometry.batch % size == 0)


def _split(portion: int, x: Array) -> Array:
    """[b ...] to [iterations lanes portion ...]."""
    lanes = math.gcd(len(x) // portion, LANES)
    return x.reshape(-1, lanes, portion, *x.shape[1:])


def _map_portions(portion: int, function: Callable[[Array], Array], x: Array) -> Array:
    if portion == len(x):
        return function(x)
    y = lax.map(lambda lanes: jnp.stack([function(images) for images in lanes]), _split(portion, x))
    return y.reshape(-1, *y.shape[3:])


def _sum_portions(
    portion: int, function: Callable[[Array, Array], Array], x: Array, y: Array
) -> Array:
    def add(partial_sum: Array, lanes: tuple[Array, Array]) -> tuple[Array, None]:
        terms = [function(images, outputs) for images, outputs in zip(*lanes, strict=True)]
        return total([partial_sum, *terms]), None

    result = jax.eval_shape(function, x, y)
    if portion == len(x) or result.size > CACHE:
        return function(x, y)
    zeros = jnp.zeros(result.shape, result.dtype)
    return lax.scan(add, zeros, (_split(portion, x), _split(portion, y)))[0]
