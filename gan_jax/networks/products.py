"""Matrix products, which a training step on a CPU leaves to oneDNN.

The libraries that XLA calls on CPUs are fast for some shapes and slow for others: a sum over many
rows, such as a kernel's gradient, takes up to 2.6 times as long as with oneDNN (2 cores). Outside
`cpu.onednn.enabled` and on accelerators the products are XLA's own.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from gan_jax.networks.cpu import matmul, onednn


def product(
    a: Float[Array, "*points _ _"],
    b: Float[Array, "*points _ _"],
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> Float[Array, "*points m n"]:
    """Multiply a matrix [m k] by a matrix [k n] at each point.

    Forward and reverse derivatives of any order are such products.

    Args:
        a: First factor, stored as [k m] if `transpose_a`.
        b: Second factor, stored as [n k] if `transpose_b`.
        transpose_a: Whether the first factor is stored transposed.
        transpose_b: Whether the second factor is stored transposed.

    Raises:
        TypeError: Shapes or dtypes do not match.
    """
    multiply = _product.bind if onednn.is_enabled() else _plain
    return multiply(a, b, transpose_a=transpose_a, transpose_b=transpose_b)


def dense(x: Float[Array, "*b d"], kernel: Float[Array, "d f"]) -> Float[Array, "*b f"]:
    """Compute `x @ kernel` as one `product`."""
    y = product(x.reshape(-1, x.shape[-1]), kernel)
    return y.reshape(*x.shape[:-1], kernel.shape[-1])


def _dot_general(x: Array, kernel: Array, dimensions: Any, **options: Any) -> Array:
    if dimensions != (((x.ndim - 1,), (0,)), ((), ())) or any(options.values()):
        return jax.lax.dot_general(x, kernel, dimensions, **options)
    return dense(x, kernel)


Dense = functools.partial(nn.Dense, dot_general=_dot_general)
"""`flax.linen.Dense` by `product`."""


# The primitive: its form is chosen when a program is lowered, after differentiation and batching


def _plain(a: Array, b: Array, *, transpose_a: bool, transpose_b: bool) -> Array:
    """XLA's product."""
    if transpose_a and not transpose_b and b.shape[-1] < a.shape[-1]:
        # The libraries first transpose a factor: let it be the narrower.
        return (b.swapaxes(-1, -2) @ a).swapaxes(-1, -2)
    a = a.swapaxes(-1, -2) if transpose_a else a
    return a @ (b.swapaxes(-1, -2) if transpose_b else b)


_product = Primitive("matrix_product")
_product.def_impl(jax.jit(_plain, static_argnames=("transpose_a", "transpose_b")))


@_product.def_abstract_eval
def _(a: ShapedArray, b: ShapedArray, *, transpose_a: bool, transpose_b: bool) -> ShapedArray:
    terms = a.shape[-2 if transpose_a else -1], b.shape[-1 if transpose_b else -2]
    if a.shape[:-2] != b.shape[:-2] or terms[0] != terms[1] or a.dtype != b.dtype:
        raise TypeError(f"no product of {a} and {b} ({transpose_a = }, {transpose_b = })")
    return a.update(shape=onednn.product_shape(a, b, transpose_a, transpose_b))


_lower = mlir.lower_fun(_plain, multiple_results=False)
_lower_to_library = mlir.lower_fun(onednn.matmul, multiple_results=False)


def _lower_on_cpu(ctx: mlir.LoweringRuleContext, a: Any, b: Any, **transposes: bool) -> Any:
    shapes: Any = ctx.avals_in
    to_library = matmul.is_for_library(*shapes, **transposes)
    return (_lower_to_library if to_library else _lower)(ctx, a, b, **transposes)


mlir.register_lowering(_product, _lower)
mlir.register_lowering(_product, _lower_on_cpu, platform="cpu")


def _batch(
    operands: Sequence[Array], axes: Sequence[int | None], **transposes: bool
) -> tuple[Array, int]:
    """Add an axis of points in front."""
    size = next(x.shape[at] for x, at in zip(operands, axes, strict=True) if at is not None)
    moved = (
        jnp.broadcast_to(x, (size, *x.shape)) if at is None else jnp.moveaxis(x, at, 0)
        for x, at in zip(operands, axes, strict=True)
    )
    return _product.bind(*moved, **transposes), 0


batching.primitive_batchers[_product] = _batch


def _left_gradient(g: Array, _: object, b: Array, *, transpose_a: bool, transpose_b: bool) -> Array:
    if transpose_a:
        return product(b, g, transpose_a=transpose_b, transpose_b=True)
    return product(g, b, transpose_b=not transpose_b)


def _right_gradient(
    g: Array, a: Array, _: object, *, transpose_a: bool, transpose_b: bool
) -> Array:
    if transpose_b:
        return product(g, a, transpose_a=True, transpose_b=transpose_a)
    return product(a, g, transpose_a=not transpose_a)


ad.defbilinear(_product, _left_gradient, _right_gradient)
