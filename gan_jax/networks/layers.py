"""Layers with spectral normalisation.

Spectral normalisation is Miyato et al. 2018 (arXiv:1802.05957): the kernel divided by its largest
singular value, which one step of the power method a forward pass keeps track of.
"""

from functools import partial
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.conv import Initializer, Padding, Pair, conv_with_constant

SPECTRAL = "spectral"  # the collection of the power method's vectors


def spectral_kernel(module: nn.Module, kernel: Float[Array, "*in f"]) -> Float[Array, "*in f"]:
    """Divide a kernel by its largest singular value, as a matrix of [all other axes, features].

    One step of the power method (algorithm 1) updates `u` [f], kept in the collection `spectral`,
    in every pass that may store statistics: in the discriminator's move and in the generator's, as
    in the authors' code. `u` and `v` are constants to the derivative (equation 12).
    """
    features = kernel.shape[-1]
    draw = nn.initializers.normal(1.0)
    stored = module.variable(SPECTRAL, "u", lambda: draw(module.make_rng("params"), (features,)))
    matrix = kernel.astype(jnp.float32).reshape(-1, features)
    constant = jax.lax.stop_gradient(matrix)
    multiply = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)  # of little cost
    v = _unit(multiply(constant, stored.value))
    u = _unit(multiply(v, constant))
    if module.is_mutable_collection(SPECTRAL):
        stored.value = u
    return kernel / multiply(multiply(v, matrix), u).astype(kernel.dtype)


def _unit(x: Float[Array, " n"]) -> Float[Array, " n"]:
    return x / (jnp.linalg.norm(x) + 1e-12)


def pytorch_init(fan: Literal["fan_in", "fan_out"] = "fan_in") -> Initializer:
    """PyTorch's initialisation of a convolution: uniform within 1 / sqrt(fan).

    Where a norm follows, the size of a weight is without effect on the output and divides the
    learning rate: weights of `lecun_normal` move at 1 / sqrt(3) of the pace. `fan_out` is for a
    dense layer in place of a transposed convolution of 1 px, whose "fan in" PyTorch takes from its
    outputs.
    """
    return nn.initializers.variance_scaling(1.0 / 3.0, fan, "uniform")


class SpectralConv(nn.Module):
    """`conv` with a spectrally normalised kernel [kh kw c features] and a bias."""

    features: int
    kernel_size: int | Pair
    stride: int | Pair = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], constant: Float[Array, "b k"] | None = None
    ) -> Float[Array, "b i j f"]:
        """Convolve `x` and, after its channels, `constant` ones (see `conv_with_constant`)."""
        k = self.kernel_size
        size = (k, k) if isinstance(k, int) else k
        channels = x.shape[-1] + (0 if constant is None else constant.shape[-1])
        shape = (*size, channels, self.features)
        kernel = spectral_kernel(self, self.param("kernel", self.kernel_init, shape, jnp.float32))
        dtype = self.dtype or x.dtype
        kernel, make = kernel.astype(dtype), {"stride": self.stride, "padding": self.padding}
        x = conv_with_constant(x.astype(dtype), constant, kernel, **make)
        return _plus_bias(self, x, self.features, self.use_bias)


class SpectralDense(nn.Module):
    """A dense layer with a spectrally normalised kernel [d features] and a bias."""

    features: int
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    dtype: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b f"]:
        shape = (x.shape[-1], self.features)
        kernel = spectral_kernel(self, self.param("kernel", self.kernel_init, shape, jnp.float32))
        dtype = self.dtype or x.dtype
        return _plus_bias(
            self, x.astype(dtype) @ kernel.astype(dtype), self.features, self.use_bias
        )


class Sliced(nn.Module):
    """The last layer of a slicing adversarial network: vectors [b d] to two logits each, [b].

    The unit vector omega, the scale s and the bias are parameters, and both logits have the value
    s <x + bias, omega>. The first, for the objective, has no gradient in omega; the second, for the
    loss of the direction, has none in anything else.

    References:
        Takida et al. 2024, arXiv:2301.12811, section 5 (SAN).
    """

    @nn.compact
    def __call__(self, x: Float[Array, "b d"]) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
        size, stop = x.shape[-1], jax.lax.stop_gradient
        bias = self.param("bias", nn.initializers.zeros_init(), (size,), jnp.float32)
        weight = self.param("direction", nn.initializers.normal(1.0), (size,), jnp.float32)
        scale = self.param("scale", nn.initializers.ones_init(), (), jnp.float32)
        x = x.astype(jnp.float32) + bias[None]
        direction = weight / (jnp.linalg.norm(weight) + 1e-12)
        return scale * (x @ stop(direction)), stop(scale) * (stop(x) @ direction)


def _plus_bias(module: nn.Module, x: Array, features: int, use_bias: bool) -> Array:
    if not use_bias:
        return x
    bias = module.param("bias", nn.initializers.zeros_init(), (features,), jnp.float32)
    return x + bias.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
