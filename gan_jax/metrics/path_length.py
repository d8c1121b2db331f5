"""Perceptual path length: how far images move for a small step of their latents.

Karras, Laine & Aila 2019, arXiv:1812.04948, section 4.1: |distance(G(t), G(t + eps))| / eps^2 on a
path between two random latents, in Z (great circles) or W (straight lines), at a random t ("full")
or at the path's beginning ("end").
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
    """Where paths run. `space` is "z" or "w".

    `latents(key, index)` gives an end for each index [b], a point of that space; `between(a, b, t)`
    walks from a to b; `synthesise(key, latents)` makes images [b h w c] in [-1, 1], with the same
    noise for the same key; the caller compiles it.
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
    """The path length of `count` pairs, under its name: 'ppl_wend50k[lpips-vgg16]'.

    Both images of a pair share their noise. `crop` keeps the middle of a face, as for FFHQ in
    StyleGAN; images above 256 pixels are averaged down to 256. Lengths outside the 1st to 99th
    percentile are dropped. Raises UserError for fewer than two pairs.
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
    """Rows 3/8 to 7/8 and columns 2/8 to 6/8: where an aligned FFHQ face is (StyleGAN's code)."""
    h, w = images.shape[1] // 8, images.shape[2] // 8
    return images[:, 3 * h : 7 * h, 2 * w : 6 * w]


def shrink(images: Float[Array, "b h w c"], most: int = 256) -> Float[Array, "b i j c"]:
    """Images above `most` rows averaged over whole blocks of pixels, others unchanged."""
    b, h, w, c = images.shape
    factor = h // most
    if factor < 2:
        return images
    return images.reshape(b, h // factor, factor, w // factor, factor, c).mean(axis=(2, 4))
