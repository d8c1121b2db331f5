"""Layers of the style-based networks and of R3GAN: resampling, norms, equalised learning rate.

Progressive GAN (Karras et al. 2018, arXiv:1710.10196) and StyleGAN (Karras et al. 2019,
arXiv:1812.04948). Stage s of a network works on images of 4 * 2^s pixels a side.
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.errors import UserError
from gan_jax.networks.conv import conv, conv_transpose
from gan_jax.networks.products import dense

ROOT_2 = math.sqrt(2.0)  # He's gain before a rectifier; also of the leaky ones here
EPSILON = 1e-8  # of every norm and of the minibatch deviation
NORMAL = nn.initializers.normal(1.0)
ZEROS = nn.initializers.zeros_init()
FIXED = "fixed"  # the collection of the constant noise


# Sizes


class Maps(NamedTuple):
    """The number of feature maps: `min(base / 2^(s + 1), most)` at stage s, times `width`."""

    base: int = 8192
    most: int = 512
    width: float = 1.0

    def at(self, stage: int) -> int:
        """Count the feature maps: 512 up to 32 px (stage 3), half at every further stage."""
        return max(1, round(self.width * min(self.base >> (stage + 1), self.most)))


def stages(resolution: int) -> int:
    """Return the last stage of a network: 0 at 4 px, 8 at 1024 px.

    Raises:
        UserError: The resolution is no power of two, or less than 4.
    """
    if resolution < 4 or resolution & (resolution - 1):
        near = 2 ** max(2, round(math.log2(max(resolution, 1))))
        raise UserError(f"resolution {resolution} is not a power of two from 4 on; {near} is")
    return resolution.bit_length() - 3


def layers(stage: int) -> int:
    """Count a generator's styles up to a stage: two per resolution, 18 at 1024 px."""
    return 2 * stage + 2


def last_stage(resolution: int, stage: int | None, initializing: bool) -> int:
    """Return the stage a pass ends at: the final one if `stage` is None or at initialisation.

    Raises:
        UserError: The resolution does not have the stage.
    """
    final = stages(resolution)
    if stage is not None and not 0 <= stage <= final:
        raise UserError(f"stage {stage} is none of 0 to {final}; {min(max(stage, 0), final)} is")
    return final if stage is None or initializing else stage


# Resampling, fading


def leaky_relu(x: Float[Array, "*d"]) -> Float[Array, "*d"]:
    """Leaky ReLU of slope 0.2."""
    return nn.leaky_relu(x, 0.2)


def double(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Repeat every pixel 2x2 times."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def halve(x: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Average every 2x2 pixels."""
    b, h, w, c = x.shape
    return jnp.mean(x.reshape(b, h // 2, 2, w // 2, 2, c), axis=(2, 4))


@jax.custom_vjp
def blur(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Filter by the binomial kernel [1 2 1] / 4 along both axes, zero-padded (appendix C)."""
    # Sums of shifted images: XLA's depthwise convolution is many times slower on CPUs. The filter
    # is its own transpose; JAX's derivative of the shifts, sums of padded images, is slower.
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = 0.25 * x[:, :-2] + 0.5 * x[:, 1:-1] + 0.25 * x[:, 2:]
    return 0.25 * x[:, :, :-2] + 0.5 * x[:, :, 1:-1] + 0.25 * x[:, :, 2:]


blur.defvjp(lambda x: (blur(x), None), lambda _, y: (blur(y),))


def fade(
    old: Float[Array, "*d"], new: Float[Array, "*d"], alpha: Float[Array, ""] | float
) -> Float[Array, "*d"]:
    """Interpolate linearly from `old` (alpha 0) to `new` (alpha 1), in the dtype of `old`."""
    return (old + alpha * (new - old)).astype(old.dtype)


def fade_reals(
    x: Float[Array, "b h w c"], stage: int, alpha: Float[Array, ""] | None = None
) -> Float[Array, "b i j c"]:
    """Average data down to the 4 * 2^stage pixels of a stage, faded as the generator's images.

    At `alpha` 0 the images have only the detail of the stage before.

    Raises:
        UserError: The images are smaller than the stage's.
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
    """Divide each pixel's channels by their root mean square (Progressive GAN, section 4.2)."""
    y = x.astype(jnp.float32)
    return (y * jax.lax.rsqrt(jnp.mean(y * y, axis=-1, keepdims=True) + EPSILON)).astype(x.dtype)


def instance_norm(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Normalise each channel of each image to mean 0 and variance 1, computed in float32."""
    y = x.astype(jnp.float32)
    y = y - jnp.mean(y, axis=(1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(y), axis=(1, 2), keepdims=True)
    return (y * jax.lax.rsqrt(variance + EPSILON)).astype(x.dtype)


def minibatch_deviation(
    x: Float[Array, "b h w c"], group: int = 4, axis_name: str | None = None
) -> Float[Array, "b h w 1"]:
    """Compute the deviation within groups of images as a constant map (Progressive GAN, section 3).

    It is the standard deviation over the group, averaged over pixels and channels, in float32.
    Groups are interleaved: of b = group * m images, i, i + m, i + 2m ... form one.

    Args:
        x: Feature maps.
        group: Images of a group; a smaller batch is one group.
        axis_name: Axis of devices over which the batch is gathered, so that the groups do not
            depend on the number of devices; None groups each device's batch.

    Raises:
        UserError: The batch does not divide into groups.
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


# Equalised learning rate (Progressive GAN, section 4.1): He's constant is a factor at runtime


class EqualDense(nn.Module):
    """A dense layer whose weights are N(0, 1 / rate) and are scaled by `gain * rate / sqrt(in)`.

    The bias starts at 0 and is scaled by `rate`: an optimiser that is invariant to the scale of
    gradients then learns `rate` times as fast. The gain is sqrt(2) before a leaky ReLU, else 1.
    """

    features: int
    gain: float = ROOT_2
    rate: float = 1.0
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b f"]:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0 / self.rate), shape, jnp.float32)
        scale = self.gain * self.rate / math.sqrt(x.shape[-1])
        x = dense(x.astype(self.dtype), (scale * kernel).astype(self.dtype))
        return add_bias(self, x, self.rate) if self.use_bias else x


class EqualConv(nn.Module):
    """A convolution of N(0, 1) weights, scaled by `gain / sqrt(in * size^2)`; zero padding.

    `up` doubles the pixels before it, `down` averages 2x2 pixels after it (3x3 kernels only). Each
    is one strided convolution with a 4x4 kernel, the same function with less than half of the
    multiplications; the authors' code does so from 128 px on.
    """

    features: int
    size: int = 3
    gain: float = ROOT_2
    up: bool = False
    down: bool = False
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b i j f"]:
        kernel = equal_kernel(self, (self.size, self.size, x.shape[-1], self.features), self.gain)
        x = x.astype(self.dtype)
        if self.up:  # the transpose correlates with the mirrored kernel
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
    """Return the module's parameter `kernel`, drawn from N(0, 1), times `gain / sqrt(fan-in)`."""
    kernel = module.param("kernel", NORMAL, shape, jnp.float32)
    return gain / math.sqrt(math.prod(shape[:3])) * kernel


def add_bias(module: nn.Module, x: Float[Array, "*b c"], rate: float = 1.0) -> Float[Array, "*b c"]:
    """Add the module's parameter `bias` [c], which starts at 0, times `rate`."""
    bias = rate * module.param("bias", ZEROS, x.shape[-1:], jnp.float32)
    return x + bias.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


def spread_kernel(kernel: Float[Array, "k k c f"]) -> Float[Array, "n n c f"]:
    """Convolve the kernel with 2x2 ones, n = k + 1."""
    kernel = jnp.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
    kernel = kernel[1:] + kernel[:-1]
    return kernel[:, 1:] + kernel[:, :-1]


# Noise


def draw_noise(
    module: nn.Module, x: Float[Array, "b h w c"], train: bool
) -> Float[Array, "#b h w 1"]:
    """Draw a map of N(0, 1) for each image from the stream `noise`.

    Without that stream it is the module's constant map, kept in the collection `fixed`.

    Raises:
        UserError: A training pass has no stream `noise`.
    """
    shape = (1, *x.shape[1:3], 1)
    fixed = module.variable(FIXED, "noise", lambda: NORMAL(module.make_rng("params"), shape))
    if module.has_rng("noise"):
        return jax.random.normal(module.make_rng("noise"), (x.shape[0], *shape[1:]))
    if train and not module.is_initializing():
        raise UserError("a training pass draws noise: give a key, or the stream 'noise'")
    return fixed.value
