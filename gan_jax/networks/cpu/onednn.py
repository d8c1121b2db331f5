"""oneDNN's matrix products and convolutions, which jaxlib for x86 processors has as custom calls.

They are up to 2.5 times as fast as XLA's CPU backend. jaxlib 0.10.2 cannot write a program with
such calls to JAX's compilation cache, so only what is traced and compiled inside `enabled` has
them: training steps, and networks that compile in a second. `cpu.matmul` and `cpu.dispatch` decide
which operations they compute.
"""

import contextlib
import functools
import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jaxtyping import Array, Float

from gan_jax.networks.cpu.form import Form
from gan_jax.networks.geometry import Geometry, Pair

PostOps = Mapping[str, Array | None]
"""Operations on a result before it is stored, in this order: add "BIAS" [f] or "BINARY_ADD" (of the
result's shape), clip to [0, 6] ("RELU6": None)."""

_NO_POST_OPS: PostOps = MappingProxyType({})
_LEAST_SECONDS = "jax_persistent_cache_min_compile_time_secs"  # of what the cache stores

# A user context is part of the key of jit's cache: programs inside and outside are apart.
_enabled = jax.make_user_context(False)


# Where the library is used


@contextlib.contextmanager
def enabled() -> Iterator[None]:
    """Let what is traced and compiled inside call oneDNN, on CPUs.

    A program with such calls is not written to the compilation cache. Also a decorator:
    `enabled()(function)`.
    """
    if jax.default_backend() != "cpu" or not is_available():
        yield
        return
    with _enabled(True), _restored_cache_setting():
        yield


def is_enabled() -> bool:
    """Whether this is traced inside `enabled`, by a jaxlib that has the library."""
    return _enabled.value


_lock = threading.Lock()
_settings: list[float] = []  # the setting before the first thread entered, once for each thread


@contextlib.contextmanager
def _restored_cache_setting() -> Iterator[None]:
    """Restore the cache's setting, which is global, when the last thread leaves."""
    with _lock:
        _settings.append(_settings[0] if _settings else getattr(jax.config, _LEAST_SECONDS))
    try:
        yield
    finally:
        with _lock:
            least = _settings.pop()
            if not _settings:
                jax.config.update(_LEAST_SECONDS, least)


def _bypass_cache() -> None:
    """Keep the program that is being compiled out of the compilation cache."""
    jax.config.update(_LEAST_SECONDS, math.inf)


@functools.cache
def is_available() -> bool:
    """Whether this jaxlib has the calls and they compute what is expected."""
    rng = np.random.default_rng(0)
    a, b, x, kernel, skip, bias = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in ((2, 24, 16), (2, 24, 32), (2, 7, 9, 4), (3, 2, 2, 6), (2, 16, 32), (32,))
    )
    pads = ((1, 0), (0, 2))
    matmul_ops: PostOps = {"BIAS": bias, "BINARY_ADD": skip, "RELU6": None}
    convolution_ops: PostOps = {"BIAS": bias[:6], "RELU6": None}

    def calls(a: Array, b: Array, x: Array, kernel: Array) -> tuple[Array, Array]:
        product = matmul(a, b, transpose_a=True, post_ops=matmul_ops)
        return product, convolution(x, kernel, (2, 1), pads, groups=2, post_ops=convolution_ops)

    with _restored_cache_setting():
        try:
            results = jax.jit(calls)(a, b, x, kernel)
        except jax.errors.JaxRuntimeError:
            return False
    y = lax.conv_general_dilated(
        x,
        kernel,
        (2, 1),
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=2,
    )
    expected = (
        apply_post_ops(a.swapaxes(1, 2) @ b, matmul_ops),
        apply_post_ops(y, convolution_ops),
    )
    return all(np.allclose(*pair, atol=1e-4) for pair in zip(results, expected, strict=True))


# Operations


def matmul(
    a: Float[Array, "*points _ _"],
    b: Float[Array, "*points _ _"],
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    post_ops: PostOps = _NO_POST_OPS,
) -> Float[Array, "*points m n"]:
    """Multiply matrices at each point, then apply the post-ops.

    `transpose_a` and `transpose_b` say that a factor is stored transposed.
    """
    shape = product_shape(a, b, transpose_a, transpose_b)
    config = {
        "transpose_a": transpose_a,
        "transpose_b": transpose_b,
        "fusions": {"ops": list(post_ops)},
    }
    operands = (_with_rank(value, len(shape)) for value in post_ops.values() if value is not None)
    return _call("__onednn$matmul", {"onednn_matmul_config": config}, shape, a, b, *operands)


def product_shape(
    a: Array | ShapedArray, b: Array | ShapedArray, transpose_a: bool, transpose_b: bool
) -> tuple[int, ...]:
    """Compute the shape of `matmul`'s result."""
    return (*a.shape[:-2], a.shape[-1 if transpose_a else -2], b.shape[-2 if transpose_b else -1])


def convolution(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw d f"],
    stride: Pair,
    pads: Sequence[Pair],
    groups: int = 1,
    post_ops: PostOps = _NO_POST_OPS,
) -> Float[Array, "b i j f"]:
    """Cross-correlate in `groups` of d = c / groups channels, then apply the post-ops.

    `pads`, not negative, are (top, bottom) and (left, right).
    """
    h, w = (
        (n + sum(pad) - k) // s + 1
        for n, pad, k, s in zip(x.shape[1:3], pads, kernel.shape[:2], stride, strict=True)
    )
    images = {"data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": [1, 2]}}
    weights = {"input_feature_dim": 2, "output_feature_dim": 3, "spatial_dims": [0, 1]}
    window = {
        "pad_left": [low for low, _ in pads],
        "pad_right": [high for _, high in pads],
        "strides": list(stride),
        "window_dilations": [1, 1],
    }
    config = {
        "dims": 4,
        "feature_groups": groups,
        "fusions": {"ops": list(post_ops)},
        "input": images,
        "output": images,
        "kernel": {"filter": weights},
        "window": window,
    }
    shape = (len(x), h, w, kernel.shape[3])
    operands = (value for value in post_ops.values() if value is not None)
    target, config = "__onednn$convolution", {"onednn_conv_config": config}
    return _call(target, config, shape, x, kernel, *operands)


def apply_post_ops(y: Float[Array, "*shape"], post_ops: PostOps) -> Float[Array, "*shape"]:
    """Compute the post-ops without the library."""
    for value in post_ops.values():
        y = jnp.clip(y, 0.0, 6.0) if value is None else y + _with_rank(value, y.ndim)
    return y


def _with_rank(value: Array, rank: int) -> Array:
    return value.reshape((1,) * (rank - value.ndim) + value.shape)


# The library as a form of the convolution; it has no gradient to the kernel


def _conv(geometry: Geometry, x: Array, kernel: Array) -> Array:
    return convolution(x, kernel, geometry.stride, geometry.padding)


def _input_gradient(geometry: Geometry, y: Array, kernel: Array) -> Array:
    """Of stride 1: the convolution with the mirrored kernel."""
    kernel = lax.rev(kernel, (0, 1)).swapaxes(2, 3)
    return convolution(y, kernel, (1, 1), _gradient_padding(geometry))


def has_input_gradient(geometry: Geometry) -> bool:
    """Whether the form computes a convolution's gradient to the input."""
    rows, columns = _gradient_padding(geometry)
    return geometry.stride == (1, 1) and min(*rows, *columns) >= 0


def _gradient_padding(geometry: Geometry) -> tuple[Pair, Pair]:
    (k, m), ((top, bottom), (left, right)) = geometry.size, geometry.padding
    return (k - 1 - top, k - 1 - bottom), (m - 1 - left, m - 1 - right)


FORM = Form("onednn", {"conv": _conv, "input_gradient": _input_gradient})


# The custom calls as a primitive


def _call(
    target: str, config: Mapping[str, object], shape: tuple[int, ...], *operands: Array
) -> Array:
    return _primitive.bind(*operands, target=target, config=json.dumps(config), shape=shape)


_primitive = Primitive("onednn")


@_primitive.def_abstract_eval
def _(
    first: ShapedArray, *_: ShapedArray, target: str, config: str, shape: tuple[int, ...]
) -> ShapedArray:
    return first.update(shape=shape)


def _lower(
    ctx: mlir.LoweringRuleContext,
    *operands: Any,
    target: str,
    config: str,
    shape: tuple[int, ...],
) -> Any:
    _bypass_cache()

    def call(*operands: Array) -> Array:
        result = jax.ShapeDtypeStruct(shape, operands[0].dtype)
        options = {"custom_call_api_version": 2, "legacy_backend_config": config}
        return jax.ffi.ffi_call(target, result, **options)(*operands)

    return mlir.lower_fun(call, multiple_results=False)(ctx, *operands)


mlir.register_lowering(_primitive, _lower, platform="cpu")


def _batch(
    operands: Sequence[Array], axes: Sequence[int | None], **static: Any
) -> tuple[Array, int]:
    """Run one call after another: the calls themselves have no further batch axis."""

    def call(mapped: list[Array]) -> Array:
        rest = iter(mapped)
        return _primitive.bind(
            *(x if at is None else next(rest) for x, at in zip(operands, axes, strict=True)),
            **static,
        )

    mapped = [
        jnp.moveaxis(x, at, 0) for x, at in zip(operands, axes, strict=True) if at is not None
    ]
    return lax.map(call, mapped), 0


batching.primitive_batchers[_primitive] = _batch
