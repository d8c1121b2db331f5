"""A space of styles whose generator has known axes, for the tests of what controls pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.latents import normal, slerp
from gan_jax.training.latent_space import LatentSpace
from gan_jax.training.samplers import Styles

W, LAYERS, SIDE = 6, 4, 16
NAMES = ("bright", "barred")


def paint(bright, barred):
    """Pictures in [-1, 1] with a grey left half as bright, and a right half as barred, as said."""
    left = jnp.full((len(bright), SIDE, SIDE // 2, 1), 0.5) * jnp.tanh(bright)[:, None, None, None]
    bars = jnp.where(jnp.arange(SIDE) % 4 < 2, 0.5, -0.5)[None, :, None, None]
    right = jnp.tanh(barred)[:, None, None, None] * jnp.broadcast_to(bars, left.shape)
    return jnp.concatenate([left, right], axis=2)


@jax.jit
def synthesise(ws, key):
    """Bright by the first and third number of a style, barred, rarely, by the second."""
    w = jnp.einsum("bln,l->bn", ws, jnp.array([0.4, 0.3, 0.2, 0.1]))
    pictures = paint(2.0 * w[:, 0] + w[:, 2], 2.0 * w[:, 1] - 2.0)
    return pictures if key is None else pictures + 0.2 * jax.random.normal(key, pictures.shape)


def make_space():
    styles = Styles(lambda z, label: z, synthesise, jnp.zeros(W), LAYERS, normal(W), slerp)
    quiet = styles._replace(synthesise=lambda ws, key: synthesise(ws, None))
    draw = np.random.RandomState(0)
    w = draw.normal(size=(3000, W)).astype(np.float32)
    affines = tuple(draw.normal(size=(W, 5)).astype(np.float32) for _ in range(LAYERS))

    def sample(key, index):
        return np.asarray(styles.prior(key, jnp.asarray(index)))

    return LatentSpace(styles, lambda: affines, sample, lambda: w, lambda layers: quiet)


JUDGES = {
    "bright": lambda pictures: 10.0 * pictures[:, :, : SIDE // 2].mean(axis=(1, 2, 3)),
    "barred": lambda pictures: (
        10.0 * (pictures[:, 0, SIDE // 2 :] - pictures[:, 2, SIDE // 2 :])[..., 0].mean(axis=1)
    ),
}
