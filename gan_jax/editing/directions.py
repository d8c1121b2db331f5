"""Directions in W that change one thing of a picture.

Three ways: in closed form from the weights (SeFa, Shen & Zhou 2021, arXiv:2007.06600), from where w
varies most (GANSpace, Harkonen et al. 2020, arXiv:2004.02546), and from labels (InterFaceGAN, Shen
et al. 2020, arXiv:1907.10786, with the choice of samples of StyleGAN's linear separability).
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from gan_jax.errors import UserError

PENALTY = 1e-2  # on the squared length of a separator's normal, w being in units of its deviation
STEPS = 100
FEWEST = 8  # samples on either side of an attribute: fewer show no direction


class Directions(NamedTuple):
    """Unit vectors [k n] with their weight: SeFa's eigenvalues, or a deviation of w."""

    vectors: Float[np.ndarray, "k n"]
    weights: Float[np.ndarray, " k"]


def sefa(weights: Sequence[Float[np.ndarray, "n _"]]) -> Directions:
    """All directions [n n] of the chosen layers' style weights [n c], strongest first.

    Side by side they are a matrix A [n c]; each column, one channel's row of the affine map, is
    divided by its length; the directions are the eigenvectors of A A^T. No sample is drawn.
    """
    a = np.concatenate([np.asarray(one, np.float64) for one in weights], axis=1)
    a = a / np.maximum(np.linalg.norm(a, axis=0, keepdims=True), 1e-12)
    values, vectors = np.linalg.eigh(a @ a.T)
    return Directions(_signed(vectors.T[::-1]), values[::-1].astype(np.float32))


def principal(ws: Iterable[Float[np.ndarray, "b n"]]) -> tuple[np.ndarray, Directions]:
    """Mean [n] and principal directions [n n] of w with their standard deviations, largest first.

    Of batches, by exact sums in float64: the covariance is small enough to need no incremental
    approximation, as GANSpace's of feature maps did. Raises UserError for fewer than two samples.
    """
    count, origin, total, products = 0, np.zeros(()), np.zeros(()), np.zeros(())
    for batch in ws:
        batch = np.asarray(batch, np.float64)
        origin = batch.mean(axis=0) if not count else origin  # so that the sums do not cancel
        batch = batch - origin
        count, total = count + len(batch), total + batch.sum(axis=0)
        products = products + batch.T @ batch
    if count < 2:
        raise UserError(f"principal components need at least 2 samples of w, not {count}")
    mean = total / count
    covariance = (products - count * np.outer(mean, mean)) / (count - 1)
    values, vectors = np.linalg.eigh(covariance)
    deviations = np.sqrt(np.maximum(values[::-1], 0.0)).astype(np.float32)
    return (origin + mean).astype(np.float32), Directions(_signed(vectors.T[::-1]), deviations)


def _signed(vectors: np.ndarray) -> Float[np.ndarray, "k n"]:
    """Each with its largest entry positive: a sign that does not hang on the library."""
    largest = np.abs(vectors).argmax(axis=1)[:, None]
    return (vectors * np.sign(np.take_along_axis(vectors, largest, axis=1))).astype(np.float32)


def confident_half(margins: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """The half of either side, margin > 0 or not, in which the classifier is surest.

    StyleGAN's linear separability (section 4.2) keeps the surest half of all; of either side, a
    rare attribute keeps both.
    """
    kept = np.zeros(len(margins), bool)
    for side in (margins > 0, margins <= 0):
        rows = np.flatnonzero(side)
        order = np.argsort(-np.abs(margins[rows]), kind="stable")
        kept[rows[order[: -(-len(rows) // 2)]]] = True
    return kept


def separator(
    ws: Float[np.ndarray, "n d"], margins: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " d"]:
    """The unit normal, towards margin > 0, of the plane that separates the surest half of samples.

    By regularised logistic regression, both sides weighing the same. `margins` are a classifier's
    log-odds of the attribute in the pictures of `ws`. Raises UserError when one side has fewer than
    8 samples.
    """
    few = min(int((margins > 0).sum()), int((margins <= 0).sum()))
    if few < FEWEST:
        raise UserError(f"{few} of {len(ws)} samples on one side of the attribute: too few")
    kept = confident_half(margins)
    x, positive = np.asarray(ws, np.float64)[kept], margins[kept] > 0
    x = (x - x.mean(axis=0)) / (x.std() + 1e-12)  # one scale for all: a normal stays a normal
    weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    sign = np.where(positive, 1.0, -1.0)
    normal = np.asarray(_fit(*(jnp.asarray(part, jnp.float32) for part in (x, sign, weight))))
    return (normal / np.linalg.norm(normal)).astype(np.float32)


@partial(jax.jit, static_argnames="steps")
def _fit(x: Array, sign: Array, weight: Array, steps: int = STEPS) -> Float[Array, " d"]:
    """The normal after `steps` steps of L-BFGS on the weighted logistic loss."""
    tx = optax.lbfgs()

    def loss(plane: dict[str, Array]) -> Array:
        margin = sign * (x @ plane["normal"] + plane["bias"])
        penalty = PENALTY * jnp.sum(jnp.square(plane["normal"]))
        return jnp.sum(weight * jax.nn.softplus(-margin)) + penalty

    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        plane, opt = carry
        value, grad = value_and_grad(plane, state=opt)
        updates, opt = tx.update(grad, opt, plane, value=value, grad=grad, value_fn=loss)
        return (optax.apply_updates(plane, updates), opt), None

    plane = {"normal": jnp.zeros(x.shape[1]), "bias": jnp.zeros(())}
    (plane, _), _ = jax.lax.scan(step, (plane, tx.init(plane)), None, length=steps)
    return plane["normal"]


def apart(
    vector: Float[np.ndarray, " n"], others: Float[np.ndarray, "k n"]
) -> Float[np.ndarray, " n"]:
    """The unit vector nearest to `vector` that is orthogonal to `others`: an edit that holds them.

    Conditional manipulation (InterFaceGAN, section 3.3). Raises UserError when nothing is left.
    """
    _, lengths, axes = np.linalg.svd(others, full_matrices=False)
    kept = axes[lengths > 1e-6 * max(1.0, float(lengths.max(initial=0.0)))]
    rest = vector - kept.T @ (kept @ vector)
    length = np.linalg.norm(rest)
    if length < 1e-6 * np.linalg.norm(vector):
        raise UserError("the direction lies within those to be held")
    return (rest / length).astype(np.float32)


def in_deviations(
    vectors: Float[np.ndarray, "k n"], ws: Float[np.ndarray, "m n"]
) -> Float[np.ndarray, "k n"]:
    """The vectors, each as long as the standard deviation of w along it: strengths mean the same.

    GANSpace walks its components from -2 to 2 of them.
    """
    return vectors * (ws @ vectors.T).std(axis=0)[:, None]
