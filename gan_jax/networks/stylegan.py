"""StyleGAN (Karras et al. 2019, arXiv:1812.04948): a mapping network and a style-based generator.

Its discriminator, growing and resampling are those of Progressive GAN (Karras et al. 2018,
arXiv:1710.10196), whose generator is rows A and B of the paper's Table 1. *Stage* s works on
pictures of 4 * 2^s pixels. The parameters of every stage exist from the start; the field `stage`
says which are used (one compilation each), the input `alpha` how far the newest is faded in.
"""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.errors import UserError
from gan_jax.networks.conv import conv, conv_transpose
from gan_jax.networks.products import dense

ROOT_2 = math.sqrt(2.0)  # He's gain before a rectifier; also of the leaky ones here
EPSILON = 1e-8  # of every norm and of the minibatch deviation
W_DECAY = 0.995  # of the running mean of w, a training pass
NORMAL = nn.initializers.normal(1.0)
ZEROS = nn.initializers.zeros_init()
FIXED = "fixed"  # the collection of the constant noise
MOVING = "moving"  # the collection of the running mean of w


# Sizes


class Maps(NamedTuple):
    """How many feature maps: `min(base / 2^(s + 1), most)` at stage s, times `width`."""

    base: int = 8192
    most: int = 512
    width: float = 1.0

    def at(self, stage: int) -> int:
        """512 up to 32 px (stage 3), then half at every stage: 16 at 1024 px."""
        return max(1, round(self.width * min(self.base >> (stage + 1), self.most)))


def stages(resolution: int) -> int:
    """The last stage of a network: 0 at 4 px, 8 at 1024 px.

    Raises UserError for a resolution that is no power of two, or less than 4.
    """
    if resolution < 4 or resolution & (resolution - 1):
        near = 2 ** max(2, round(math.log2(max(resolution, 1))))
        raise UserError(f"resolution {resolution} is not a power of two from 4 on; {near} is")
    return resolution.bit_length() - 3


def layers(stage: int) -> int:
    """How many styles a generator takes up to a stage: two a resolution, 18 at 1024 px."""
    return 2 * stage + 2


def last_stage(resolution: int, stage: int | None, initializing: bool) -> int:
    """The stage a pass ends at: the final one if `stage` is None, and in initialisation.

    Raises UserError for a stage that the resolution does not have.
    """
    final = stages(resolution)
    if stage is not None and not 0 <= stage <= final:
        raise UserError(f"stage {stage} is none of 0 to {final}; {min(max(stage, 0), final)} is")
    return final if stage is None or initializing else stage


# Pictures: resampling, fading


def leaky_relu(x: Float[Array, "*d"]) -> Float[Array, "*d"]:
    """Of slope 0.2."""
    return nn.leaky_relu(x, 0.2)


def double(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Every pixel becomes 2x2."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def halve(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Every 2x2 pixels become their mean."""
    b, h, w, c = x.shape
    return jnp.mean(x.reshape(b, h // 2, 2, w // 2, 2, c), axis=(2, 4))


@jax.custom_vjp
def blur(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """The binomial filter [1 2 1] / 4 along both sides; zero outside (appendix C).

    Sums of shifted pictures: XLA's depthwise convolution is many times slower on the CPU. It is its
    own transpose, and said to be: the derivative of shifts, sums of padded pictures, is slower.
    """
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = 0.25 * x[:, :-2] + 0.5 * x[:, 1:-1] + 0.25 * x[:, 2:]
    return 0.25 * x[:, :, :-2] + 0.5 * x[:, :, 1:-1] + 0.25 * x[:, :, 2:]


blur.defvjp(lambda x: (blur(x), None), lambda _, y: (blur(y),))


def fade(
    old: Float[Array, "*d"], new: Float[Array, "*d"], alpha: Float[Array, ""] | float
) -> Float[Array, "*d"]:
    """From `old` (alpha 0) to `new` (alpha 1) in a straight line, in the dtype of `old`."""
    return (old + alpha * (new - old)).astype(old.dtype)


def fade_reals(
    x: Float[Array, "b h w c"], stage: int, alpha: Float[Array, ""] | None = None
) -> Float[Array, "b i j c"]:
    """Data as a stage sees it: averaged down to 4 * 2^stage pixels, and half faded from the last.

    At `alpha` 0 the pictures have the detail of the stage before, as the generator's then have.
    Raises UserError for pictures smaller than the stage's.
    """
    final = stages(x.shape[1])
    if stage > final:
        raise UserError(
            f"stage {stage} has {4 << stage} px, the data {x.shape[1]}: at most {final}"
        )
    for _ in range(final - stage):
        x = halve(x)
    return x if alpha is None or stage == 0 else fade(double(halve(x)), x, alpha)


# Norms


def pixel_norm(x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
    """Each pixel's channels over their root mean square (Progressive GAN, section 4.2)."""
    y = x.astype(jnp.float32)
    return (y * jax.lax.rsqrt(jnp.mean(y * y, axis=-1, keepdims=True) + EPSILON)).astype(x.dtype)


def instance_norm(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Each channel of each picture to mean 0 and variance 1, with statistics in float32."""
    y = x.astype(jnp.float32)
    y = y - jnp.mean(y, axis=(1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(y), axis=(1, 2), keepdims=True)
    return (y * jax.lax.rsqrt(variance + EPSILON)).astype(x.dtype)


def minibatch_deviation(
    x: Float[Array, "b h w c"], group: int = 4, axis_name: str | None = None
) -> Float[Array, "b h w 1"]:
    """How much pictures of a group differ, one constant map each (Progressive GAN, section 3).

    The standard deviation over the group, averaged over pixels and channels, in float32. Groups
    are interleaved: of b = group * m pictures, i, i + m, i + 2m ... form one. A smaller batch is
    one group. With `axis_name` the groups are those of the global batch, gathered over the mapped
    axis, and do not depend on the number of devices. Raises UserError for a batch that does not
    divide into groups.
    """
    own, (h, w) = len(x), x.shape[1:3]
    if axis_name is not None:
        x = jax.lax.all_gather(x, axis_name, tiled=True)
    b = len(x)
    size = min(group, b)
    if b % size:
        near = next(n for n in range(size, 0, -1) if b % n == 0)
        raise UserError(
            f"a batch_size of {b} does not divide into groups of {size} "
            f"(discriminator.network.group); {near} would"
        )
    y = x.astype(jnp.float32).reshape(size, b // size, -1)
    y = y - jnp.mean(y, axis=0, keepdims=True)
    y = jnp.mean(jnp.sqrt(jnp.mean(jnp.square(y), axis=0) + EPSILON), axis=-1)
    y = jnp.tile(y, size)
    if axis_name is not None:
        y = jax.lax.dynamic_slice_in_dim(y, own * jax.lax.axis_index(axis_name), own)
    return jnp.broadcast_to(y.reshape(own, 1, 1, 1), (own, h, w, 1)).astype(x.dtype)


# Equalised learning rate (Progressive GAN, section 4.1): the He constant is a factor at runtime


class EqualDense(nn.Module):
    """A dense layer whose weights are N(0, 1 / rate) and are scaled by `gain * rate / sqrt(in)`.

    The bias starts at 0 and is scaled by `rate`: an optimiser that ignores the scale of gradients
    then learns `rate` times as fast. The gain is sqrt(2) before a leaky ReLU, else 1.
    """

    features: int
    gain: float = ROOT_2
    rate: float = 1.0
    use_bias: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b f"]:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0 / self.rate), shape, jnp.float32)
        scale = self.gain * self.rate / math.sqrt(x.shape[-1])
        x = dense(x.astype(self.dtype), (scale * kernel).astype(self.dtype))
        return add_bias(self, x, self.rate) if self.use_bias else x


class EqualConv(nn.Module):
    """A convolution of N(0, 1) weights, scaled by `gain / sqrt(in * size^2)`; zero padding.

    `up` doubles the pixels before it, `down` averages 2x2 after it (3x3 kernels only). Both are
    fused into one strided convolution with the kernel spread over 4x4, which is the same function
    for less than half of the products; the authors' code does so from 128 px on.
    """

    features: int
    size: int = 3
    gain: float = ROOT_2
    up: bool = False
    down: bool = False
    use_bias: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        kernel = equal_kernel(self, (self.size, self.size, x.shape[-1], self.features), self.gain)
        x = x.astype(self.dtype)
        if self.up:  # painting a kernel is correlating with the mirrored one
            spread = spread_kernel(kernel[::-1, ::-1])
            x = conv_transpose(x, spread.astype(self.dtype), stride=2, padding=1)
        elif self.down:
            spread = 0.25 * spread_kernel(kernel)
            x = conv(x, spread.astype(self.dtype), stride=2, padding=1)
        else:
            x = conv(x, kernel.astype(self.dtype))
        return add_bias(self, x) if self.use_bias else x


def equal_kernel(
    module: nn.Module, shape: tuple[int, int, int, int], gain: float = 1.0
) -> Float[Array, "k k c f"]:
    """The module's parameter `kernel`, drawn from N(0, 1), times `gain / sqrt(fan-in)`."""
    kernel = module.param("kernel", NORMAL, shape, jnp.float32)
    return gain / math.sqrt(math.prod(shape[:3])) * kernel


def add_bias(module: nn.Module, x: Float[Array, "*b c"], rate: float = 1.0) -> Float[Array, "*b c"]:
    """Adds the module's parameter `bias` [c], which starts at 0, times `rate`."""
    bias = rate * module.param("bias", ZEROS, x.shape[-1:], jnp.float32)
    return x + bias.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


def spread_kernel(kernel: Float[Array, "k k c f"]) -> Float[Array, "n n c f"]:
    """The kernel convolved with 2x2 ones, n = k + 1."""
    kernel = jnp.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
    kernel = kernel[1:] + kernel[:-1]
    return kernel[:, 1:] + kernel[:, :-1]


# Styles


def mix_styles(
    ws: Float[Array, "b l n"], other: Float[Array, "b l n"], crossover: Int[Array, "*#b"]
) -> Float[Array, "b l n"]:
    """`ws` in the layers below `crossover`, `other` from there on (section 3.1).

    The authors draw one crossover a minibatch, uniform from 1 to the last layer in use, with
    probability 0.9, else one beyond all layers.
    """
    layer = jnp.arange(ws.shape[1])[None, :, None]
    return jnp.where(layer < crossover.reshape(-1, 1, 1), ws, other)


def truncate(
    ws: Float[Array, "b l n"],
    mean: Float[Array, " n"],
    psi: Float[Array, ""] | float,
    cutoff: int | None = None,
) -> Float[Array, "b l n"]:
    """`mean + psi * (w - mean)` in the layers below `cutoff` (appendix B), in all if None."""
    cutoff = ws.shape[1] if cutoff is None else cutoff
    layer = jnp.arange(ws.shape[1])[None, :, None]
    return jnp.where(layer < cutoff, fade(jnp.broadcast_to(mean, ws.shape), ws, psi), ws)


class Mapping(nn.Module):
    """Latent [b z] to w [b w]: pixel norm, then `depth` dense layers with leaky ReLU.

    A label [b k] (one-hot, or none at k = 0) times a learned matrix joins the latent before the
    norm. `depth` 0 gives the normalised latent itself: rows A and B of Table 1. A training pass
    moves the running mean `w_avg` by the mean over its batch, which is not looked at here; without
    `average` there is none. `revised` is StyleGAN2's code: the gain of sqrt(2) follows the
    activation, so that it multiplies the biases too, and a dense layer makes `size` numbers of a
    label, normed apart from the latent. It computes in float32 always, as in the authors' code.
    """

    size: int = 512
    depth: int = 8
    rate: float = 0.01  # appendix C: the learning rate of these layers, relative to the others'
    revised: bool = False
    average: bool = True

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        label: Float[Array, "b k"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b n"]:
        x = pixel_norm(z.astype(jnp.float32)) if self.revised else z.astype(jnp.float32)
        if label is not None and label.shape[1]:
            x = jnp.concatenate(self._beside(x, label.astype(jnp.float32)), axis=1)
        x = x if self.revised else pixel_norm(x)
        before, after = (1.0, ROOT_2) if self.revised else (ROOT_2, 1.0)
        for layer in range(self.depth):
            dense = EqualDense(self.size, before, self.rate, name=f"dense{layer}")
            x = after * leaky_relu(dense(x))
        if self.average:
            self._remember(jnp.mean(x, axis=0), train)
        return x

    def _beside(self, x: Array, label: Float[Array, "b k"]) -> tuple[Array, Array]:
        if self.revised:
            return x, pixel_norm(EqualDense(self.size, gain=1.0, name="label")(label))
        matrix = self.param("label", NORMAL, (label.shape[1], x.shape[1]), jnp.float32)
        return x, label @ matrix

    def _remember(self, mean: Float[Array, " n"], train: bool) -> None:
        w_avg = self.variable(MOVING, "w_avg", jnp.zeros, mean.shape)
        if train and self.is_mutable_collection(MOVING) and not self.is_initializing():
            w_avg.value = mean + W_DECAY * (w_avg.value - mean)


class Style(nn.Module):
    """Instance norm, then the style (AdaIN, equation 1): y_s * x + y_b, y_s = 1 + affine(w)."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], w: Float[Array, "b n"]
    ) -> Float[Array, "b h w c"]:
        affine = EqualDense(2 * x.shape[-1], gain=1.0, dtype=self.dtype, name="affine")
        style = affine(w).reshape(x.shape[0], 1, 1, 2, x.shape[-1])
        return instance_norm(x) * (style[..., 0, :] + 1.0) + style[..., 1, :]


def draw_noise(
    module: nn.Module, x: Float[Array, "b h w c"], train: bool
) -> Float[Array, "#b h w 1"]:
    """One map of N(0, 1) for each picture, from the stream `noise` where one is given.

    Without, the module's constant map in the collection `fixed`; a training pass must have the
    stream (else UserError).
    """
    shape = (1, *x.shape[1:3], 1)
    fixed = module.variable(FIXED, "noise", lambda: NORMAL(module.make_rng("params"), shape))
    if module.has_rng("noise"):
        return jax.random.normal(module.make_rng("noise"), (x.shape[0], *shape[1:]))
    if train and not module.is_initializing():
        raise UserError("a training pass draws noise: give a key, or the stream 'noise'")
    return fixed.value


class Noise(nn.Module):
    """Adds `draw_noise`, times a learned factor a channel, at first 0."""

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = True) -> Float[Array, "b h w c"]:
        scale = self.param("scale", ZEROS, x.shape[-1:], jnp.float32)
        return x + (draw_noise(self, x, train) * scale[None, None, None]).astype(x.dtype)


class Finish(nn.Module):
    """What follows a convolution: noise, bias, leaky ReLU, then norm and style.

    Without `styles`, the pixel norm of Progressive GAN.
    """

    styles: bool = True
    noise: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], w: Float[Array, "b n"], train: bool
    ) -> Float[Array, "b h w c"]:
        x = Noise(name="noise")(x, train) if self.noise else x
        x = leaky_relu(add_bias(self, x))
        return Style(self.dtype, name="style")(x, w) if self.styles else pixel_norm(x)


class Synthesis(nn.Module):
    """Styles [b layers w] to pictures [b side side channels], of `stage` or the whole resolution.

    `alpha` fades from the doubled picture of the stage before (0) to this one's (1). The rows of
    Table 1, each with all that the rows before it have:

    A  Mapping(depth=0), styles, noise, blur and const_input False
    B  blur: the binomial filter after doubling pixels, and in the discriminator before halving
    C  Mapping() and styles
    D  const_input, a learned map: before, the first layer's style vector went through a dense layer
    E  noise
    F  is E; the game mixes styles
    """

    resolution: int = 1024
    channels: int = 3
    maps: Maps = Maps()
    styles: bool = True
    const_input: bool = True
    noise: bool = True
    blur: bool = True
    stage: int | None = None
    dtype: Any = jnp.float32

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
        x, picture = self._input(ws[:, 0]), None
        for stage in range(last + 1):
            x = self._block(x, ws, stage, train)
            before = alpha is not None and stage == last - 1
            if stage == last or before or initializing:
                new = EqualConv(self.channels, 1, 1.0, dtype=self.dtype, name=f"to_rgb{stage}")(x)
                one = 1.0 if alpha is None else alpha
                picture = new if picture is None else fade(double(picture), new, one)
        assert picture is not None
        return picture.astype(jnp.float32)

    def _input(self, w: Float[Array, "b n"]) -> Float[Array, "b 4 4 c"]:
        """The learned constant, ones at first; or a dense layer of the vector, as 4x4 maps."""
        features = self.maps.at(0)
        if self.const_input:
            const = self.param("const", nn.initializers.ones, (1, 4, 4, features), jnp.float32)
            return jnp.broadcast_to(const, (w.shape[0], 4, 4, features)).astype(self.dtype)
        # He's constant is that of a 4x4 convolution of one padded pixel (Progressive GAN, Table 2)
        make = {"gain": ROOT_2 / 4.0, "use_bias": False, "dtype": self.dtype, "name": "project"}
        return EqualDense(16 * features, **make)(w).reshape(-1, 4, 4, features)

    def _block(self, x: Array, ws: Array, stage: int, train: bool) -> Array:
        """Two layers at one resolution; the first doubles the pixels, or finishes the input."""
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
    """A mapping and a synthesis network joined: latents to pictures.

    Where `train` is false, `psi` below 1 truncates w towards its running mean in the layers below
    `cutoff` (the authors show pictures at 0.7 and 8, and measure without truncation).
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
        """Pictures; from layer `crossover` on with the styles of the latents `other`."""
        return self.synthesise(self.styles(z, label, other, crossover, train), alpha, train)

    def styles(
        self,
        z: Float[Array, "b z"],
        label: Float[Array, "b k"] | None = None,
        other: Float[Array, "b z"] | None = None,
        crossover: Int[Array, "*#b"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b l n"]:
        """The latents' styles, and from layer `crossover` on those of the latents `other`."""
        if (other is None) != (crossover is None):
            raise UserError("mixing styles takes both other latents and a crossover layer")
        ws = self.map(z, label, train)
        if other is None or crossover is None:
            return ws
        return mix_styles(ws, self._map(other, label, train, remember=False), crossover)

    def map(
        self,
        z: Float[Array, "b z"],
        label: Float[Array, "b k"] | None = None,
        train: bool = False,
    ) -> Float[Array, "b l n"]:
        """The latents' styles, one for each layer; truncated unless `train`."""
        return self._map(z, label, train, remember=train)

    def synthesise(
        self,
        ws: Float[Array, "b l n"],
        alpha: Float[Array, ""] | None = None,
        train: bool = False,
    ) -> Float[Array, "b h w c"]:
        """The pictures of styles."""
        fading = () if alpha is None else (alpha,)
        return self.synthesis(ws, *fading, train=train)

    def _map(self, z: Array, label: Array | None, train: bool, remember: bool) -> Array:
        w = self.mapping(z, label, remember)
        count = layers(stages(self.synthesis.resolution))
        ws = jnp.broadcast_to(w[:, None], (w.shape[0], count, w.shape[1]))
        if train or self.psi == 1.0:
            return ws
        return truncate(ws, self.mapping.get_variable(MOVING, "w_avg"), self.psi, self.cutoff)


class Discriminator(nn.Module):
    """Pictures [b side side channels] of `stage`, or of the whole resolution, to one logit each.

    `alpha` fades between the stage before, which sees the halved picture (0), and this one (1). A
    label [b k] picks of k outputs its own. `group` 0 leaves the minibatch deviation out; over which
    batch it is taken: see `minibatch_deviation`. `blur` False is row A of Table 1.
    """

    resolution: int = 1024
    maps: Maps = Maps()
    blur: bool = True
    group: int = 4
    axis_name: str | None = None
    stage: int | None = None
    dtype: Any = jnp.float32

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
        if initializing:  # of every stage, whatever the pictures at hand
            x = jnp.zeros((len(x), self.resolution, self.resolution, x.shape[-1]))
        if x.shape[1:3] != (4 << last, 4 << last):
            raise UserError(f"pictures of {x.shape[1:3]}, but stage {last} takes {4 << last} px")
        y = self._look(x, last)
        for stage in range(last, 0, -1):
            y = self._block(y, stage)
            if initializing or (alpha is not None and stage == last):
                x = halve(x)
                y = fade(self._look(x, stage - 1), y, 1.0 if alpha is None else alpha)
        return self._judge(y, label)

    def _look(self, x: Array, stage: int) -> Array:
        make = {"dtype": self.dtype, "name": f"from_rgb{stage}"}
        return leaky_relu(EqualConv(self.maps.at(stage), 1, **make)(x))

    def _block(self, x: Array, stage: int) -> Array:
        """Two convolutions, the second to half the side and the next stage's channels."""
        make = {"dtype": self.dtype}
        x = leaky_relu(EqualConv(self.maps.at(stage), name=f"conv{stage}", **make)(x))
        x = blur(x) if self.blur else x
        down = EqualConv(self.maps.at(stage - 1), down=True, name=f"down{stage}", **make)
        return leaky_relu(down(x))

    def _judge(self, x: Array, label: Array | None) -> Float[Array, " b"]:
        """The logits, in float32 from the minibatch deviation on, as in the authors' code."""
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
