"""Perceptual path length: perceptual distance between images of close latents.

Karras, Laine & Aila 2019, arXiv:1812.04948, section 4.1: distance(G(t), G(t + eps)) / eps^2 on a
path between two random latents, in Z (great circles) or W (straight lines), at a random t ("full")
or at t = 0 ("end").
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from gan_jax.errors import UserError
from gan_jax.metrics.features import Progress
from gan_jax.metrics.names import metric_name
from gan_jax.metrics.perceptual import Distance

EPSILON = 1e-4


class Paths(NamedTuple):
    """Paths in a latent space and their images.

    Attributes:
        space: "z" or "w".
        latents: (key, sample indices [b]) -> end points [b d].
        between: (a, b, t [b 1]) -> points of the paths from a (t = 0) to b (t = 1).
        synthesise: (key, latents) -> images in [-1, 1], with the same noise for the same key; a
            compiled function.
    """

    space: str
    latents: Callable[[Key[Array, ""], Int[Array, " b"]], Float[Array, "b d"]]
    between: Callable[[Array, Array, Array], Float[Array, "b d"]]
    synthesise: Callable[[Key[Array, ""], Float[Array, "b d"]], Float[Array, "b h w c"]]


def path_length(
    paths: Paths,
    distance: Distance,
    key: Key[Array, ""],
    *,
    count: int,
    full: bool = True,
    crop: bool = False,
    epsilon: float = EPSILON,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Compute the path length, the mean over pairs between the 1st and 99th percentile.

    Both images of a pair have the same noise; images above 256 px are averaged down to 256.

    Args:
        paths: in Z or W.
        distance: between images.
        key: of latents, positions and noise.
        count: number of pairs.
        full: random positions on the paths, not their starts.
        crop: crop images to the face, as in StyleGAN for FFHQ.
        epsilon: step along a path.
        progress: called with (pairs done, pairs).

    Returns:
        Metric name, such as 'ppl_wend50k[lpips-vgg16]' -> value.

    Raises:
        UserError: fewer than two pairs.
    """
    if count < 2:
        raise UserError(f"a path length needs at least 2 pairs, not {count}")
    with jax.default_matmul_precision("highest"):  # differences are divided by epsilon squared
        lengths = _lengths(paths, distance, key, count, full, crop, epsilon, progress)
    low = np.percentile(lengths, 1, method="lower")
    high = np.percentile(lengths, 99, method="higher")
    kept = lengths[(low <= lengths) & (lengths <= high)]
    metric = f"ppl_{paths.space}{'full' if full else 'end'}"
    options = (["crop"] if crop else []) + ([f"eps={epsilon:g}"] if epsilon != EPSILON else [])
    label = f"{distance.metric}-{distance.label}"
    return {metric_name(metric, count, None, label, *options): float(kept.mean())}


def _lengths(
    paths: Paths,
    distance: Distance,
    key: Array,
    count: int,
    full: bool,
    crop: bool,
    epsilon: float,
    progress: Progress | None,
) -> Float[np.ndarray, " n"]:
    prepare = jax.jit(lambda images: shrink(crop_face(images) if crop else images))

    @jax.jit
    def ends(index: Array) -> tuple[Array, Array]:
        keys = [jax.random.fold_in(key, part) for part in range(3)]
        a, b = paths.latents(keys[0], index), paths.latents(keys[1], index)
        draw = jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(keys[2], i), (1,)))
        t = draw(index) if full else jnp.zeros((len(index), 1))
        return paths.between(a, b, t), paths.between(a, b, t + epsilon)

    parts, size = [], distance.batch
    for start in range(0, count, size):
        noise = jax.random.fold_in(jax.random.fold_in(key, 3), start)
        pair = [prepare(paths.synthesise(noise, z)) for z in ends(start + jnp.arange(size))]
        length = np.asarray(distance.run(*pair), np.float64) / epsilon**2
        parts.append(length[: count - start])
        if progress is not None:
            progress(min(start + size, count), count)
    return np.concatenate(parts)


def crop_face(images: Float[Array, "b h w c"]) -> Float[Array, "b i j c"]:
    """Crop rows 3/8 to 7/8 and columns 2/8 to 6/8, as StyleGAN's code does for FFHQ."""
    h, w = images.shape[1] // 8, images.shape[2] // 8
    return images[:, 3 * h : 7 * h, 2 * w : 6 * w]


def shrink(images: Float[Array, "b h w c"], max_side: int = 256) -> Float[Array, "b i j c"]:
    """Average blocks of h // max_side pixels; images below 2 * max_side rows are unchanged."""
    b, h, w, c = images.shape
    factor = h // max_side
    if factor < 2:
        return images
    return images.reshape(b, h // factor, factor, w // factor, factor, c).mean(axis=(2, 4))
