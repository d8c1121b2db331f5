"""Convolutions and transposed convolutions whose derivatives are as fast as themselves.

A convolution is one trilinear form T(x, kernel, y) = <y, conv(x, kernel)>. Its three partial
gradients (`conv`, `_input_gradient`, `_kernel_gradient`) are each other's derivatives, so three
`custom_vjp` rules close the family under differentiation; the transposed convolution *is* the
input gradient. Accelerators get XLA's plain convolutions. On the CPU a strided convolution becomes
one of stride 1 by space-to-depth, where that wastes little, and kernels of stride 1 of two to four
taps a side use minimal filtering (Winograd 1980; Lavin & Gray 2015, arXiv:1509.09308): it saves
7/16 of the products of 2x2 taps and 5/9 of 3x3; of images large enough for wide tiles 39/64, and
3/4 of 3x3 and 4x4. Within `onednn.by_library` the library takes what is left, but for gradients of
kernels, and of strided convolutions to their input.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from gan_jax.errors import UserError
from gan_jax.networks import onednn
from gan_jax.networks.products import dense, product

Pair = tuple[int, int]
Padding = int | str | Sequence[Pair]
Initializer = Callable[..., Array]


class _Geometry(NamedTuple):
    """All that is static in a convolution; hashable."""

    size: Pair  # of the kernel
    stride: Pair
    padding: tuple[Pair, Pair]
    image: Pair  # height and width of the convolution's input

    @property
    def output(self) -> Pair:
        h, w = (
            (n + sum(p) - k) // s + 1
            for n, p, k, s in zip(self.image, self.padding, self.size, self.stride, strict=True)
        )
        return h, w


def conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw c f"],
    *,
    stride: int | Pair = 1,
    padding: Padding = "SAME",
) -> Float[Array, "b i j f"]:
    """Cross-correlation of images with a kernel, `i = (h + padding - kh) // stride + 1`.

    `padding` is one number for all sides, ((top, bottom), (left, right)), "SAME" or "VALID" (the
    conventions of XLA). Reverse-mode derivatives of any order cost what the forward pass costs;
    forward mode is not defined. Raises UserError when channels disagree or the image is too small.
    """
    if x.shape[-1] != kernel.shape[2]:
        raise UserError(f"kernel takes {kernel.shape[2]} channels, the input has {x.shape[-1]}")
    geometry = _geometry(_pair(kernel.shape[:2]), stride, padding, _pair(x.shape[1:3]))
    return _conv(geometry, x, kernel.astype(x.dtype))


def _geometry(size: Pair, stride: int | Pair, padding: Padding, image: Pair) -> _Geometry:
    stride = _pair(stride)
    geometry = _Geometry(size, stride, _pads(padding, image, size, stride), image)
    if min(geometry.output) < 1:
        raise UserError(f"a {size} kernel does not fit an image of {image} padded {padding!r}")
    return geometry


def beside_constant(
    x: Float[Array, "b h w c"],
    constant: Float[Array, "b k"] | None,
    kernel: Float[Array, "kh kw d f"],
    *,
    stride: int | Pair = 1,
    padding: Padding = "SAME",
) -> Float[Array, "b i j f"]:
    """`conv` of `x` and, if `constant` is there, k channels beside it whose pixels are all alike.

    d = c + k. What a tap adds of those is the same wherever it lies inside the image, so that it is
    multiplied once. Raises UserError as `conv` does.
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
    geometry = _geometry(_pair(kernel.shape[:2]), stride, padding, _pair(x.shape[1:3]))
    constant, kernel = constant.astype(x.dtype), kernel.astype(x.dtype)
    return y + _constant_conv(geometry, constant, kernel[:, :, c:])


def _constant_conv(geometry: _Geometry, constant: Array, kernel: Array) -> Array:
    """Every tap's number for an image [b taps f], then their sums where they lie inside."""
    b, k = constant.shape
    taps = dense(constant, kernel.transpose(2, 0, 1, 3).reshape(k, -1))
    inside = jnp.asarray(_inside(geometry), constant.dtype)[None]
    inside = jnp.broadcast_to(inside, (b, *inside.shape[1:]))
    y = product(inside, taps.reshape(b, -1, kernel.shape[-1]))
    return y.reshape(b, *geometry.output, -1)


def _inside(geometry: _Geometry) -> np.ndarray:
    """Whether an output's tap lies in the image: 0 and 1, [i j, kh kw]."""
    rows, columns = (
        ((seen := np.arange(o)[:, None] * s + np.arange(k) - low) >= 0) & (seen < n)
        for k, s, (low, _), n, o in zip(*geometry, geometry.output, strict=True)
    )
    return np.kron(rows, columns).astype(np.float32)


def grouped_conv(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw d f"],
    *,
    groups: int,
    stride: int | Pair = 1,
    padding: Padding = "SAME",
) -> Float[Array, "b i j f"]:
    """`conv` in `groups` of d = c / groups channels, each giving f / groups of the outputs.

    It is `conv` mapped over the groups, which accelerators get as XLA's grouped convolution. On the
    CPU that operation's gradient is 3 to 15 times slower than the mapped one's (2 cores, groups of
    16 channels, 4 to 32 px). Raises UserError when channels or outputs do not divide.
    """
    (b, h, w, c), (kh, kw, d, f) = x.shape, kernel.shape
    if c != groups * d or f % groups:
        raise UserError(f"{groups} groups of a kernel {d} -> {f} do not fit {c} channels")

    def one(x: Array, kernel: Array) -> Array:
        return conv(x, kernel, stride=stride, padding=padding)

    x, kernel = x.reshape(b, h, w, groups, d), kernel.reshape(kh, kw, d, groups, f // groups)
    y = jax.vmap(one, in_axes=(3, 3), out_axes=3)(x, kernel)
    return y.reshape(*y.shape[:3], f)


def conv_transpose(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw c f"],
    *,
    stride: int | Pair = 1,
    padding: int | Sequence[Pair] = 0,
    output_padding: int | Pair = 0,
) -> Float[Array, "b i j f"]:
    """The transpose of `conv`: every pixel of `x` paints a kernel, `i = (h-1)*stride - pads + kh`.

    The geometry is PyTorch's ConvTranspose2d: `padding` is cropped from the painted image and
    `output_padding` more rows and columns are kept at its end; the tap [u, v] lands on
    (stride*i + u - padding, ...), there is no flip. Raises UserError when channels disagree,
    the output would be empty or `output_padding` is not smaller than `stride`.
    """
    if x.shape[-1] != kernel.shape[2]:
        raise UserError(f"kernel takes {kernel.shape[2]} channels, the input has {x.shape[-1]}")
    size, stride, extra = _pair(kernel.shape[:2]), _pair(stride), _pair(output_padding)
    if isinstance(padding, str):
        raise UserError(f"padding of a transposed convolution must be numbers, not {padding!r}")
    pads = _pads(padding, _pair(x.shape[1:3]), size, stride)
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
    geometry = _Geometry(size, stride, pads, image)
    return _input_gradient(geometry, x, kernel.astype(x.dtype).swapaxes(2, 3))


def _pair(value: int | Sequence[int]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _pads(padding: Padding, image: Pair, size: Pair, stride: Pair) -> tuple[Pair, Pair]:
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise UserError(f"padding {padding!r} is neither 'SAME' nor 'VALID' nor numbers")
        rows, columns = lax.padtype_to_pads(image, size, stride, padding)
    elif isinstance(padding, int):
        rows = columns = (padding, padding)
    else:
        rows, columns = padding
    return (rows[0], rows[1]), (columns[0], columns[1])


# The trilinear form's three gradients, each the other two's derivatives.


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(geometry: _Geometry, x: Array, kernel: Array) -> Array:
    return _by_platform(_fast_conv, _plain_conv, geometry, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _input_gradient(geometry: _Geometry, y: Array, kernel: Array) -> Array:
    return _by_platform(_fast_input_gradient, _plain_input_gradient, geometry, y, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(geometry: _Geometry, x: Array, y: Array) -> Array:
    return _by_platform(_fast_kernel_gradient, _plain_kernel_gradient, geometry, x, y)


def _keep(function: Callable, geometry: _Geometry, a: Array, b: Array) -> tuple[Array, Any]:
    return function(geometry, a, b), (a, b)


def _conv_vjp(geometry: _Geometry, kept: tuple[Array, Array], y: Array) -> tuple[Array, Array]:
    x, kernel = kept
    return _input_gradient(geometry, y, kernel), _kernel_gradient(geometry, x, y)


def _input_gradient_vjp(geometry: _Geometry, kept: tuple[Array, Array], x: Array) -> Any:
    y, kernel = kept
    return _conv(geometry, x, kernel), _kernel_gradient(geometry, x, y)


def _kernel_gradient_vjp(geometry: _Geometry, kept: tuple[Array, Array], kernel: Array) -> Any:
    x, y = kept
    return _input_gradient(geometry, y, kernel), _conv(geometry, x, kernel)


_conv.defvjp(partial(_keep, _conv), _conv_vjp)
_input_gradient.defvjp(partial(_keep, _input_gradient), _input_gradient_vjp)
_kernel_gradient.defvjp(partial(_keep, _kernel_gradient), _kernel_gradient_vjp)


def _by_platform(fast: Callable, plain: Callable, geometry: _Geometry, a: Array, b: Array) -> Array:
    """The only line that knows of processors; resolved in lowering, not in tracing.

    A batch of any size, as exported programs have it, gets the plain form: the others count it.
    """
    if not all(isinstance(size, int) for size in (*a.shape, *b.shape)):
        return plain(geometry, a, b)
    return lax.platform_dependent(
        a, b, cpu=partial(fast, geometry), default=partial(plain, geometry)
    )


# Plain forms: one XLA convolution each.

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _plain_conv(geometry: _Geometry, x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(
        x, kernel, geometry.stride, geometry.padding, dimension_numbers=_LAYOUT
    )


def _plain_input_gradient(geometry: _Geometry, y: Array, kernel: Array) -> Array:
    pads = [
        (k - 1 - low, n + low - (o - 1) * s - 1)
        for k, s, (low, _), n, o in zip(*geometry, geometry.output, strict=True)
    ]
    return lax.conv_general_dilated(
        y,
        lax.rev(kernel, (0, 1)),
        (1, 1),
        pads,
        lhs_dilation=geometry.stride,
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )


def _plain_kernel_gradient(geometry: _Geometry, x: Array, y: Array) -> Array:
    pads = [
        (low, (o - 1) * s + k - n - low)
        for k, s, (low, _), n, o in zip(*geometry, geometry.output, strict=True)
    ]
    return lax.conv_general_dilated(
        x,
        y,
        (1, 1),
        pads,
        rhs_dilation=geometry.stride,
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
    )


# Forms for the CPU. First every stride becomes 1: space-to-depth of image and kernel.


class _Unit(NamedTuple):
    """What is static in a convolution of stride 1 without padding."""

    taps: Pair
    output: Pair


def _unit(geometry: _Geometry) -> _Unit:
    taps = tuple(-(-k // s) for k, s in zip(geometry.size, geometry.stride, strict=True))
    return _Unit((taps[0], taps[1]), geometry.output)


def _margins(geometry: _Geometry) -> list[Pair]:
    """What is added to each side (cropped, where negative) so that whole blocks are covered."""
    return [
        (low, (o + -(-k // s) - 1) * s - n - low)
        for k, s, (low, _), n, o in zip(*geometry, geometry.output, strict=True)
    ]


def _pad(x: Array, rows: Pair, columns: Pair) -> Array:
    config = [(0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _blocks(geometry: _Geometry, x: Array) -> Array:
    """The pixels of a block side by side: written down, so that a form reads plain rows of them."""
    (s, t), (rows, columns) = geometry.stride, _margins(geometry)
    x = _pad(x, rows, columns)
    return jnp.concatenate([x[:, i::s, j::t] for i in range(s) for j in range(t)], axis=-1)


def _unblocks(geometry: _Geometry, blocks: Array) -> Array:
    (s, t), (rows, columns) = geometry.stride, _margins(geometry)
    b, h, w, c = blocks.shape
    c //= s * t
    x = blocks.reshape(b, h, w, s, t, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h * s, w * t, c)
    return _pad(x, (-rows[0], -rows[1]), (-columns[0], -columns[1]))


def _block_kernel(geometry: _Geometry, kernel: Array) -> Array:
    (s, t), (u, v), (c, f) = geometry.stride, _unit(geometry).taps, kernel.shape[2:]
    excess = (u * s - kernel.shape[0], v * t - kernel.shape[1])
    kernel = jnp.pad(kernel, ((0, excess[0]), (0, excess[1]), (0, 0), (0, 0)))
    kernel = kernel.reshape(u, s, v, t, c, f).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(u, v, s * t * c, f)


def _unblock_kernel(geometry: _Geometry, kernel: Array) -> Array:
    (s, t), (u, v), (c, f) = geometry.stride, _unit(geometry).taps, kernel.shape[2:]
    kernel = kernel.reshape(u, v, s, t, c // (s * t), f).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(u * s, v * t, c // (s * t), f)
    return kernel[: geometry.size[0], : geometry.size[1]]


def _fast_conv(geometry: _Geometry, x: Array, kernel: Array) -> Array:
    if _is_for_library(geometry, geometry.output, x, kernel.shape[3]):
        return onednn.convolution(x, kernel, geometry.stride, geometry.padding)
    if _is_direct(geometry, len(x)):
        return _direct_conv(geometry, x, kernel)
    unit, form = _unit(geometry), _choose(geometry, kernel.shape[2], kernel.shape[3], x.dtype)
    weights = form.weights(unit, _block_kernel(geometry, kernel))
    return form.conv(unit, _blocks(geometry, x), weights)


def _fast_input_gradient(geometry: _Geometry, y: Array, kernel: Array) -> Array:
    pads = _turned_padding(geometry)
    turns = geometry.stride == (1, 1) and min(*pads[0], *pads[1]) >= 0
    if turns and _is_for_library(geometry, geometry.image, y, kernel.shape[2]):
        return onednn.convolution(y, lax.rev(kernel, (0, 1)).swapaxes(2, 3), (1, 1), pads)
    if geometry.size == (1, 1) or _has_few_outputs(geometry, len(y)):
        return _direct_input_gradient(geometry, y, kernel)
    unit, form = _unit(geometry), _choose(geometry, kernel.shape[2], kernel.shape[3], y.dtype)
    weights = form.weights(unit, _block_kernel(geometry, kernel))
    return _unblocks(geometry, form.input_gradient(unit, y, weights))


def _fast_kernel_gradient(geometry: _Geometry, x: Array, y: Array) -> Array:
    if _is_direct(geometry, len(x)):
        return _direct_kernel_gradient(geometry, x, y)
    unit, form = _unit(geometry), _choose(geometry, x.shape[3], y.shape[3], x.dtype)
    weights = form.weights_gradient(unit, _blocks(geometry, x), y)
    return _unblock_kernel(geometry, form.kernel(unit, weights))


class _Form(NamedTuple):
    """One algorithm for the three gradients of a stride-1 convolution."""

    weights: Callable[[_Unit, Array], Array]  # what the products need of the kernel
    kernel: Callable[[_Unit, Array], Array]  # the transpose of `weights`
    conv: Callable[[_Unit, Array, Array], Array]
    weights_gradient: Callable[[_Unit, Array, Array], Array]
    input_gradient: Callable[[_Unit, Array, Array], Array]


def _choose(geometry: _Geometry, channels: int, features: int, dtype: Any) -> _Form:
    """Minimal filtering pays when both channel counts fill a matrix product (measured, 2 cores)."""
    tile = _minimal_tile(geometry, channels, features, dtype)
    if tile:
        return _minimal(tile)
    channels *= math.prod(geometry.stride)
    return _PAINTED if geometry.output != (1, 1) and features < channels else _GATHERED


# oneDNN's convolution: faster than what minimal filtering leaves, but for a kernel's gradient,
# which it does not have.


def _is_for_library(geometry: _Geometry, made: Pair, x: Array, features: int) -> bool:
    """Whether it takes a convolution of `x` that makes images of `features` (measured, 2 cores)."""
    few = features < 16 or len(x) * math.prod(made) < _FEW
    if few or x.dtype != jnp.float32 or not onednn.is_wanted():
        return False
    if geometry.size == (1, 1):  # else a plain product
        return x.shape[3] < 16
    return _is_sparse(geometry) or not _minimal_tile(geometry, x.shape[3], features, x.dtype)


def _turned_padding(geometry: _Geometry) -> tuple[Pair, Pair]:
    """Of the convolution of stride 1 that is the input gradient of one of stride 1."""
    (k, m), ((top, bottom), (left, right)) = geometry.size, geometry.padding
    return (k - 1 - top, k - 1 - bottom), (m - 1 - left, m - 1 - right)


# Direct: windows out of the image itself, and the kernel as it is stored. Best for strides whose
# blocks would be half empty, and where a kernel is larger than all that it is multiplied by.


_FEW = 256  # outputs; measured: 64 gain three to seven times with 512 channels, 1,000 nothing


def _is_direct(geometry: _Geometry, count: int) -> bool:
    """Whether minimal filtering of the blocks would not take fewer products, or not pay."""
    small = geometry.size == (1, 1) or _has_few_outputs(geometry, count)
    return small or _is_sparse(geometry)


def _is_sparse(geometry: _Geometry) -> bool:
    """Whether blocks would be so empty that minimal filtering of them does not pay."""
    (u, v), area = _unit(geometry).taps, math.prod(geometry.size)
    return 16 * area <= 9 * u * v * math.prod(geometry.stride) and geometry.stride != (1, 1)


def _has_few_outputs(geometry: _Geometry, count: int) -> bool:
    """Whether reading a strided convolution's kernel takes longer than to multiply by it."""
    return geometry.stride != (1, 1) and count * math.prod(geometry.output) <= _FEW


def _direct_windows(geometry: _Geometry, x: Array) -> Array:
    """Every output's window: [b h w, taps c]."""
    (k, m), (s, t), (h, w) = geometry.size, geometry.stride, geometry.output
    rows, columns = (
        (low, (o - 1) * step + size - n - low)
        for (low, _), o, step, size, n in zip(
            geometry.padding, (h, w), (s, t), (k, m), geometry.image, strict=True
        )
    )
    x = _pad(x, rows, columns)
    taps = [
        x[:, i : i + s * (h - 1) + 1 : s, j : j + t * (w - 1) + 1 : t]
        for i in range(k)
        for j in range(m)
    ]
    return jnp.concatenate(taps, axis=-1).reshape(-1, k * m * x.shape[-1])


def _direct_conv(geometry: _Geometry, x: Array, kernel: Array) -> Array:
    weights = kernel.reshape(-1, kernel.shape[-1])

    def some(x: Array) -> Array:
        y = product(_direct_windows(geometry, x), weights)
        return y.reshape(len(x), *geometry.output, -1)

    return _by_portions(_direct_portion(geometry, x), some, x)


def _direct_kernel_gradient(geometry: _Geometry, x: Array, y: Array) -> Array:
    def some(x: Array, y: Array) -> Array:
        windows = _direct_windows(geometry, x)
        return product(windows, y.reshape(-1, y.shape[-1]), transpose_a=True)

    weights = _sum_of_portions(_direct_portion(geometry, x), some, x, y)
    return weights.reshape(*geometry.size, x.shape[-1], y.shape[-1])


def _direct_portion(geometry: _Geometry, x: Array) -> int:
    rows = math.prod(geometry.output)
    if geometry.size == (1, 1):
        return len(x)
    return _portion(rows, rows * math.prod(geometry.size) * x.shape[-1], len(x))


def _direct_input_gradient(geometry: _Geometry, y: Array, kernel: Array) -> Array:
    """Every output's window back to the pixels that it saw."""
    k, m, c, f = kernel.shape
    windows = product(y.reshape(-1, f), kernel.reshape(-1, f), transpose_b=True)
    windows = windows.reshape(*y.shape[:3], k, m, c)
    taps = [_spread(geometry, windows[..., i, j, :], (i, j)) for i in range(k) for j in range(m)]
    return _total(taps)


def _spread(geometry: _Geometry, x: Array, tap: Pair) -> Array:
    """What a tap gives to the pixels that it saw, zeros between."""
    config = [
        (i - low, n + low - i - (o - 1) * s - 1, s - 1)
        for i, s, (low, _), n, o in zip(
            tap, geometry.stride, geometry.padding, geometry.image, geometry.output, strict=True
        )
    ]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])


# A few images at a time, so that what is made of them is read back from the processor's cache.

_CACHE = 2**20  # numbers: twice a core's second cache, of which half to four times is as good
_FEWEST = 256  # rows of a matrix product: fewer slow it down
_LANES = 2  # portions in one turn of a loop, which the processor's cores take side by side


def _portion(rows: int, numbers: int, count: int) -> int:
    """How many of `count` images to take at a time, given what is made of one."""
    most = max(_CACHE // numbers, -(-_FEWEST // rows))
    return next(size for size in range(min(most, count), 0, -1) if count % size == 0)


def _split(portion: int, x: Array) -> Array:
    """[turns, lanes, portion, ...] of a batch."""
    lanes = math.gcd(len(x) // portion, _LANES)
    return x.reshape(-1, lanes, portion, *x.shape[1:])


def _by_portions(portion: int, function: Callable[[Array], Array], x: Array) -> Array:
    if portion == len(x):
        return function(x)
    y = lax.map(lambda lanes: jnp.stack([function(one) for one in lanes]), _split(portion, x))
    return y.reshape(-1, *y.shape[3:])


def _sum_of_portions(
    portion: int, function: Callable[[Array, Array], Array], x: Array, y: Array
) -> Array:
    def add(total: Array, lanes: tuple[Array, Array]) -> tuple[Array, None]:
        return _total([total, *(function(*one) for one in zip(*lanes, strict=True))]), None

    made = jax.eval_shape(function, x, y)
    if portion == len(x) or made.size > _CACHE:
        return function(x, y)
    opening = jnp.zeros(made.shape, made.dtype)
    return lax.scan(add, opening, (_split(portion, x), _split(portion, y)))[0]


# Gathered: the image's windows side by side, one matrix product. Best for few channels.


def _gather(unit: _Unit, x: Array) -> Array:
    """Every place's window [b h w u*v*c], columns first, then rows: u + v copies, not u * v."""
    (u, v), (h, w) = unit.taps, unit.output
    x = jnp.concatenate([x[:, :, j : j + w] for j in range(v)], axis=-1)
    return jnp.concatenate([x[:, i : i + h] for i in range(u)], axis=-1)


def _scatter(unit: _Unit, windows: Array) -> Array:
    """The transpose of `_gather`: windows [b h w u*v*c] added up where they came from."""
    (u, v), size = unit.taps, windows.shape[-1]
    rows = [windows[..., i * size // u : (i + 1) * size // u] for i in range(u)]
    x = _total([_pad(row, (i, u - 1 - i), (0, 0)) for i, row in enumerate(rows)])
    size //= u
    columns = [x[..., j * size // v : (j + 1) * size // v] for j in range(v)]
    return _total([_pad(column, (0, 0), (j, v - 1 - j)) for j, column in enumerate(columns)])


def _total(parts: Sequence[Array]) -> Array:
    return sum(parts[1:], start=parts[0])


def _windows(unit: _Unit, x: Array) -> Array:
    return _gather(unit, x).reshape(-1, unit.taps[0] * unit.taps[1] * x.shape[-1])


def _gathered_weights(unit: _Unit, kernel: Array) -> Array:
    return kernel.reshape(-1, kernel.shape[-1])


def _gathered_kernel(unit: _Unit, weights: Array) -> Array:
    return weights.reshape(*unit.taps, -1, weights.shape[-1])


def _gathered_conv(unit: _Unit, x: Array, weights: Array) -> Array:
    return product(_windows(unit, x), weights).reshape(-1, *unit.output, weights.shape[-1])


def _gathered_input_gradient(unit: _Unit, y: Array, weights: Array) -> Array:
    windows = product(y.reshape(-1, y.shape[-1]), weights, transpose_b=True)
    return _scatter(unit, windows.reshape(-1, *unit.output, len(weights)))


def _gathered_weights_gradient(unit: _Unit, x: Array, y: Array) -> Array:
    return product(_windows(unit, x), y.reshape(-1, y.shape[-1]), transpose_a=True)


_GATHERED = _Form(
    _gathered_weights,
    _gathered_kernel,
    _gathered_conv,
    _gathered_weights_gradient,
    _gathered_input_gradient,
)


# Painted: the same with the roles of image and output exchanged, so that windows have few features.


def _painted_weights(unit: _Unit, kernel: Array) -> Array:
    """[c, u v f], the taps turned round: what a pixel adds to the outputs around it."""
    return lax.rev(kernel, (0, 1)).transpose(2, 0, 1, 3).reshape(kernel.shape[2], -1)


def _painted_kernel(unit: _Unit, weights: Array) -> Array:
    kernel = weights.reshape(len(weights), *unit.taps, -1).transpose(1, 2, 0, 3)
    return lax.rev(kernel, (0, 1))


def _painted_conv(unit: _Unit, x: Array, weights: Array) -> Array:
    (u, v), (h, w) = unit.taps, unit.output
    whole = _Unit(unit.taps, (h + u - 1, w + v - 1))
    painted = product(x.reshape(-1, x.shape[-1]), weights)
    painted = painted.reshape(-1, *whole.output, weights.shape[-1])
    return _scatter(whole, painted)[:, u - 1 : u - 1 + h, v - 1 : v - 1 + w]


def _painted_windows(unit: _Unit, y: Array) -> Array:
    """Around every pixel of the image, the outputs that it adds to: [b h w, u v f]."""
    (u, v), (h, w) = unit.taps, unit.output
    whole = _Unit(unit.taps, (h + u - 1, w + v - 1))
    return _windows(whole, _pad(y, (u - 1, u - 1), (v - 1, v - 1)))


def _painted_input_gradient(unit: _Unit, y: Array, weights: Array) -> Array:
    (u, v), (h, w) = unit.taps, unit.output
    pixels = product(_painted_windows(unit, y), weights, transpose_b=True)
    return pixels.reshape(-1, h + u - 1, w + v - 1, len(weights))


def _painted_weights_gradient(unit: _Unit, x: Array, y: Array) -> Array:
    windows = _painted_windows(unit, y)
    return product(x.reshape(-1, x.shape[-1]), windows, transpose_a=True)


_PAINTED = _Form(
    _painted_weights,
    _painted_kernel,
    _painted_conv,
    _painted_weights_gradient,
    _painted_input_gradient,
)


# Minimal filtering: outputs = A^T [(G kernel G^T) * (B^T image B)] A, a matrix product per point.


class _Tile(NamedTuple):
    """F(m, r) of Winograd: m outputs of r taps by m + r - 1 products, a point each."""

    m: int
    a: np.ndarray  # [m + r - 1, m]
    b: np.ndarray  # [m + r - 1, m + r - 1]
    g: np.ndarray  # [m + r - 1, r]


def _interpolating(m: int, r: int, points: Sequence[float]) -> _Tile:
    """F(m, r) at `points` and infinity (Toom 1963, Cook 1966), the image's factors exact.

    A point's row of `b` is the polynomial that vanishes at the others; `g` divides by its value.
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
    return _Tile(m, *(matrix.astype(np.float32) for matrix in (powers(m), b, g)))


_TWO_TAPS = _Tile(
    m=2,
    a=np.array([[1, 0], [1, -1], [0, 1]], np.float32),
    b=np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]], np.float32),
    g=np.array([[1, 0], [-1, 1], [0, 1]], np.float32),
)
_THREE_TAPS = _Tile(
    m=2,
    a=np.array([[1, 0], [1, 1], [1, -1], [0, 1]], np.float32),
    b=np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]], np.float32),
    g=np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32),
)
_TILES = {(2, 2): _TWO_TAPS, (3, 3): _THREE_TAPS}
_WIDE_TILES = {
    (2, 2): _interpolating(4, 2, (0.0, 0.75, -1.0, 1.5)),
    (3, 3): _interpolating(4, 3, (0.0, 0.75, -0.75, 1.5, -1.5)),
    (4, 4): _interpolating(3, 4, (0.0, 0.75, -0.75, 1.5, -1.5)),
}
"""Fewer products for float32, whose digits suffice: of the points tried those whose errors are
smallest, 2e-6 of the largest output with 256 channels, 7e-6 with 1,024."""


def _minimal_tile(geometry: _Geometry, channels: int, features: int, dtype: Any) -> _Tile | None:
    """The tile to filter by, where both channel counts fill a matrix product."""
    channels *= math.prod(geometry.stride)
    if geometry.output == (1, 1) or min(channels, features) < 16:
        return None
    return _tile(_unit(geometry), dtype)


def _tile(unit: _Unit, dtype: Any) -> _Tile | None:
    """The tile that takes the fewest products, if any is known for these taps.

    A wide one must save a fifth of them: more goes into its sums.
    """
    small = _TILES.get(unit.taps)
    wide = _WIDE_TILES.get(unit.taps) if dtype == jnp.float32 and min(unit.output) >= 7 else None
    direct = math.prod(unit.output) * math.prod(unit.taps)
    if wide and _count(wide, unit) <= 0.8 * (_count(small, unit) if small else direct):
        return wide
    return small


def _count(tile: _Tile, unit: _Unit) -> int:
    """Products for one image, a channel and a feature."""
    return math.prod(_tiling(tile, unit)) * len(tile.b) ** 2


def _tiling(tile: _Tile, unit: _Unit) -> Pair:
    """How many tiles cover an image."""
    h, w = unit.output
    return -(-h // tile.m), -(-w // tile.m)


def _is_small(tile: _Tile) -> bool:
    """Whether one loop over all of a point's terms is faster than rows first and columns then."""
    return len(tile.b) <= 4


def _points(weights: np.ndarray, grid: Sequence[Sequence[Array]]) -> Array:
    """`weights @ grid @ weights.T`, the points in front: one loop for the compiler, no copies."""
    return _point(weights, [_point(weights, row) for row in grid])


def _point(weights: np.ndarray, parts: Sequence[Array]) -> Array:
    shape = (len(weights),) + (1,) * parts[0].ndim
    terms = [
        jnp.asarray(column.reshape(shape), part.dtype) * part[None]
        for column, part in zip(weights.T, parts, strict=True)
    ]
    return _total(terms)


def _combine(weights: np.ndarray, parts: Sequence[Array]) -> list[Array]:
    """Every row's weighted sum of the parts, without products by 0, 1 and -1."""
    return [_weighted(row, parts) for row in weights]


def _weighted(row: np.ndarray, parts: Sequence[Array]) -> Array:
    total = None
    for weight, part in zip(row.tolist(), parts, strict=True):
        if weight == 0:
            continue
        term = part if abs(weight) == 1 else part * abs(weight)
        if total is None:
            total = term if weight > 0 else -term
        else:
            total = total + term if weight > 0 else total - term
    assert total is not None
    return total


def _image_points(tile: _Tile, unit: _Unit, x: Array) -> Array:
    """B^T image B of every tile: [points, tiles, c]."""
    (i, j), n, m, c = _tiling(tile, unit), len(tile.b), tile.m, x.shape[-1]
    x = _pad(x, (0, m * i + n - m - x.shape[1]), (0, m * j + n - m - x.shape[2]))

    def every(x: Array, tiles: int, axis: int) -> list[Array]:
        """What each place of a tile sees: an array per place."""
        return [lax.slice_in_dim(x, p, p + m * (tiles - 1) + 1, m, axis) for p in range(n)]

    if _is_small(tile):
        points = _points(tile.b, [every(row, j, 2) for row in every(x, i, 1)])
    else:
        columns = jnp.stack(_combine(tile.b, every(x, j, 2)))
        points = jnp.stack(_combine(tile.b, every(columns, i, 2)))
    return points.reshape(n * n, -1, c)


def _image_from_points(tile: _Tile, unit: _Unit, points: Array) -> Array:
    """The transpose of `_image_points`."""
    n = len(tile.b)
    points = points.reshape(n, n, -1, *_tiling(tile, unit), points.shape[-1])
    rows = _overlap(tile.m, _combine(tile.b.T, list(points)), 2)
    x = _overlap(tile.m, _combine(tile.b.T, list(rows)), 2)
    (u, v), (h, w) = unit.taps, unit.output
    return x[:, : h + u - 1, : w + v - 1]


def _overlap(m: int, parts: Sequence[Array], axis: int) -> Array:
    """Lay tiles every m places along an axis and add: part k of tile i goes to place m*i + k."""
    longest = -(-len(parts) // m) - 1
    phases = []
    for k in range(m):
        laid = []
        for late, part in enumerate(parts[k::m]):
            config = [(0, 0, 0)] * part.ndim
            config[axis] = (late, longest - late, 0)
            laid.append(lax.pad(part, jnp.zeros((), part.dtype), config))
        phases.append(_total(laid))
    return _interleave(phases, axis)


def _interleave(phases: Sequence[Array], axis: int) -> Array:
    x = jnp.stack(phases, axis + 1)
    return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])


def _output_points(tile: _Tile, unit: _Unit, y: Array) -> Array:
    """A outputs A^T of every tile: [points, tiles, f]."""
    (i, j), n, m, f = _tiling(tile, unit), len(tile.b), tile.m, y.shape[-1]
    y = _pad(y, (0, m * i - y.shape[1]), (0, m * j - y.shape[2])).reshape(-1, i, m, j, m, f)
    if _is_small(tile):
        points = _points(tile.a, [[y[:, :, k, :, q] for q in range(m)] for k in range(m)])
    else:
        columns = jnp.stack(_combine(tile.a, [y[..., q, :] for q in range(m)]))
        points = jnp.stack(_combine(tile.a, [columns[:, :, :, k] for k in range(m)]))
    return points.reshape(n * n, -1, f)


def _output_from_points(tile: _Tile, unit: _Unit, points: Array) -> Array:
    """The transpose of `_output_points`."""
    (i, j), n, m, f = _tiling(tile, unit), len(tile.b), tile.m, points.shape[-1]
    points = points.reshape(n, n, -1, i, j, f)
    rows = _combine(tile.a.T, list(points))
    if _is_small(tile):
        lines = [_interleave(_combine(tile.a.T, list(row)), 2) for row in rows]
        y = _interleave(lines, 1)
    else:
        columns = _combine(tile.a.T, list(jnp.stack(rows, 3)))
        y = jnp.stack(columns, 4).reshape(-1, i * m, j * m, f)
    return y[:, : unit.output[0], : unit.output[1]]


_FEW_TAPS = 4  # measured: twice as fast as a matrix product with 4, half as fast with 9


def _kernel_points(tile: _Tile, unit: _Unit, kernel: Array) -> Array:
    """G kernel G^T: [points, c, f]."""
    u, v = unit.taps
    if u * v <= _FEW_TAPS:  # one loop, which reads the kernel where it is stored
        points = _points(tile.g, [[kernel[i, j] for j in range(v)] for i in range(u)])
    else:
        points = jnp.asarray(np.kron(tile.g, tile.g), kernel.dtype)
        points = points @ kernel.reshape(u * v, -1)
    return points.reshape(-1, *kernel.shape[2:])


def _kernel_from_points(tile: _Tile, unit: _Unit, points: Array) -> Array:
    """The transpose of `_kernel_points`."""
    kernel = jnp.asarray(np.kron(tile.g, tile.g).T, points.dtype) @ points.reshape(len(points), -1)
    return kernel.reshape(*unit.taps, *points.shape[1:])


def _minimal_conv(tile: _Tile, unit: _Unit, x: Array, weights: Array) -> Array:
    return _output_from_points(tile, unit, product(_image_points(tile, unit, x), weights))


def _minimal_input_gradient(tile: _Tile, unit: _Unit, y: Array, weights: Array) -> Array:
    points = product(_output_points(tile, unit, y), weights, transpose_b=True)
    return _image_from_points(tile, unit, points)


def _minimal_weights_gradient(tile: _Tile, unit: _Unit, x: Array, y: Array) -> Array:
    x, y = _image_points(tile, unit, x), _output_points(tile, unit, y)
    return product(x, y, transpose_a=True)


def _minimal(tile: _Tile) -> _Form:
    return _Form(
        partial(_kernel_points, tile),
        partial(_kernel_from_points, tile),
        partial(_minimal_conv, tile),
        partial(_minimal_weights_gradient, tile),
        partial(_minimal_input_gradient, tile),
    )


# Linen modules.


class Conv(nn.Module):
    """`conv` with a kernel [kh kw c features] and a bias, both stored in float32."""

    features: int
    kernel_size: int | Pair
    stride: int | Pair = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    dtype: Any = None
    padding_mode: str = "zeros"

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], constant: Float[Array, "b k"] | None = None
    ) -> Float[Array, "b i j f"]:
        """Of `x` and, it may be, k more channels whose pixels are all alike."""
        size, stride, padding = _pair(self.kernel_size), _pair(self.stride), self.padding
        if self.padding_mode == "reflect":
            pads = _pads(padding, _pair(x.shape[1:3]), size, stride)
            x, padding = jnp.pad(x, ((0, 0), *pads, (0, 0)), mode="reflect"), 0
        elif self.padding_mode != "zeros":
            raise UserError(f"padding_mode {self.padding_mode!r} is neither 'zeros' nor 'reflect'")
        channels = x.shape[-1] + (0 if constant is None else constant.shape[-1])
        x, kernel, bias = _parameters(self, x, (*size, channels))
        y = beside_constant(x, constant, kernel, stride=stride, padding=padding)
        return y if bias is None else y + bias[None, None, None]


class ConvTranspose(nn.Module):
    """`conv_transpose` with a kernel [kh kw features c] and a bias, both stored in float32.

    The kernel is stored as that of the convolution whose transpose this is, which is how every
    form reads it; the initializer sees [kh kw c features].
    """

    features: int
    kernel_size: int | Pair
    stride: int | Pair = 1
    padding: int | Sequence[Pair] = 0
    output_padding: int | Pair = 0
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        size = _pair(self.kernel_size)
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
    """The input and the module's parameters in the dtype of the computation."""
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
