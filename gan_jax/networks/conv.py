"""Convolutions and transposed convolutions, with derivatives as fast as the forward pass.

A convolution is a trilinear form T(x, kernel, y) = <y, conv(x, kernel)>. Its three partial
gradients (`_conv`, `_input_gradient`, `_kernel_gradient`) are each other's derivatives, so three
`custom_vjp` rules close the family under differentiation; the transposed convolution is the input
gradient. Accelerators run XLA's convolutions, CPUs what `cpu.dispatch` chooses.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.errors import UserError
from gan_jax.networks.cpu import dispatch
from gan_jax.networks.geometry import Axis, Geometry, Padding, Pair, explicit_padding, to_pair
from gan_jax.networks.products import dense, product

Initializer = Callable[..., Array]


def conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw c f"],
    *,
    stride: int | Pair = 1,
    padding: Padding = "SAME",
) -> Float[Array, "b i j f"]:
    """Cross-correlate images with a kernel, `i = (h + padding - kh) // stride + 1`.

    Reverse-mode derivatives of any order cost as much as the forward pass; forward mode is not
    defined.

    Args:
        x: Images.
        kernel: Kernel, computed with in the dtype of `x`.
        stride: Of both axes, or (rows, columns).
        padding: One number for all sides, ((top, bottom), (left, right)), "SAME" or "VALID" (the
            conventions of XLA).

    Raises:
        UserError: Channels disagree, or the image is smaller than the kernel.
    """
    if x.shape[-1] != kernel.shape[2]:
        raise UserError(f"kernel takes {kernel.shape[2]} channels, the input has {x.shape[-1]}")
    return _conv(_geometry(x, kernel, stride, padding), x, kernel.astype(x.dtype))


def _geometry(x: Array, kernel: Array, stride: int | Pair, padding: Padding) -> Geometry:
    size, image, stride = to_pair(kernel.shape[:2]), to_pair(x.shape[1:3]), to_pair(stride)
    pads = explicit_padding(padding, image, size, stride)
    channels, features = kernel.shape[2:]
    geometry = Geometry(size, stride, pads, image, x.shape[0], channels, features, x.dtype)
    if min(geometry.output) < 1:
        raise UserError(f"a {size} kernel does not fit an image of {image} padded {padding!r}")
    return geometry


def conv_with_constant(
    x: Float[Array, "b h w c"],
    constant: Float[Array, "b k"] | None,
    kernel: Float[Array, "kh kw d f"],
    *,
    stride: int | Pair = 1,
    padding: Padding = "SAME",
) -> Float[Array, "b i j f"]:
    """Convolve images that have k further channels with the same value at every pixel.

    The result is `conv` of the d = c + k channels. What a tap adds for a constant channel is the
    same wherever it lies inside the image, so it is multiplied once per image instead of per pixel.

    Args:
        x: Images.
        constant: Values of the constant channels, which are the kernel's last; None is `conv`.
        kernel: Kernel for all channels.
        stride: As in `conv`.
        padding: As in `conv`.

    Raises:
        UserError: Channels disagree, or the image is smaller than the kernel.
    """
    if constant is None:
        return conv(x, kernel, stride=stride, padding=padding)
    c = x.shape[-1]
    if kernel.shape[2] != c + constant.shape[-1]:
        raise UserError(
            f"kernel takes {kernel.shape[2]} channels, the input has {c} and "
            f"{constant.shape[-1]} constant ones"
        )
    y = conv(x, kernel[:, :, :c], stride=stride, padding=padding)
    geometry = _geometry(x, kernel, stride, padding)
    constant, kernel = constant.astype(x.dtype), kernel.astype(x.dtype)
    return y + _constant_conv(geometry, constant, kernel[:, :, c:])


def _constant_conv(geometry: Geometry, constant: Array, kernel: Array) -> Array:
    """Multiply each tap once per image [b taps f], then add the taps that lie inside the image."""
    b, k = constant.shape
    taps = dense(constant, kernel.transpose(2, 0, 1, 3).reshape(k, -1))
    inside = jnp.asarray(_taps_inside(geometry), constant.dtype)[None]
    inside = jnp.broadcast_to(inside, (b, *inside.shape[1:]))
    y = product(inside, taps.reshape(b, -1, kernel.shape[-1]))
    return y.reshape(b, *geometry.output, -1)


def _taps_inside(geometry: Geometry) -> np.ndarray:
    """Whether each output's tap lies inside the image: 0 or 1, [i*j kh*kw]."""
    rows, columns = (_axis_inside(axis) for axis in geometry.axes)
    return np.kron(rows, columns).astype(np.float32)


def _axis_inside(axis: Axis) -> np.ndarray:
    """Whether a tap lies inside the image along an axis, [output size]."""
    first = np.arange(axis.output)[:, None] * axis.stride - axis.padding[0]
    place = first + np.arange(axis.size)
    return (place >= 0) & (place < axis.image)


def grouped_conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw d f"],
    *,
    groups: int,
    stride: int | Pair = 1,
    padding: Padding = "SAME",
) -> Float[Array, "b i j f"]:
    """Convolve `groups` of d = c / groups channels, each to f / groups features.

    This is `conv` mapped over the groups, which accelerators run as XLA's grouped convolution. On
    CPUs the gradient of that operation takes 3 to 15 times as long as the mapped one's (2 cores,
    groups of 16 channels, 4 to 32 px).

    Raises:
        UserError: The groups do not divide the channels or the features.
    """
    (b, h, w, c), (kh, kw, d, f) = x.shape, kernel.shape
    if c != groups * d or f % groups:
        raise UserError(f"{groups} groups of a kernel {d} -> {f} do not fit {c} channels")

    def convolve(x: Array, kernel: Array) -> Array:
        return conv(x, kernel, stride=stride, padding=padding)

    x, kernel = x.reshape(b, h, w, groups, d), kernel.reshape(kh, kw, d, groups, f // groups)
    y = jax.vmap(convolve, in_axes=(3, 3), out_axes=3)(x, kernel)
    return y.reshape(*y.shape[:3], f)


def conv_transpose(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw c f"],
    *,
    stride: int | Pair = 1,
    padding: int | Sequence[Pair] = 0,
    output_padding: int | Pair = 0,
) -> Float[Array, "b i j f"]:
    """Compute the transpose of `conv`, `i = (h - 1) * stride - padding + kh + output_padding`.

    The geometry is that of PyTorch's ConvTranspose2d: pixel p adds tap u of the kernel, which is
    not mirrored, to output `stride * p + u - padding`.

    Args:
        x: Images.
        kernel: Kernel, computed with in the dtype of `x`.
        stride: Of both axes, or (rows, columns).
        padding: What is cropped: one number for all sides, or ((top, bottom), (left, right)).
        output_padding: Rows and columns that are kept in addition, at the bottom and the right.

    Raises:
        UserError: Channels disagree, the output would be empty, or `output_padding` is not smaller
            than `stride`.
    """
    if x.shape[-1] != kernel.shape[2]:
        raise UserError(f"kernel takes {kernel.shape[2]} channels, the input has {x.shape[-1]}")
    size, stride, extra = to_pair(kernel.shape[:2]), to_pair(stride), to_pair(output_padding)
    if isinstance(padding, str):
        raise UserError(f"padding of a transposed convolution must be numbers, not {padding!r}")
    pads = explicit_padding(padding, to_pair(x.shape[1:3]), size, stride)
    h, w = (
        (n - 1) * s - sum(p) + k + e
        for n, s, p, k, e in zip(x.shape[1:3], stride, pads, size, extra, strict=True)
    )
    image = (h, w)
    if min(image) < 1 or any(e >= s for e, s in zip(extra, stride, strict=True)):
        raise UserError(
            f"transposed convolution of {x.shape[1:3]} with kernel {size}, stride {stride}, "
            f"padding {pads}, output_padding {extra} has no valid output"
        )
    features, channels = kernel.shape[2:]  # of the convolution whose transpose this is
    geometry = Geometry(size, stride, pads, image, x.shape[0], channels, features, x.dtype)
    return _input_gradient(geometry, x, kernel.astype(x.dtype).swapaxes(2, 3))


# The trilinear form's gradients, each the derivative of the other two


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(geometry: Geometry, x: Array, kernel: Array) -> Array:
    return _by_platform(dispatch.conv, _xla_conv, geometry, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _input_gradient(geometry: Geometry, y: Array, kernel: Array) -> Array:
    return _by_platform(dispatch.input_gradient, _xla_input_gradient, geometry, y, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(geometry: Geometry, x: Array, y: Array) -> Array:
    return _by_platform(dispatch.kernel_gradient, _xla_kernel_gradient, geometry, x, y)


_Operation = Callable[[Geometry, Array, Array], Array]
_Operands = tuple[Array, Array]


def _forward(function: Callable, geometry: Geometry, a: Array, b: Array) -> tuple[Array, _Operands]:
    return function(geometry, a, b), (a, b)


def _conv_vjp(geometry: Geometry, operands: _Operands, y: Array) -> _Operands:
    x, kernel = operands
    return _input_gradient(geometry, y, kernel), _kernel_gradient(geometry, x, y)


def _input_gradient_vjp(geometry: Geometry, operands: _Operands, x: Array) -> _Operands:
    y, kernel = operands
    return _conv(geometry, x, kernel), _kernel_gradient(geometry, x, y)


def _kernel_gradient_vjp(geometry: Geometry, operands: _Operands, kernel: Array) -> _Operands:
    x, y = operands
    return _input_gradient(geometry, y, kernel), _conv(geometry, x, kernel)


_conv.defvjp(partial(_forward, _conv), _conv_vjp)
_input_gradient.defvjp(partial(_forward, _input_gradient), _input_gradient_vjp)
_kernel_gradient.defvjp(partial(_forward, _kernel_gradient), _kernel_gradient_vjp)


def _by_platform(
    on_cpu: _Operation, plain: _Operation, geometry: Geometry, a: Array, b: Array
) -> Array:
    """Select an operation by the platform a program is lowered for.

    With symbolic sizes, as in exported programs, every platform runs the plain operation: those of
    the CPU need to know the sizes.
    """
    if not all(isinstance(size, int) for size in (*a.shape, *b.shape)):
        return plain(geometry, a, b)
    return lax.platform_dependent(
        a, b, cpu=partial(on_cpu, geometry), default=partial(plain, geometry)
    )


# Each operation as one convolution of XLA


def _xla_conv(geometry: Geometry, x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        geometry.stride,
        geometry.padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _xla_input_gradient(geometry: Geometry, y: Array, kernel: Array) -> Array:
    pads = [
        (a.size - 1 - a.padding[0], a.image + a.padding[0] - (a.output - 1) * a.stride - 1)
        for a in geometry.axes
    ]
    return lax.conv_general_dilated(
        y,
        lax.rev(kernel, (0, 1)),
        (1, 1),
        pads,
        lhs_dilation=geometry.stride,
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )


def _xla_kernel_gradient(geometry: Geometry, x: Array, y: Array) -> Array:
    pads = [
        (a.padding[0], (a.output - 1) * a.stride + a.size - a.image - a.padding[0])
        for a in geometry.axes
    ]
    return lax.conv_general_dilated(
        x,
        y,
        (1, 1),
        pads,
        rhs_dilation=geometry.stride,
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
    )


# Linen modules


class Conv(nn.Module):
    """`conv` with a kernel [kh kw c features] and a bias, both stored in float32."""

    features: int
    kernel_size: int | Pair
    stride: int | Pair = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    dtype: DTypeLike | None = None
    padding_mode: str = "zeros"

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], constant: Float[Array, "b k"] | None = None
    ) -> Float[Array, "b i j f"]:
        """Convolve `x` and, after its channels, `constant` ones (see `conv_with_constant`)."""
        size, stride, padding = to_pair(self.kernel_size), to_pair(self.stride), self.padding
        if self.padding_mode == "reflect":
            pads = explicit_padding(padding, to_pair(x.shape[1:3]), size, stride)
            x, padding = jnp.pad(x, ((0, 0), *pads, (0, 0)), mode="reflect"), 0
        elif self.padding_mode != "zeros":
            raise UserError(f"padding_mode {self.padding_mode!r} is neither 'zeros' nor 'reflect'")
        channels = x.shape[-1] + (0 if constant is None else constant.shape[-1])
        x, kernel, bias = _parameters(self, x, (*size, channels))
        y = conv_with_constant(x, constant, kernel, stride=stride, padding=padding)
        return y if bias is None else y + bias[None, None, None]


class ConvTranspose(nn.Module):
    """`conv_transpose` with a kernel [kh kw features c] and a bias, both stored in float32.

    The kernel is stored as that of the convolution whose transpose this is, the layout that every
    form reads; the initializer gets the shape [kh kw c features].
    """

    features: int
    kernel_size: int | Pair
    stride: int | Pair = 1
    padding: int | Sequence[Pair] = 0
    output_padding: int | Pair = 0
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        size = to_pair(self.kernel_size)
        x, kernel, bias = _parameters(self, x, (*size, x.shape[-1]), transposed=True)
        y = conv_transpose(
            x,
            kernel.swapaxes(2, 3),
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
        )
        return y if bias is None else y + bias[None, None, None]


def _parameters(
    module: Conv | ConvTranspose, x: Array, size: tuple[int, int, int], transposed: bool = False
) -> tuple[Array, Array, Array | None]:
    """Return the input, the kernel and the bias in the dtype of the computation."""
    shape = (*size, module.features)

    def initial(key: Array) -> Array:
        kernel = module.kernel_init(key, shape, jnp.float32)
        return kernel.swapaxes(2, 3) if transposed else kernel

    kernel = module.param("kernel", initial)
    bias = None
    if module.use_bias:
        bias = module.param("bias", module.bias_init, (module.features,), jnp.float32)
    dtype = module.dtype or jnp.result_type(x.dtype, jnp.float32)
    return x.astype(dtype), kernel.astype(dtype), None if bias is None else bias.astype(dtype)
