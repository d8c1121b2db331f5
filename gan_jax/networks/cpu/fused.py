"""oneDNN's fused layers of a feature network, with their derivatives.

The calls themselves have no derivative rule. A discriminator on the features of such a network
needs the gradient to the image, so each layer states its own. The masks of ReLU6 are read from the
output, so no value before the activation is kept.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.networks.cpu import onednn
from gan_jax.networks.geometry import Pair

UPPER = 6.0  # bound of ReLU6


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def pointwise(
    x: Float[Array, "n c"],
    kernel: Float[Array, "c f"],
    bias: Float[Array, " f"],
    skip: Float[Array, "n f"] | None,
    clips: bool,
) -> Float[Array, "n f"]:
    """Compute `x @ kernel + bias + skip`, clipped to [0, 6] if `clips`, in one call."""
    post_ops: onednn.PostOps = {
        "BIAS": bias,
        **({} if skip is None else {"BINARY_ADD": skip}),
        **({"RELU6": None} if clips else {}),
    }
    return onednn.matmul(x, kernel, post_ops=post_ops)


def _pointwise_forward(
    x: Array, kernel: Array, bias: Array, skip: Array | None, clips: bool
) -> tuple[Any, tuple]:
    y = pointwise(x, kernel, bias, skip, clips)
    return y, (x, kernel, skip is not None, y if clips else None)


def _pointwise_backward(clips: bool, kept: tuple, dy: Array) -> tuple:
    x, kernel, skips, y = kept
    dy = _through_relu6(dy, y) if clips else dy
    dx = onednn.matmul(dy, kernel, transpose_b=True)
    return dx, x.T @ dy, dy.sum(axis=0), dy if skips else None


pointwise.defvjp(_pointwise_forward, _pointwise_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def depthwise(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k c"], bias: Float[Array, " c"], stride: int
) -> Float[Array, "b i j c"]:
    """Filter each channel, padded as TensorFlow's SAME, add a bias and clip to [0, 6]."""
    pads = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), "SAME")
    post_ops: onednn.PostOps = {"BIAS": bias, "RELU6": None}
    return _filter(x, kernel, (stride, stride), pads, post_ops)


def _depthwise_forward(x: Array, kernel: Array, bias: Array, stride: int) -> tuple[Any, tuple]:
    y = depthwise(x, kernel, bias, stride)
    return y, (x, kernel, y)


def _depthwise_backward(stride: int, kept: tuple, dy: Array) -> tuple[Array, Array, Array]:
    x, kernel, y = kept
    dy = _through_relu6(dy, y)
    size = kernel.shape[0]
    pads = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), "SAME")
    spread = lax.pad(dy, 0.0, ((0, 0, 0), *((0, 0, stride - 1),) * 2, (0, 0, 0)))
    ends = [  # of the gradient: the mirrored filter meets each value that the pixel went into
        (size - 1 - low, n - m - (size - 1 - low) + size - 1)
        for n, m, (low, _) in zip(x.shape[1:3], spread.shape[1:3], pads, strict=True)
    ]
    dx = _filter(spread, lax.rev(kernel, (0, 1)), (1, 1), ends)
    return dx, _kernel_gradient(x, dy, size, stride, pads), dy.sum(axis=(0, 1, 2))


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def _filter(
    x: Array, kernel: Array, stride: Pair, pads: list[Pair], post_ops: onednn.PostOps | None = None
) -> Array:
    options = {} if post_ops is None else {"post_ops": post_ops}
    return onednn.convolution(x, kernel[:, :, None], stride, pads, groups=x.shape[3], **options)


def _kernel_gradient(x: Array, dy: Array, size: int, stride: int, pads: list[Pair]) -> Array:
    """Sum the products of the gradient with the shifted input; unused with a frozen network."""
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    rows, columns = ((n - 1) * stride + 1 for n in dy.shape[1:3])
    taps = [
        jnp.einsum("bijc,bijc->c", x[:, u : u + rows : stride, v : v + columns : stride], dy)
        for u in range(size)
        for v in range(size)
    ]
    return jnp.stack(taps).reshape(size, size, -1)


def _through_relu6(dy: Array, y: Array) -> Array:
    return jnp.where((y > 0.0) & (y < UPPER), dy, 0.0)
