"""Linear probe of a representation (Radford et al. 2016, arXiv:1511.06434, section 5).

The paper max-pools the discriminator's convolutional features of all layers to a 4x4 grid,
concatenates them, and trains a regularised linear L2-SVM.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

GRID = 4
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
STEPS = 100


def pooled(layers: Sequence[Float[Array, "b _ _ _"]]) -> Float[Array, "b d"]:
    """Max-pool feature maps larger than 4x4 to a 4x4 grid, flatten and concatenate them."""
    return jnp.concatenate([_grid(x).reshape(len(x), -1) for x in layers], axis=-1)


def _grid(x: Array) -> Array:
    for axis in (1, 2):
        side = x.shape[axis]
        if side > GRID:  # windows overlap if the side is not a multiple of 4
            ends = [(i * side // GRID, -(-(i + 1) * side // GRID)) for i in range(GRID)]
            parts = [jax.lax.slice_in_dim(x, a, b, axis=axis).max(axis) for a, b in ends]
            x = jnp.stack(parts, axis)
    return x


class Probe(NamedTuple):
    """A linear one-against-all classifier of features, standardised by the training rows."""

    mean: Float[Array, " d"]
    scale: Float[Array, " d"]
    w: Float[Array, "d k"]
    b: Float[Array, " k"]

    def scores(self, x: Float[Array, "n d"]) -> Float[Array, "n k"]:
        """The score of each class."""
        return (x - self.mean[None]) / self.scale[None] @ self.w + self.b[None]

    def accuracy(self, x: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"]) -> float:
        """The share of rows whose label has the highest score, 0 to 1."""
        return float(np.mean(np.asarray(self.scores(jnp.asarray(x)).argmax(axis=-1)) == labels))


def fit_probe(
    train: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], *, classes: int
) -> Probe:
    """Fit a linear one-against-all L2-SVM.

    The penalty is the one of `PENALTIES` with the highest accuracy on a held-out fifth of the rows.

    Args:
        train: features to train on.
        labels: of the rows.
        classes: number of classes.
    """
    mean = jnp.asarray(train.mean(axis=0), jnp.float32)
    scale = jnp.asarray(train.std(axis=0) + 1e-6, jnp.float32)
    x = (jnp.asarray(train, jnp.float32) - mean[None]) / scale[None]
    y = jnp.asarray(labels)
    cut = max(1, len(x) // 5)

    def validation(penalty: float) -> float:
        found = _fit(x[cut:], y[cut:], penalty, classes=classes)
        return Probe(mean, scale, **found).accuracy(train[:cut], labels[:cut])

    best = max(PENALTIES, key=validation)
    return Probe(mean, scale, **_fit(x, y, best, classes=classes))


def linear_probe(
    train: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    test: Float[np.ndarray, "m d"],
    test_labels: Int[np.ndarray, " m"],
    *,
    classes: int,
) -> float:
    """Compute the test accuracy of a linear one-against-all L2-SVM, 0 to 1.

    Args:
        train: features to train on.
        labels: of the training rows.
        test: features to test on.
        test_labels: of the test rows.
        classes: number of classes.
    """
    return fit_probe(train, labels, classes=classes).accuracy(test, test_labels)


@partial(jax.jit, static_argnames="classes")
def _fit(x: Array, y: Array, penalty: Array | float, *, classes: int) -> dict[str, Array]:
    """Return weights and biases after `STEPS` steps of L-BFGS on the mean squared hinge loss."""
    sign = 2.0 * jax.nn.one_hot(y, classes) - 1.0
    tx = optax.lbfgs()

    def loss(weights: Mapping[str, Array]) -> Array:
        margin = sign * (x @ weights["w"] + weights["b"][None])
        hinge = jnp.mean(jnp.sum(jnp.square(jax.nn.relu(1.0 - margin)), axis=-1))
        return hinge + penalty * jnp.sum(jnp.square(weights["w"]))

    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        weights, opt = carry
        value, grad = value_and_grad(weights, state=opt)
        updates, opt = tx.update(grad, opt, weights, value=value, grad=grad, value_fn=loss)
        return (optax.apply_updates(weights, updates), opt), None

    weights = {"w": jnp.zeros((x.shape[1], classes)), "b": jnp.zeros(classes)}
    (weights, _), _ = jax.lax.scan(step, (weights, tx.init(weights)), None, length=STEPS)
    return weights
