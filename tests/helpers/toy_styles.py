"""A space of styles whose generator has known axes, for the tests of what controls pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.editing.style_space import LatentSpace
from gan_jax.latents import normal, slerp
from gan_jax.sampling.recipes import StyleGenerator

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
    styles = StyleGenerator(lambda z, label: z, synthesise, jnp.zeros(W), LAYERS, normal(W), slerp)
    quiet = styles._replace(synthesise=lambda ws, key: synthesise(ws, None))
    draw = np.random.RandomState(0)
    w = draw.normal(size=(3000, W)).astype(np.float32)
    affines = tuple(draw.normal(size=(W, 5)).astype(np.float32) for _ in range(LAYERS))

    def sample(key, index):
        return np.asarray(styles.prior(key, jnp.asarray(index)))

    return LatentSpace(styles, lambda: affines, sample, lambda: w, lambda layers: quiet)


def bright(pictures):
    """Log-odds that the left half is bright, of bytes or of floats in [-1, 1]."""
    return 10.0 * signed(pictures)[:, :, : SIDE // 2].mean(axis=(1, 2, 3))


def barred(pictures):
    """Log-odds that the first two rows of the right half are brighter than the next."""
    right = signed(pictures)[:, :, SIDE // 2 :]
    return 10.0 * (right[:, 0] - right[:, 2]).mean(axis=(1, 2))


def signed(pictures):
    return pictures / 127.5 - 1.0 if pictures.dtype == np.uint8 else pictures


JUDGES = {"bright": bright, "barred": barred}
