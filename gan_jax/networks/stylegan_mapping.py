"""The mapping network of StyleGAN and StyleGAN2, style mixing and the truncation trick.

Karras et al. 2019, arXiv:1812.04948; Karras et al. 2020, arXiv:1912.04958.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.networks.stylegan_layers import (
    NORMAL,
    ROOT_2,
    EqualDense,
    fade,
    leaky_relu,
    pixel_norm,
)

W_DECAY = 0.995  # of the running mean of w, per training pass
MOVING = "moving"  # the collection of the running mean of w


def mix_styles(
    ws: Float[Array, "b l n"], other: Float[Array, "b l n"], crossover: Int[Array, "*#b"]
) -> Float[Array, "b l n"]:
    """Take `ws` in the layers below `crossover`, `other` from there on (StyleGAN, section 3.1).

    With probability 0.9 the authors draw one crossover per minibatch, uniform from 1 to the last
    layer in use; otherwise it lies beyond all layers.
    """
    layer = jnp.arange(ws.shape[1])[None, :, None]
    return jnp.where(layer < crossover.reshape(-1, 1, 1), ws, other)


def truncate(
    ws: Float[Array, "b l n"],
    mean: Float[Array, " n"],
    psi: Float[Array, ""] | float,
    cutoff: int | None = None,
) -> Float[Array, "b l n"]:
    """Compute `mean + psi * (w - mean)` in the layers below `cutoff`, all if None (appendix B)."""
    cutoff = ws.shape[1] if cutoff is None else cutoff
    layer = jnp.arange(ws.shape[1])[None, :, None]
    return jnp.where(layer < cutoff, fade(jnp.broadcast_to(mean, ws.shape), ws, psi), ws)


class Mapping(nn.Module):
    """Latent [b z] to w [b w]: pixel norm, then `depth` dense layers with leaky ReLU.

    A label [b k] (one-hot, or none at k = 0) times a learned matrix joins the latent before the
    norm. `depth` 0 returns the normalised latent: rows A and B of Table 1. A training pass moves
    the running mean `w_avg`, which `Generator` truncates towards, by the mean over its batch;
    without `average` there is none. `revised` is StyleGAN2's code: the gain of sqrt(2) follows the
    activation, so that it multiplies the biases too, and the label is embedded in `size` numbers,
    normalised apart from the latent. All is computed in float32, as in the authors' code.
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
            x = jnp.concatenate(self._with_label(x, label.astype(jnp.float32)), axis=1)
        x = x if self.revised else pixel_norm(x)
        before, after = (1.0, ROOT_2) if self.revised else (ROOT_2, 1.0)
        for layer in range(self.depth):
            dense = EqualDense(self.size, before, self.rate, name=f"dense{layer}")
            x = after * leaky_relu(dense(x))
        if self.average:
            self._update_average(jnp.mean(x, axis=0), train)
        return x

    def _with_label(self, x: Array, label: Float[Array, "b k"]) -> tuple[Array, Array]:
        if self.revised:
            return x, pixel_norm(EqualDense(self.size, gain=1.0, name="label")(label))
        matrix = self.param("label", NORMAL, (label.shape[1], x.shape[1]), jnp.float32)
        return x, label @ matrix

    def _update_average(self, mean: Float[Array, " n"], train: bool) -> None:
        w_avg = self.variable(MOVING, "w_avg", jnp.zeros, mean.shape)
        if train and self.is_mutable_collection(MOVING) and not self.is_initializing():
            w_avg.value = mean + W_DECAY * (w_avg.value - mean)
