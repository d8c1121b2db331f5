"""oneDNN's products and convolutions, which jaxlib holds for x86 processors and calls by name.

They are faster than what XLA's CPU backend makes of the same, some by two and a half times. A
program with such calls cannot be kept in JAX's compilation cache (jaxlib 0.10.2 cannot write
them), so only what is compiled within `by_library` has them: training steps, and networks that
compile in a second. `networks.products` and `networks.conv` say which operations they take over.
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
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jaxtyping import Array, Float

Then = Mapping[str, Array | None]
"""What is done to a result before it is written, in this order: to add "BIAS" [f] or "BINARY_ADD"
(of the result's shape), to clip ("RELU6": None). `followed` does it to a result that is written."""

_LEAST_SECONDS = "jax_persistent_cache_min_compile_time_secs"  # of what the cache keeps

_wanted = jax.make_user_context(False)  # what is compiled within is not what is without


@contextlib.contextmanager
def by_library() -> Iterator[None]:
    """What is traced and compiled within may have oneDNN's calls, on the CPU.

    A program with such calls is not written to the compilation cache. `by_library()(function)` is
    the function whose calls are within.
    """
    if jax.default_backend() != "cpu" or not is_present():
        yield
        return
    with _wanted(True), _cache_as_it_was():
        yield


def is_wanted() -> bool:
    """Whether this is traced within `by_library`, by a jaxlib that has the library."""
    return _wanted.value


_lock = threading.Lock()
_inside: list[float] = []  # what the setting was, once for everyone who is within


@contextlib.contextmanager
def _cache_as_it_was() -> Iterator[None]:
    with _lock:
        _inside.append(_inside[0] if _inside else getattr(jax.config, _LEAST_SECONDS))
    try:
        yield
    finally:
        with _lock:
            least = _inside.pop()
            if not _inside:
                jax.config.update(_LEAST_SECONDS, least)


@functools.cache
def is_present() -> bool:
    """Whether this jaxlib knows the calls, and means by them what is meant here."""
    rng = np.random.default_rng(0)
    a, b, x, kernel, skip, bias = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in ((2, 24, 16), (2, 24, 32), (2, 7, 9, 4), (3, 2, 2, 6), (2, 16, 32), (32,))
    )
    pads = ((1, 0), (0, 2))
    thens: tuple[Then, Then] = (
        {"BIAS": bias, "BINARY_ADD": skip, "RELU6": None},
        {"BIAS": bias[:6], "RELU6": None},
    )

    def calls(a: Array, b: Array, x: Array, kernel: Array) -> tuple[Array, Array]:
        product = matmul(a, b, transpose_a=True, then=thens[0])
        return product, convolution(x, kernel, (2, 1), pads, groups=2, then=thens[1])

    with _cache_as_it_was():
        try:
            found = jax.jit(calls)(a, b, x, kernel)
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
    wanted = map(followed, (a.swapaxes(1, 2) @ b, y), thens)
    return all(np.allclose(*pair, atol=1e-4) for pair in zip(found, wanted, strict=True))


def matmul(
    a: Float[Array, "*points _ _"],
    b: Float[Array, "*points _ _"],
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    then: Then = MappingProxyType({}),
) -> Float[Array, "*points m n"]:
    """A matrix product per point; a factor that is transposed is stored so."""
    shape = product_shape(a, b, transpose_a, transpose_b)
    config = {
        "transpose_a": transpose_a,
        "transpose_b": transpose_b,
        "fusions": {"ops": list(then)},
    }
    given = (_ranked(value, len(shape)) for value in then.values() if value is not None)
    return _call("__onednn$matmul", {"onednn_matmul_config": config}, shape, a, b, *given)


def product_shape(a: Any, b: Any, transpose_a: bool, transpose_b: bool) -> tuple[int, ...]:
    """Of `matmul`'s result."""
    return (*a.shape[:-2], a.shape[-1 if transpose_a else -2], b.shape[-2 if transpose_b else -1])


def convolution(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "kh kw d f"],
    stride: tuple[int, int],
    pads: Sequence[tuple[int, int]],
    groups: int = 1,
    then: Then = MappingProxyType({}),
) -> Float[Array, "b i j f"]:
    """Cross-correlation, in `groups` of d = c / groups channels.

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
        "fusions": {"ops": list(then)},
        "input": images,
        "output": images,
        "kernel": {"filter": weights},
        "window": window,
    }
    shape = (len(x), h, w, kernel.shape[3])
    given = (value for value in then.values() if value is not None)
    return _call("__onednn$convolution", {"onednn_conv_config": config}, shape, x, kernel, *given)


def followed(y: Float[Array, "*shape"], then: Then) -> Float[Array, "*shape"]:
    """What the library would have written."""
    for value in then.values():
        y = jnp.clip(y, 0.0, 6.0) if value is None else y + _ranked(value, y.ndim)
    return y


def _ranked(value: Array, rank: int) -> Array:
    return value.reshape((1,) * (rank - value.ndim) + value.shape)


def _call(target: str, config: Mapping[str, Any], shape: tuple[int, ...], *given: Array) -> Array:
    return _primitive.bind(*given, target=target, config=json.dumps(config), shape=shape)


_primitive = Primitive("onednn")


@_primitive.def_abstract_eval
def _(first: Any, *_: Any, target: str, config: str, shape: tuple[int, ...]) -> Any:
    return first.update(shape=shape)


def _lower(ctx: Any, *given: Any, target: str, config: str, shape: tuple[int, ...]) -> Any:
    _keep_from_cache()

    def call(*given: Array) -> Array:
        made = jax.ShapeDtypeStruct(shape, given[0].dtype)
        options = {"custom_call_api_version": 2, "legacy_backend_config": config}
        return jax.ffi.ffi_call(target, made, **options)(*given)

    return mlir.lower_fun(call, multiple_results=False)(ctx, *given)


mlir.register_lowering(_primitive, _lower, platform="cpu")


def _keep_from_cache() -> None:
    jax.config.update(_LEAST_SECONDS, math.inf)


def _batch(operands: Any, axes: Any, **static: Any) -> tuple[Array, int]:
    """One call after the other."""

    def one(mapped: list[Array]) -> Array:
        left = iter(mapped)
        return _primitive.bind(
            *(x if at is None else next(left) for x, at in zip(operands, axes, strict=True)),
            **static,
        )

    mapped = [
        jnp.moveaxis(x, at, 0) for x, at in zip(operands, axes, strict=True) if at is not None
    ]
    return lax.map(one, mapped), 0


batching.primitive_batchers[_primitive] = _batch
