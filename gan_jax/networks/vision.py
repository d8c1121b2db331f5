"""Vision-aided GAN's frozen features and the light discriminator on them (Kumari et al. 2022).

The paper is arXiv:2112.09130. Its networks are CLIP, DINO and others; here it is EfficientNet-Lite0
at three depths.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gan_jax.networks.dcgan import leaky_relu
from gan_jax.networks.efficientnet import Taps
from gan_jax.networks.layers import SpectralConv, SpectralDense, pytorch_init
from gan_jax.networks.stylegan_layers import blur

TAPS = ("block4", "block10", "block15")  # of 1/8, 1/16 and 1/32 of the side


class Features(nn.Module):
    """Images [b h w 1|3] in [-1, 1], resized to `resolution`, to the maps of three depths."""

    resolution: int = 224

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> tuple[Array, ...]:
        x = jnp.broadcast_to(x.astype(jnp.float32), (*x.shape[:3], 3))
        if x.shape[1:3] != (self.resolution,) * 2:
            x = jax.image.resize(x, (len(x), *(self.resolution,) * 2, 3), "linear")
        maps = Taps(TAPS, name="network")(x)
        return tuple(maps[name] for name in TAPS)


class Discriminator(nn.Module):
    """Maps, shallow to deep, to the logits [b p] of each level.

    On every map a filter, a 3x3 convolution of stride 2 to `width` channels and leaky ReLU. Of the
    deepest map all places together give `width` numbers and a single logit; of another one, after
    another filter, every second place gives a logit. All convolutions and the layers of logits are
    spectrally normalised, the label's embedding is not.

    With `projection` the last input is a label: the inner product of its embedding with those
    `width` numbers is added to the single logit.

    References:
        Kumari et al. 2022, arXiv:2112.09130, appendix B, and the authors' code: its heads for
        convolutional networks (the deepest map) and for transformers (the others).
    """

    width: int = 256
    projection: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, *inputs: Array, train: bool = True) -> tuple[Float[Array, "b _"], ...]:
        maps, label = (inputs[:-1], inputs[-1]) if self.projection else (inputs, None)
        # Logits in float32 whatever the network's arithmetic, as in the StyleGAN2 authors' code.
        init = pytorch_init()
        dense = partial(SpectralDense, kernel_init=init, dtype=jnp.float32)
        logits = []
        for number, x in enumerate(maps):
            name = f"head{number}"
            x = SpectralConv(
                self.width,
                3,
                stride=2,
                padding=1,
                kernel_init=init,
                dtype=self.dtype,
                name=f"{name}_down",
            )(blur(x.astype(self.dtype)))
            x = leaky_relu(x)
            if number < len(maps) - 1:
                out = dense(1, name=f"{name}_out")(blur(x)[:, ::2, ::2].astype(jnp.float32))
            else:
                hidden = partial(SpectralDense, kernel_init=init, dtype=self.dtype)
                x = hidden(self.width, name=f"{name}_hidden")(x.reshape(len(x), -1))
                x = leaky_relu(x).astype(jnp.float32)
                out = dense(1, name=f"{name}_out")(x)
                if label is not None:
                    embedding = nn.Dense(self.width, use_bias=False, name="embed")(label)
                    out = out + jnp.sum(embedding * x, axis=-1, keepdims=True)
            logits.append(out.reshape(len(out), -1))
        return tuple(logits)
