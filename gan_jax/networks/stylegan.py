"""StyleGAN (Karras et al. 2019, arXiv:1812.04948): a style-based generator and its discriminator.

Discriminator, growing and resampling are those of Progressive GAN (Karras et al. 2018,
arXiv:1710.10196), whose generator is rows A and B of the paper's Table 1. Stage s works on images
of 4 * 2^s pixels a side. The parameters of every stage exist from the start; the field `stage`
selects those in use (one compilation each), the input `alpha` how far the newest is faded in.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from gan_jax.errors import UserError
from gan_jax.networks.stylegan_layers import (
    ROOT_2,
    ZEROS,
    EqualConv,
    EqualDense,
    Maps,
    add_bias,
    blur,
    double,
    draw_noise,
    fade,
    halve,
    instance_norm,
    last_stage,
    layers,
    leaky_relu,
    minibatch_deviation,
    pixel_norm,
    stages,
)
from gan_jax.networks.stylegan_mapping import MOVING, Mapping, mix_styles, truncate


class Style(nn.Module):
    """Instance norm, then the style (AdaIN, equation 1): y_s * x + y_b, y_s = 1 + affine(w)."""

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], w: Float[Array, "b n"]
    ) -> Float[Array, "b h w c"]:
        affine = EqualDense(2 * x.shape[-1], gain=1.0, dtype=self.dtype, name="affine")
        style = affine(w).reshape(x.shape[0], 1, 1, 2, x.shape[-1])
        return instance_norm(x) * (style[..., 0, :] + 1.0) + style[..., 1, :]


class Noise(nn.Module):
    """Add `draw_noise` times a learned factor per channel, initially 0."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = True) -> Float[Array, "b h w c"]:
        scale = self.param("scale", ZEROS, x.shape[-1:], jnp.float32)
        return x + (draw_noise(self, x, train) * scale[None, None, None]).astype(x.dtype)


class Finish(nn.Module):
    """The layers after a convolution: noise, bias, leaky ReLU, then norm and style.

    Without `styles` the norm is the pixel norm of Progressive GAN.
    """

    styles: bool = True
    noise: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], w: Float[Array, "b n"], train: bool
    ) -> Float[Array, "b h w c"]:
        x = Noise(name="noise")(x, train) if self.noise else x
        x = leaky_relu(add_bias(self, x))
        return Style(self.dtype, name="style")(x, w) if self.styles else pixel_norm(x)


class Synthesis(nn.Module):
    """Styles [b layers w] to images [b side side channels], of `stage` or the whole resolution.

    `alpha` fades from the doubled image of the stage before (0) to this one's (1). The rows of
    Table 1, each with all changes of the rows before it:

    A  Mapping(depth=0), styles, noise, blur and const_input False
    B  blur: the binomial filter after doubling pixels, and in the discriminator before halving
    C  Mapping() and styles
    D  const_input: a learned map instead of a dense layer of the first style
    E  noise
    F  the network of E; the game mixes styles
    """

    resolution: int = 1024
    channels: int = 3
    maps: Maps = Maps()
    styles: bool = True
    const_input: bool = True
    noise: bool = True
    blur: bool = True
    stage: int | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        ws: Float[Array, "b l n"],
        alpha: Float[Array, ""] | None = None,
        train: bool = True,
    ) -> Float[Array, "b h w c"]:
        initializing = self.is_initializing()
        last = last_stage(self.resolution, self.stage, initializing)
        if ws.shape[1] < layers(last):
            raise UserError(f"{ws.shape[1]} styles, but stage {last} takes {layers(last)}")
        x, image = self._input(ws[:, 0]), None
        for stage in range(last + 1):
            x = self._block(x, ws, stage, train)
            before = alpha is not None and stage == last - 1
            if stage == last or before or initializing:
                new = EqualConv(self.channels, 1, 1.0, dtype=self.dtype, name=f"to_rgb{stage}")(x)
                weight = 1.0 if alpha is None else alpha
                image = new if image is None else fade(double(image), new, weight)
        assert image is not None
        return image.astype(jnp.float32)

    def _input(self, w: Float[Array, "b n"]) -> Float[Array, "b 4 4 c"]:
        """Return the learned constant, initially 1, or 4x4 maps by a dense layer of the style."""
        features = self.maps.at(0)
        if self.const_input:
            const = self.param("const", nn.initializers.ones, (1, 4, 4, features), jnp.float32)
            return jnp.broadcast_to(const, (w.shape[0], 4, 4, features)).astype(self.dtype)
        # He's constant is that of a 4x4 convolution of one padded pixel (Progressive GAN, Table 2)
        make = {"gain": ROOT_2 / 4.0, "use_bias": False, "dtype": self.dtype, "name": "project"}
        return EqualDense(16 * features, **make)(w).reshape(-1, 4, 4, features)

    def _block(self, x: Array, ws: Array, stage: int, train: bool) -> Array:
        """Apply the two layers of a resolution; the first doubles the pixels (not at 4 px)."""
        make = {"use_bias": False, "dtype": self.dtype}
        features = self.maps.at(stage)
        for layer in (2 * stage, 2 * stage + 1):
            if layer:
                up = layer % 2 == 0
                x = EqualConv(features, up=up, name=f"conv{layer}", **make)(x)
                x = blur(x) if up and self.blur else x
            finish = Finish(self.styles, self.noise, self.dtype, name=f"finish{layer}")
            x = finish(x, ws[:, layer], train)
        return x


class Generator(nn.Module):
    """A mapping and a synthesis network: latents to images.

    Where `train` is false, `psi` below 1 truncates w towards its running mean in the layers below
    `cutoff` (the authors show images at 0.7 and 8, and compute FID without truncation).
    """

    mapping: Mapping
    synthesis: Any  # a module of (ws, [alpha,] train) with a field `resolution`
    psi: float = 1.0
    cutoff: int | None = None

    def __call__(
        self,
        z: Float[Array, "b z"],
        label: Float[Array, "b k"] | None = None,
        alpha: Float[Array, ""] | None = None,
        other: Float[Array, "b z"] | None = None,
        crossover: Int[Array, "*#b"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b h w c"]:
        """Generate images, with the styles of the latents `other` from layer `crossover` on."""
        return self.synthesise(self.styles(z, label, other, crossover, train), alpha, train)

    def styles(
        self,
        z: Float[Array, "b z"],
        label: Float[Array, "b k"] | None = None,
        other: Float[Array, "b z"] | None = None,
        crossover: Int[Array, "*#b"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b l n"]:
        """Map latents to styles, those of the latents `other` from layer `crossover` on."""
        if (other is None) != (crossover is None):
            raise UserError("mixing styles takes both other latents and a crossover layer")
        ws = self.map(z, label, train)
        if other is None or crossover is None:
            return ws
        return mix_styles(ws, self._map(other, label, train, update=False), crossover)

    def map(
        self,
        z: Float[Array, "b z"],
        label: Float[Array, "b k"] | None = None,
        train: bool = False,
    ) -> Float[Array, "b l n"]:
        """Map latents to one style per layer; truncated unless `train`."""
        return self._map(z, label, train, update=train)

    def synthesise(
        self,
        ws: Float[Array, "b l n"],
        alpha: Float[Array, ""] | None = None,
        train: bool = False,
    ) -> Float[Array, "b h w c"]:
        """Generate the images of styles."""
        fading = () if alpha is None else (alpha,)
        return self.synthesis(ws, *fading, train=train)

    def _map(self, z: Array, label: Array | None, train: bool, update: bool) -> Array:
        w = self.mapping(z, label, update)
        count = layers(stages(self.synthesis.resolution))
        ws = jnp.broadcast_to(w[:, None], (w.shape[0], count, w.shape[1]))
        if train or self.psi == 1.0:
            return ws
        return truncate(ws, self.mapping.get_variable(MOVING, "w_avg"), self.psi, self.cutoff)


class Discriminator(nn.Module):
    """Images [b side side channels] of `stage`, or of the whole resolution, to one logit each.

    `alpha` fades from the stage before, which reads the halved image (0), to this one (1). A label
    [b k] selects one of k outputs. `group` and `axis_name` are those of `minibatch_deviation`;
    `group` 0 leaves it out. `blur` False is row A of Table 1.
    """

    resolution: int = 1024
    maps: Maps = Maps()
    blur: bool = True
    group: int = 4
    axis_name: str | None = None
    stage: int | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        label: Float[Array, "b k"] | None = None,
        alpha: Float[Array, ""] | None = None,
        train: bool = True,
    ) -> Float[Array, " b"]:
        initializing = self.is_initializing()
        last = last_stage(self.resolution, self.stage, initializing)
        if initializing:  # the parameters of every stage, whatever the size of the images
            x = jnp.zeros((len(x), self.resolution, self.resolution, x.shape[-1]))
        if x.shape[1:3] != (4 << last, 4 << last):
            raise UserError(f"images of {x.shape[1:3]}, but stage {last} takes {4 << last} px")
        y = self._from_rgb(x, last)
        for stage in range(last, 0, -1):
            y = self._block(y, stage)
            if initializing or (alpha is not None and stage == last):
                x = halve(x)
                y = fade(self._from_rgb(x, stage - 1), y, 1.0 if alpha is None else alpha)
        return self._logits(y, label)

    def _from_rgb(self, x: Array, stage: int) -> Array:
        make = {"dtype": self.dtype, "name": f"from_rgb{stage}"}
        return leaky_relu(EqualConv(self.maps.at(stage), 1, **make)(x))

    def _block(self, x: Array, stage: int) -> Array:
        """Apply two convolutions, the second to half the side and the next stage's channels."""
        dtype = self.dtype
        x = leaky_relu(EqualConv(self.maps.at(stage), dtype=dtype, name=f"conv{stage}")(x))
        x = blur(x) if self.blur else x
        down = EqualConv(self.maps.at(stage - 1), down=True, dtype=dtype, name=f"down{stage}")
        return leaky_relu(down(x))

    def _logits(self, x: Array, label: Array | None) -> Float[Array, " b"]:
        """Compute the logits in float32, as the authors' code from the minibatch deviation on."""
        x = x.astype(jnp.float32)
        if self.group:
            axis_name = None if self.is_initializing() else self.axis_name
            deviation = minibatch_deviation(x, self.group, axis_name)
            x = jnp.concatenate([x, deviation], axis=-1)
        features = self.maps.at(0)
        x = leaky_relu(EqualConv(features, name="conv0")(x))
        x = leaky_relu(EqualDense(features, name="dense")(x.reshape(len(x), -1)))
        count = 0 if label is None else label.shape[1]
        out = EqualDense(max(1, count), gain=1.0, name="out")(x)
        return out[:, 0] if label is None or not count else jnp.sum(out * label, axis=1)
