"""Fidelity and diversity from nearest neighbours: precision and recall, density and coverage.

Kynkäänniemi et al. 2019 (arXiv:1904.06991) and Naeem et al. 2020 (arXiv:2002.09797). The manifold
of a set is the union of balls around its samples; the radius of a ball is the distance to the k-th
nearest other sample.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gan_jax.errors import UserError

Progress = Callable[[int, int], None]  # (rows done, all rows)
_ENTRIES = 2**24  # of a block of float64 distances, 128 MB


class PrecisionRecall(NamedTuple):
    """Shares in [0, 1]: fakes inside the real manifold, reals inside the fake manifold."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Mean number of real balls around a fake divided by k; share of real balls with a fake."""

    density: float
    coverage: float


def precision_recall(
    real: Float[np.ndarray, "n d"],
    fake: Float[np.ndarray, "m _"],
    *,
    k: int = 3,
    progress: Progress | None = None,
) -> PrecisionRecall:
    """Compute precision and recall with closed balls (Kynkäänniemi et al., equations 1 and 2).

    Args:
        real: features of real images.
        fake: features of generated images.
        k: neighbour that defines the radii; 3 in the paper.
        progress: called with (rows done, all rows).

    Raises:
        UserError: sets of different dimension or with at most k samples.
    """
    _check(real, fake, k)
    step = _stepper(progress, 2 * len(real) + 2 * len(fake))
    of_real, of_fake = _radii(real, k, step), _radii(fake, k, step)
    inside_real = np.concatenate([_inside(b, real, of_real) for b in _blocks(fake, real, step)])
    inside_fake = np.concatenate([_inside(b, fake, of_fake) for b in _blocks(real, fake, step)])
    return PrecisionRecall(float(inside_real.mean()), float(inside_fake.mean()))


def density_coverage(
    real: Float[np.ndarray, "n d"],
    fake: Float[np.ndarray, "m _"],
    *,
    k: int = 5,
    progress: Progress | None = None,
) -> DensityCoverage:
    """Compute density and coverage with open balls (Naeem et al., section 3, and their code).

    Args:
        real: features of real images.
        fake: features of generated images.
        k: neighbour that defines the radii; 5 in the paper.
        progress: called with (rows done, all rows).

    Raises:
        UserError: sets of different dimension or with at most k samples.
    """
    _check(real, fake, k)
    step = _stepper(progress, 2 * len(real))
    radii = _radii(real, k, step)
    density, covered, start = 0, 0, 0
    for block in _blocks(real, fake, step):
        reach = radii[start : start + len(block)]
        inside = _count(block, fake, reach)
        density, covered = density + int(inside.sum()), covered + int((inside > 0).sum())
        start += len(block)
    return DensityCoverage(density / (k * len(fake)), covered / len(real))


def _check(real: np.ndarray, fake: np.ndarray, k: int) -> None:
    if real.shape[1] != fake.shape[1]:
        raise UserError(
            f"features of {real.shape[1]} and {fake.shape[1]} dimensions cannot be compared"
        )
    if min(len(real), len(fake)) <= k:
        raise UserError(
            f"k = {k} nearest neighbours need more than {k} samples of each set, "
            f"not {len(real)} and {len(fake)}"
        )


def _stepper(progress: Progress | None, total: int) -> Progress:
    """Return a callback that reports the total over several passes to `progress`."""
    done = 0

    def step(rows: int, _: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, total)

    return step


def _blocks(rows: np.ndarray, others: np.ndarray, step: Progress) -> Iterator[np.ndarray]:
    size = max(1, min(len(rows), _ENTRIES // len(others)))
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        yield block
        step(len(block), len(rows))


def _radii(samples: np.ndarray, k: int, step: Progress) -> np.ndarray:
    """Return the squared distance of each sample to its k-th nearest other sample."""
    return np.concatenate([_kth(block, samples, k) for block in _blocks(samples, samples, step)])


def _kth(block: np.ndarray, samples: np.ndarray, k: int) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_kth_smallest(block, samples, k + 1))  # the nearest sample is itself


def _inside(block: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_in_any_ball(block, centres, radii))


def _count(block: np.ndarray, points: np.ndarray, radii: np.ndarray) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(_in_own_ball(block, points, radii))


def _squared(a: Float[Array, "a d"], b: Float[Array, "b d"]) -> Float[Array, "a b"]:
    """Compute squared distances in float64 and round them to float32.

    In float32 the difference of large squares would lose small distances. Distances between copies
    of an image are exactly 0, so that they tie.
    """
    a, b = a.astype(jnp.float64), b.astype(jnp.float64)
    squares = jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None, :]
    distance = squares - 2.0 * (a @ b.T)
    return jnp.where(distance > 1e-12 * squares, distance, 0.0).astype(jnp.float32)


@jax.jit(static_argnums=2)
def _kth_smallest(a: Array, b: Array, k: int) -> Array:
    return -jax.lax.top_k(-_squared(a, b), k)[0][:, -1]


@jax.jit
def _in_any_ball(a: Array, centres: Array, radii: Array) -> Array:
    return jnp.any(_squared(a, centres) <= radii[None, :], axis=1)


@jax.jit
def _in_own_ball(centres: Array, points: Array, radii: Array) -> Array:
    return jnp.sum(_squared(centres, points) < radii[:, None], axis=1)
