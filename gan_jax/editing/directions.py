"""Directions in W along which a picture changes in a single respect.

They come from the weights in closed form (SeFa, Shen & Zhou 2021, arXiv:2007.06600), from principal
components of w (GANSpace, Harkonen et al. 2020, arXiv:2004.02546), or from labels (InterFaceGAN,
Shen et al. 2020, arXiv:1907.10786, on the samples that StyleGAN's linear separability keeps).
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
MIN_SAMPLES = 8  # with and without an attribute: fewer determine no direction


class Directions(NamedTuple):
    """Unit vectors with their weights: SeFa's eigenvalues, or standard deviations of w."""

    vectors: Float[np.ndarray, "k n"]
    weights: Float[np.ndarray, " k"]


def sefa(weights: Sequence[Float[np.ndarray, "n _"]]) -> Directions:
    """Factorise the affine weights of the chosen layers in closed form.

    The weights side by side are a matrix A [n c]. Each column, a channel's row of the affine map,
    is divided by its length; the directions are the eigenvectors of A A^T. No sample is drawn.

    Args:
        weights: the affine weights of each chosen layer.

    Returns:
        All n directions, strongest first.
    """
    a = np.concatenate([np.asarray(layer, np.float64) for layer in weights], axis=1)
    a = a / np.maximum(np.linalg.norm(a, axis=0, keepdims=True), 1e-12)
    values, vectors = np.linalg.eigh(a @ a.T)
    return Directions(_fix_sign(vectors.T[::-1]), values[::-1].astype(np.float32))


def principal(ws: Iterable[Float[np.ndarray, "b n"]]) -> tuple[np.ndarray, Directions]:
    """Compute the principal components of w from batches, by exact sums in float64.

    The covariance is small: it needs no incremental approximation, as GANSpace's of feature maps.

    Returns:
        The mean [n], and all n directions with their standard deviations, largest first.

    Raises:
        UserError: for fewer than two samples.
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
    return (origin + mean).astype(np.float32), Directions(_fix_sign(vectors.T[::-1]), deviations)


def _fix_sign(vectors: np.ndarray) -> Float[np.ndarray, "k n"]:
    """Make the largest entry of each vector positive: eigenvectors come with any sign."""
    largest = np.abs(vectors).argmax(axis=1)[:, None]
    return (vectors * np.sign(np.take_along_axis(vectors, largest, axis=1))).astype(np.float32)


def confident_half(margins: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Mark the half of each class, margin > 0 or not, with the largest absolute margin.

    StyleGAN's linear separability (section 4.2) keeps the most confident half of all samples, which
    may have none with a rare attribute.
    """
    kept = np.zeros(len(margins), bool)
    for side in (margins > 0, margins <= 0):
        rows = np.flatnonzero(side)
        order = np.argsort(-np.abs(margins[rows]), kind="stable")
        kept[rows[order[: -(-len(rows) // 2)]]] = True
    return kept


def hyperplane_normal(
    ws: Float[np.ndarray, "n d"], margins: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " d"]:
    """Fit the hyperplane that separates samples with an attribute from those without.

    The fit is a regularised logistic regression on the most confident half of each class, with
    equal weight for both classes.

    Args:
        ws: the styles of the samples.
        margins: a classifier's log-odds of the attribute in their pictures.

    Returns:
        The unit normal, towards margin > 0.

    Raises:
        UserError: when fewer than 8 samples have the attribute, or lack it.
    """
    few = min(int((margins > 0).sum()), int((margins <= 0).sum()))
    if few < MIN_SAMPLES:
        raise UserError(f"{few} of {len(ws)} samples on one side of the attribute: too few")
    kept = confident_half(margins)
    x, positive = np.asarray(ws, np.float64)[kept], margins[kept] > 0
    x = (x - x.mean(axis=0)) / (x.std() + 1e-12)  # one scale for all: a normal stays a normal
    weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    sign = np.where(positive, 1.0, -1.0)
    x32, sign32, weight32 = (jnp.asarray(part, jnp.float32) for part in (x, sign, weight))
    normal = np.asarray(_fit(x32, sign32, weight32))
    return (normal / np.linalg.norm(normal)).astype(np.float32)


@partial(jax.jit, static_argnames="steps")
def _fit(x: Array, sign: Array, weight: Array, steps: int = STEPS) -> Float[Array, " d"]:
    """Minimise the weighted logistic loss by L-BFGS; return the normal."""
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


def orthogonalise(
    vector: Float[np.ndarray, " n"], others: Float[np.ndarray, "k n"]
) -> Float[np.ndarray, " n"]:
    """Project a direction to the complement of others, so that an edit leaves theirs unchanged.

    Returns:
        The unit vector nearest to `vector` that is orthogonal to `others`.

    Raises:
        UserError: when `vector` lies in the span of `others`.

    References:
        Conditional manipulation: InterFaceGAN, section 3.3.
    """
    _, lengths, axes = np.linalg.svd(others, full_matrices=False)
    kept = axes[lengths > 1e-6 * max(1.0, float(lengths.max(initial=0.0)))]
    rest = vector - kept.T @ (kept @ vector)
    length = np.linalg.norm(rest)
    if length < 1e-6 * np.linalg.norm(vector):
        raise UserError("the direction lies within those to be held")
    return (rest / length).astype(np.float32)


def scale_to_deviations(
    vectors: Float[np.ndarray, "k n"], ws: Float[np.ndarray, "m n"]
) -> Float[np.ndarray, "k n"]:
    """Scale each unit vector to the standard deviation of w along it.

    Strengths of edits are then comparable; GANSpace walks its components from -2 to 2.
    """
    return vectors * (ws @ vectors.T).std(axis=0)[:, None]
