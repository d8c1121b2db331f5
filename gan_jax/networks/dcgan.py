"""DCGAN (Radford et al. 2016, arXiv:1511.06434): strided convolutions, batch norm, no hidden dense.

Initialisation of the paper, section 4: weights N(0, 0.02); batch norm's gain N(1, 0.02). No norm on
the generator's output and on the discriminator's input. Widths double where the side halves.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.conv import Conv, ConvTranspose
from gan_jax.networks.layers import Sliced
from gan_jax.networks.products import Dense

DECAY = 0.9  # of the running batch statistics; torch calls it momentum 0.1
WEIGHTS = nn.initializers.normal(0.02)
Norm = Callable[..., nn.Module]
Activation = Callable[[Array], Array]


def leaky_relu(x: Array) -> Array:
    """Leaky ReLU of slope 0.2, the discriminator's (section 4)."""
    return nn.leaky_relu(x, 0.2)


def gain(key: Array, shape: Sequence[int], dtype: DTypeLike = jnp.float32) -> Array:
    """Draw batch norm's initial gain from N(1, 0.02)."""
    return 1.0 + 0.02 * jax.random.normal(key, shape, dtype)


def batch_norm(axis_name: str | None = None) -> Norm:
    """Make batch norm as in the paper's code, over the global batch of the axis `axis_name`.

    The variance is the mean square of x - mean(x). Flax's default, E[x^2] - E[x]^2, saves a pass
    over the data but loses precision where the mean is large: its error is a tenth of the variance
    at mean 100 and deviation 0.1.
    """
    return functools.partial(
        nn.BatchNorm,
        momentum=DECAY,
        epsilon=1e-5,
        scale_init=gain,
        axis_name=axis_name,
        use_fast_variance=False,
    )


def smallest(resolution: int) -> int:
    """Return the side of the smallest feature map: 7 for 28 px and its doubles, else 4.

    Raises:
        ValueError: The resolution is neither 4 nor 7 times a power of two (at least 8).
    """
    for base in (4, 7):
        ratio = resolution // base
        if resolution % base == 0 and ratio > 1 and ratio & (ratio - 1) == 0:
            return base
    raise ValueError(
        f"resolution {resolution} is not 4 or 7 times a power of two, such as 28, 32, 64 or 128"
    )


def stages(resolution: int) -> int:
    """Count the halvings between the image and the smallest map: 4 at 64 px."""
    return (resolution // smallest(resolution)).bit_length() - 1


class Generator(nn.Module):
    """Latent [b z] to images [b resolution resolution channels] in [-1, 1].

    The latent is projected to a 4x4 (7x7) map of `width * 2^(stages - 1)` channels; transposed
    convolutions of stride 2 double the side and halve the channels. `norm=None` removes every
    norm and gives the layers biases. A condition [b k] joins the latent, or sets gain and bias of
    every norm (`conditional_norm`, de Vries et al. 2017, arXiv:1707.00683). Each of the last fields
    undoes one of the paper's guidelines: `pooled` repeats pixels instead of striding, `hidden` adds
    a dense layer, `norm_ends` also normalises the output.
    """

    resolution: int = 64
    channels: int = 3
    width: int = 64
    kernel: int = 4
    norm: Norm | None = batch_norm()
    activation: Activation = nn.relu
    kernel_init: Callable[..., Array] = WEIGHTS
    dtype: DTypeLike = jnp.float32
    conditional_norm: bool = False
    pooled: bool = False
    hidden: int = 0
    norm_ends: bool = False

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        condition: Float[Array, "b k"] | None = None,
        train: bool = True,
    ) -> Float[Array, "b h w c"]:
        base, count = smallest(self.resolution), stages(self.resolution)
        make = {"use_bias": self.norm is None, "kernel_init": self.kernel_init, "dtype": self.dtype}

        def norm(x: Array, name: str) -> Array:
            if self.norm is None:
                return x
            make = {"use_running_average": not train, "dtype": self.dtype, "name": name}
            if condition is None or not self.conditional_norm:
                return self.norm(**make)(x)
            x = self.norm(use_scale=False, use_bias=False, **make)(x)
            gain, bias = (self._affine(condition, x, f"{name}_{part}") for part in ("gain", "bias"))
            return (1.0 + gain) * x + bias

        x = z.astype(self.dtype)
        if condition is not None and not self.conditional_norm:
            x = jnp.concatenate([x, condition.astype(self.dtype)], axis=-1)
        if self.hidden:
            x = self.activation(norm(Dense(self.hidden, name="hidden", **make)(x), "norm_h"))
        features = self.width * 2 ** (count - 1)
        x = Dense(base * base * features, name="project", **make)(x)
        x = self.activation(norm(x.reshape(-1, base, base, features), "norm0"))
        for stage in range(1, count):
            x = self._up(x, features >> stage, f"up{stage}", make)
            x = self.activation(norm(x, f"norm{stage}"))
        x = self._up(x, self.channels, "out", make)
        x = norm(x, "norm_out") if self.norm_ends else x
        return nn.tanh(x.astype(jnp.float32))

    def _affine(self, condition: Array, x: Array, name: str) -> Array:
        """Map the condition to a number per channel, initially near 0, that broadcasts to `x`."""
        dense = Dense(x.shape[-1], False, kernel_init=WEIGHTS, dtype=self.dtype, name=name)
        return dense(condition).reshape(x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])

    def _up(self, x: Array, features: int, name: str, make: dict[str, Any]) -> Array:
        if self.pooled:
            x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
            return Conv(features, (3, 3), padding=1, name=name, **make)(x)
        k = self.kernel  # 4: padding 1, as in torch's port; 5: padding 2 and one more, as in Theano
        return ConvTranspose(
            features,
            (k, k),
            stride=2,
            padding=(k - 1) // 2,
            output_padding=k % 2,
            name=name,
            **make,
        )(x)


class Discriminator(nn.Module):
    """Images [b resolution resolution channels] in [-1, 1] to one logit each, [b].

    Convolutions of stride 2 from `width` channels at half the side to `width * 2^(stages - 1)` on
    the smallest map, leaky ReLU of slope 0.2, and one linear unit over that map. `conv` and `dense`
    are the classes of the layers, so that spectral normalisation is another pair.

    A condition [b k] becomes constant channels of the image (Mirza & Osindero 2014,
    arXiv:1411.1784), or with `projection` the inner product of its embedding and the last unit's
    input is added to the logit (Miyato & Koyama 2018, arXiv:1802.05637, equation 3; their residual
    network sums its last map, which in these few layers would leave only the texture of small
    patches). With `classes` the output is (logits, class logits [b classes]), and a condition is
    used by the projection alone (AC-GAN, Odena et al. 2017, arXiv:1610.09585).
    The collection `features` receives every convolution's activations when it is mutable.
    With `sliced` the logits are the pair of `layers.Sliced`.
    `outputs` above 1 gives [b outputs]: an encoder. The last fields are as in the generator:
    `pooled` convolves at stride 1 and averages 2x2, `norm_ends` normalises the input.
    """

    resolution: int = 64
    width: int = 64
    kernel: int = 4
    norm: Norm | None = batch_norm()
    activation: Activation = leaky_relu
    kernel_init: Callable[..., Array] = WEIGHTS
    dtype: DTypeLike = jnp.float32
    conv: Callable[..., nn.Module] = Conv
    dense: Callable[..., nn.Module] = Dense
    projection: bool = False
    classes: int = 0
    sliced: bool = False
    outputs: int = 1
    pooled: bool = False
    hidden: int = 0
    norm_ends: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        condition: Float[Array, "b k"] | None = None,
        train: bool = True,
    ) -> Any:
        x = self._features(x, condition, train)
        # Logits in float32 whatever the network's arithmetic, as in the StyleGAN2 authors' code.
        x, exact = x.astype(jnp.float32), {"kernel_init": self.kernel_init, "dtype": jnp.float32}
        make = {"use_bias": self.norm is None, **exact}
        if self.sliced:
            out: Any = Sliced(name="out")(x)
        else:
            out = self.dense(self.outputs, name="out", **make)(x)
            out = out[:, 0] if self.outputs == 1 else out
        if self.projection and condition is not None:
            linear = self.dense(x.shape[-1], name="embed", use_bias=False, **exact)
            out = out + jnp.sum(linear(condition) * x, axis=-1)
        if self.classes:
            return out, self.dense(self.classes, name="classes", **make)(x)
        return out

    def _features(self, x: Array, condition: Array | None, train: bool) -> Float[Array, "b d"]:
        """Compute the last unit's input: the smallest map, or the hidden layer."""
        make = {"use_bias": self.norm is None, "kernel_init": self.kernel_init, "dtype": self.dtype}

        def norm(x: Array, name: str) -> Array:
            if self.norm is None:
                return x
            return self.norm(use_running_average=not train, dtype=self.dtype, name=name)(x)

        x = x.astype(self.dtype)
        x = norm(x, "norm_in") if self.norm_ends else x
        constant = None if self.projection or self.classes else condition
        for stage in range(stages(self.resolution)):
            x = self._down(x, constant, self.width * 2**stage, f"down{stage}", make)
            constant = None
            x = self.activation(norm(x, f"norm{stage}") if stage or self.norm_ends else x)
            if not self.is_initializing():
                self.sow("features", f"map{stage}", x)  # kept only if that collection is mutable
        x = x.reshape(x.shape[0], -1)
        if self.hidden:
            x = self.activation(norm(self.dense(self.hidden, name="hidden", **make)(x), "norm_h"))
        return x

    def _down(
        self, x: Array, constant: Array | None, features: int, name: str, make: dict[str, Any]
    ) -> Array:
        if self.pooled:
            x = self.conv(features, (3, 3), padding=1, name=name, **make)(x, constant)
            return nn.avg_pool(x, (2, 2), strides=(2, 2))
        k = self.kernel
        padding = (k - 1) // 2
        return self.conv(features, (k, k), stride=2, padding=padding, name=name, **make)(
            x, constant
        )
