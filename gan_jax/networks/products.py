"""Matrix products, which a training step on the CPU leaves to oneDNN.

The libraries that XLA hands a product to are fast in some forms of it and slow in others: a sum
over many rows, as a kernel's gradient is, takes up to 2.6 times as long as with oneDNN (2 cores).
Outside `onednn.by_library` and on accelerators it is XLA's own.
"""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from gan_jax.networks import onednn

_FEWEST = 10**7  # multiplications of several points' products, which XLA gives to one core each
_FEWEST_OF_ONE = 4 * _FEWEST  # a single product it splits among the cores, if not of many rows
_MANY = 2**10  # rows that are summed over
_NARROWEST = 16  # rows, columns, terms; vectors are slower than XLA's


def product(
    a: Float[Array, "*points _ _"],
    b: Float[Array, "*points _ _"],
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> Float[Array, "*points m n"]:
    """A matrix product per point, [m k] by [k n]; a factor that is transposed is stored so.

    Derivatives, forward and reverse, are such products. Raises TypeError where the factors do not
    fit each other.
    """
    multiply = _product.bind if onednn.is_wanted() else _plain
    return multiply(a, b, transpose_a=transpose_a, transpose_b=transpose_b)


def _plain(a: Array, b: Array, *, transpose_a: bool, transpose_b: bool) -> Array:
    """XLA's product. Of a sum over rows the narrower factor is turned, as libraries do first."""
    if transpose_a and not transpose_b and b.shape[-1] < a.shape[-1]:
        return (b.swapaxes(-1, -2) @ a).swapaxes(-1, -2)
    a = a.swapaxes(-1, -2) if transpose_a else a
    return a @ (b.swapaxes(-1, -2) if transpose_b else b)


def _pays(a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> bool:
    terms = a.shape[-2 if transpose_a else -1]
    sizes = onednn.product_shape(a, b, transpose_a, transpose_b)
    if a.dtype != jnp.float32 or min(*sizes[-2:], terms) < _NARROWEST:
        return False
    split = math.prod(sizes[:-2]) == 1 and not (transpose_a and terms >= _MANY)
    return math.prod(sizes) * terms >= (_FEWEST_OF_ONE if split else _FEWEST)


_product = Primitive("matrix_product")
_product.def_impl(jax.jit(_plain, static_argnames=("transpose_a", "transpose_b")))


@_product.def_abstract_eval
def _(a: Any, b: Any, *, transpose_a: bool, transpose_b: bool) -> Any:
    terms = a.shape[-2 if transpose_a else -1], b.shape[-1 if transpose_b else -2]
    if a.shape[:-2] != b.shape[:-2] or terms[0] != terms[1] or a.dtype != b.dtype:
        raise TypeError(f"no product of {a} and {b} ({transpose_a = }, {transpose_b = })")
    return a.update(shape=onednn.product_shape(a, b, transpose_a, transpose_b))


def _lower_on_cpu(ctx: Any, a: Any, b: Any, **transposes: bool) -> Any:
    lower = _lower_by_library if _pays(*ctx.avals_in, **transposes) else _lower
    return lower(ctx, a, b, **transposes)


_lower = mlir.lower_fun(_plain, multiple_results=False)
_lower_by_library = mlir.lower_fun(onednn.matmul, multiple_results=False)
mlir.register_lowering(_product, _lower)
mlir.register_lowering(_product, _lower_on_cpu, platform="cpu")


def _batch(operands: Any, axes: Any, **transposes: bool) -> tuple[Array, int]:
    """One more axis of points, in front."""
    size = next(x.shape[at] for x, at in zip(operands, axes, strict=True) if at is not None)
    moved = (
        jnp.broadcast_to(x, (size, *x.shape)) if at is None else jnp.moveaxis(x, at, 0)
        for x, at in zip(operands, axes, strict=True)
    )
    return _product.bind(*moved, **transposes), 0


batching.primitive_batchers[_product] = _batch


def _to_left(g: Array, _: Any, b: Array, *, transpose_a: bool, transpose_b: bool) -> Array:
    if transpose_a:
        return product(b, g, transpose_a=transpose_b, transpose_b=True)
    return product(g, b, transpose_b=not transpose_b)


def _to_right(g: Array, a: Array, _: Any, *, transpose_a: bool, transpose_b: bool) -> Array:
    if transpose_b:
        return product(g, a, transpose_a=True, transpose_b=transpose_a)
    return product(a, g, transpose_a=not transpose_a)


ad.defbilinear(_product, _to_left, _to_right)


def dense(x: Float[Array, "*b d"], kernel: Float[Array, "d f"]) -> Float[Array, "*b f"]:
    """`x @ kernel` as one `product`."""
    y = product(x.reshape(-1, x.shape[-1]), kernel)
    return y.reshape(*x.shape[:-1], kernel.shape[-1])


def _dot_general(x: Array, kernel: Array, dimensions: Any, **options: Any) -> Array:
    if dimensions != (((x.ndim - 1,), (0,)), ((), ())) or any(options.values()):
        return jax.lax.dot_general(x, kernel, dimensions, **options)
    return dense(x, kernel)


Dense = functools.partial(nn.Dense, dot_general=_dot_general)
"""`flax.linen.Dense` by `product`."""
