"""Which form of a convolution a CPU runs. Thresholds were measured on 2 cores (x86).

`choose` takes the first of these that applies:

onednn    the library's convolution, inside `onednn.enabled` only: of what is left by Winograd
direct    im2col of the image itself: strides that space-to-depth would fill with zeros, kernels
          larger than all that they are multiplied by, 1x1 kernels
winograd  after space-to-depth, kernels of 2x2 to 4x4 taps with at least 16 channels and features
kn2row    after space-to-depth, fewer features than channels
im2col    the rest
"""

import math

import jax.numpy as jnp
from jaxtyping import Array

from gan_jax.networks.cpu import direct, im2col, onednn, winograd
from gan_jax.networks.cpu.form import Form, Operation
from gan_jax.networks.cpu.space_to_depth import to_unit_stride
from gan_jax.networks.cpu.winograd import Tile
from gan_jax.networks.geometry import Geometry

FEW_OUTPUTS = 256  # direct with 512 channels: 3 to 7 times as fast for 64 outputs, equal for 1,000
FEW_CHANNELS = 16  # fewer do not fill a matrix product


def conv(geometry: Geometry, x: Array, kernel: Array) -> Array:
    """Convolve images [b h w c] with a kernel [kh kw c f]."""
    return _run("conv", geometry, x, kernel)


def input_gradient(geometry: Geometry, y: Array, kernel: Array) -> Array:
    """Compute the gradient [b h w c] of <y, conv(x, kernel)> to the images."""
    return _run("input_gradient", geometry, y, kernel)


def kernel_gradient(geometry: Geometry, x: Array, y: Array) -> Array:
    """Compute the gradient [kh kw c f] of <y, conv(x, kernel)> to the kernel."""
    return _run("kernel_gradient", geometry, x, y)


def _run(operation: Operation, geometry: Geometry, a: Array, b: Array) -> Array:
    form = choose(geometry, operation, library=onednn.is_enabled())
    return form.run[operation](geometry, a, b)


def choose(geometry: Geometry, operation: Operation = "conv", *, library: bool = False) -> Form:
    """Select the form that runs an operation fastest.

    Args:
        geometry: Shapes, stride, padding and dtype of the convolution.
        operation: The convolution, or which of its gradients.
        library: Whether oneDNN may be called.
    """
    if library and _is_for_library(geometry, operation):
        return onednn.FORM
    if _is_for_direct(geometry, operation):
        return direct.FORM
    tile = _winograd_tile(geometry)
    if tile:
        return winograd.form(tile)
    channels = geometry.channels * math.prod(geometry.stride)
    few_features = geometry.output != (1, 1) and geometry.features < channels
    return im2col.KN2ROW if few_features else im2col.IM2COL


def _is_for_library(geometry: Geometry, operation: Operation) -> bool:
    """Whether oneDNN's convolution is the fastest: Winograd is faster where it applies."""
    if operation == "kernel_gradient" or geometry.dtype != jnp.float32:
        return False
    channels, features, output = geometry.channels, geometry.features, geometry.output
    if operation == "input_gradient":
        if not onednn.has_input_gradient(geometry):
            return False
        channels, features, output = features, channels, geometry.image
    if features < FEW_CHANNELS or geometry.batch * math.prod(output) < FEW_OUTPUTS:
        return False
    if geometry.size == (1, 1):  # with more channels a matrix product is faster
        return channels < FEW_CHANNELS
    return _is_sparse(geometry) or not _winograd_tile(geometry)


def _is_for_direct(geometry: Geometry, operation: Operation) -> bool:
    """Whether space-to-depth saves no multiplications, or reading the kernel takes longest."""
    few_outputs = geometry.batch * math.prod(geometry.output) <= FEW_OUTPUTS
    if geometry.size == (1, 1) or (geometry.stride != (1, 1) and few_outputs):
        return True
    return operation != "input_gradient" and _is_sparse(geometry)


def _is_sparse(geometry: Geometry) -> bool:
    """Whether space-to-depth pads a strided kernel with more zeros than Winograd saves.

    Winograd on 2x2 taps takes 9 multiplications where the direct form takes 16.
    """
    (u, v), area = to_unit_stride(geometry).taps, math.prod(geometry.size)
    return 16 * area <= 9 * u * v * math.prod(geometry.stride) and geometry.stride != (1, 1)


def _winograd_tile(geometry: Geometry) -> Tile | None:
    """The tile that Winograd takes, or None if another form is faster."""
    channels = geometry.channels * math.prod(geometry.stride)
    if geometry.output == (1, 1) or min(channels, geometry.features) < FEW_CHANNELS:
        return None
    return winograd.choose_tile(to_unit_stride(geometry), geometry.dtype)
