"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958): styles as weights, no progressive growing.

A style scales the kernel's input channels, and division by the kernel's norm restores unit variance
(section 2.2); the generator adds up the images of every resolution, the discriminator is residual
(section 4.1). The mapping network and `stylegan.Generator` are StyleGAN's.
"""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.errors import UserError
from gan_jax.networks.conv import Pair, conv, conv_transpose
from gan_jax.networks.stylegan_layers import (
    EPSILON,
    NORMAL,
    ROOT_2,
    ZEROS,
    EqualConv,
    EqualDense,
    Maps,
    add_bias,
    draw_noise,
    equal_kernel,
    layers,
    leaky_relu,
    minibatch_deviation,
    stages,
)
from gan_jax.networks.stylegan_mapping import Mapping

LARGE = Maps(base=16384)  # of configuration F; StyleGAN's own Maps() are those of A to E


def activate(x: Float[Array, "*d"]) -> Float[Array, "*d"]:
    """Leaky ReLU times sqrt(2), which keeps the variance of layers whose weights have gain 1."""
    return ROOT_2 * leaky_relu(x)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def fir(x: Float[Array, "b h w c"], pad: Pair, gain: float = 1.0) -> Float[Array, "b i j c"]:
    """Filter by [1 3 3 1] / 8 along both axes, times `gain`.

    `pad` says how many zeros, 0 to 3, come (before, after) an axis.
    """
    # Sums of shifted images: XLA's depthwise convolution is many times slower on CPUs. With other
    # padding the filter is its own transpose; JAX's derivative of the shifts is slower.
    x = jnp.pad(x, ((0, 0), pad, pad, (0, 0)))
    x = gain / 64.0 * (x[:, :-3] + 3.0 * (x[:, 1:-2] + x[:, 2:-1]) + x[:, 3:])
    return x[:, :, :-3] + 3.0 * (x[:, :, 1:-2] + x[:, :, 2:-1]) + x[:, :, 3:]


def _fir_vjp(pad: Pair, gain: float, _: None, y: Array) -> tuple[Array]:
    return (fir(y, (3 - pad[0], 3 - pad[1]), gain),)


fir.defvjp(lambda x, pad, gain: (fir(x, pad, gain), None), _fir_vjp)


def upsample(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Double the side: zeros between the pixels, then the filter, with a gain to compensate."""
    zero = jnp.zeros((), x.dtype)
    x = jax.lax.pad(x, zero, ((0, 0, 0), (0, 1, 1), (0, 1, 1), (0, 0, 0)))
    return fir(x, (2, 1), 4.0)


class ModulatedConv(nn.Module):
    """A convolution whose kernel is scaled for every image: equations 1 and 3.

    The style, affine(w) with a bias of initially 1, scales the kernel's input channels, and
    `demodulate` divides the outputs by the scaled kernel's norm. Both are applied to activations,
    before and after one convolution of the whole batch, which is the same function without a
    kernel for every image. `up` doubles the side: a transposed convolution, then the filter.
    """

    features: int
    size: int = 3
    up: bool = False
    demodulate: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], w: Float[Array, "b n"]
    ) -> Float[Array, "b i j f"]:
        kernel = equal_kernel(self, (self.size, self.size, x.shape[-1], self.features))
        style = EqualDense(x.shape[-1], 1.0, use_bias=False, name="affine")(w)
        bias = self.param("style_bias", nn.initializers.ones, style.shape[-1:], jnp.float32)
        style = style + bias[None]
        x = (x.astype(jnp.float32) * style[:, None, None]).astype(self.dtype)
        if self.up:
            x = conv_transpose(x, kernel.astype(self.dtype), stride=2)
            x = fir(x, (1, 1), 4.0)
        else:
            x = conv(x, kernel.astype(self.dtype))
        if self.demodulate:
            squares = jnp.square(style) @ jnp.sum(jnp.square(kernel), axis=(0, 1))
            x = x * jax.lax.rsqrt(squares + EPSILON)[:, None, None].astype(x.dtype)
        return x


class Layer(nn.Module):
    """Modulated convolution, noise times a learned number (initially 0), bias, leaky ReLU."""

    features: int
    up: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], w: Float[Array, "b n"], train: bool
    ) -> Float[Array, "b i j f"]:
        x = ModulatedConv(self.features, up=self.up, dtype=self.dtype, name="conv")(x, w)
        strength = self.param("strength", ZEROS, (), jnp.float32)
        x = x + (strength * draw_noise(self, x, train)).astype(x.dtype)
        return activate(add_bias(self, x))


class Synthesis(nn.Module):
    """Styles [b layers w] to images [b resolution resolution channels].

    Every resolution's image is added to the upsampled sum of the smaller ones (figure 7b). One
    layer at 4 px and two at every other resolution take a style each; a resolution's image takes
    the style of the layer that follows it.
    """

    resolution: int = 1024
    channels: int = 3
    maps: Maps = LARGE
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, ws: Float[Array, "b l n"], train: bool = True) -> Float[Array, "b h w c"]:
        last = stages(self.resolution)
        if ws.shape[1] < layers(last):
            raise UserError(f"{ws.shape[1]} styles, but {self.resolution} px take {layers(last)}")
        const = self.param("const", NORMAL, (1, 4, 4, self.maps.at(0)), jnp.float32)
        x = jnp.broadcast_to(const, (ws.shape[0], *const.shape[1:])).astype(self.dtype)
        image = None
        for stage in range(last + 1):
            for layer in range(max(0, 2 * stage - 1), 2 * stage + 1):
                make = {"up": layer % 2 == 1, "dtype": self.dtype, "name": f"layer{layer}"}
                x = Layer(self.maps.at(stage), **make)(x, ws[:, layer], train)
            new = self._to_rgb(x, ws[:, 2 * stage + 1], stage)
            image = new if image is None else upsample(image) + new
        assert image is not None
        return image

    def _to_rgb(self, x: Array, w: Array, stage: int) -> Array:
        """Compute a resolution's image in float32: modulated, not demodulated."""
        make = {"demodulate": False, "dtype": self.dtype, "name": f"to_rgb{stage}"}
        image = ModulatedConv(self.channels, 1, **make)(x, w).astype(jnp.float32)
        bias = self.param(f"bias_rgb{stage}", ZEROS, (self.channels,), jnp.float32)
        return image + bias[None, None, None]


class Down(nn.Module):
    """The filter, then a convolution of stride 2, which halve the side."""

    features: int
    size: int = 3
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        kernel = equal_kernel(self, (self.size, self.size, x.shape[-1], self.features))
        pad = (self.size + 1) // 2  # centres filter and kernel on the 2x2 pixels of an output
        x = fir(x.astype(self.dtype), (pad, pad))
        x = conv(x, kernel.astype(self.dtype), stride=2, padding=0)
        return add_bias(self, x) if self.use_bias else x


class Discriminator(nn.Module):
    """Images [b resolution resolution channels] to one logit each.

    Both branches of a residual block are divided by sqrt(2), so that their sum keeps the variance
    (section 4.1); without `residual` the blocks are plain. A label [b k] selects one of k outputs;
    with `depth` the logit is the inner product of the last features and an embedding of the label,
    by a mapping network of that many layers (the projection of StyleGAN2-ADA, arXiv:2006.06676).
    `group` and `axis_name` are those of `minibatch_deviation`; `group` 0 leaves it out.
    """

    resolution: int = 1024
    maps: Maps = LARGE
    residual: bool = True
    group: int = 4
    axis_name: str | None = None
    dtype: DTypeLike = jnp.float32
    depth: int = 0

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        label: Float[Array, "b k"] | None = None,
        train: bool = True,
    ) -> Float[Array, " b"]:
        last, side = stages(self.resolution), self.resolution
        if x.shape[1:3] != (side, side):
            raise UserError(f"images of {x.shape[1:3]}, but the network takes {side} px")
        from_rgb = EqualConv(self.maps.at(last), 1, gain=1.0, dtype=self.dtype, name="from_rgb")
        x = activate(from_rgb(x))
        for stage in range(last, 0, -1):
            x = self._block(x, stage)
        x = x.astype(jnp.float32)  # as in the authors' code, whose epilogue is always in float32
        if self.group:
            axis_name = None if self.is_initializing() else self.axis_name
            deviation = minibatch_deviation(x, self.group, axis_name)
            x = jnp.concatenate([x, deviation], axis=-1)
        x = activate(EqualConv(self.maps.at(0), gain=1.0, name="conv0")(x))
        x = activate(EqualDense(self.maps.at(0), 1.0, name="dense")(x.reshape(len(x), -1)))
        return self._logits(x, label)

    def _logits(self, x: Array, label: Array | None) -> Float[Array, " b"]:
        embedding = None if label is None or not label.shape[1] else label.astype(jnp.float32)
        if embedding is not None and self.depth:
            size, no_latent = self.maps.at(0), jnp.zeros((len(x), 0))
            mapping = Mapping(size, self.depth, revised=True, average=False, name="mapping")
            embedding = mapping(no_latent, embedding) / math.sqrt(size)
        outputs = 1 if embedding is None else embedding.shape[1]
        out = EqualDense(outputs, 1.0, name="out")(x)
        return out[:, 0] if embedding is None else jnp.sum(out * embedding, axis=1)

    def _block(self, x: Array, stage: int) -> Array:
        features = self.maps.at(stage - 1)
        conv = EqualConv(self.maps.at(stage), gain=1.0, dtype=self.dtype, name=f"conv{stage}")
        y = activate(Down(features, dtype=self.dtype, name=f"down{stage}")(activate(conv(x))))
        if not self.residual:
            return y
        skip = Down(features, 1, use_bias=False, dtype=self.dtype, name=f"skip{stage}")
        return math.sqrt(0.5) * (y + skip(x))
