"""Linear probe of a representation (Radford et al. 2016, arXiv:1511.06434, section 5).

The paper max-pools the discriminator's convolutional features of all layers to a 4x4 grid,
concatenates them, and trains a regularised linear L2-SVM.
"""

from collections.abc import Mapping, Sequence
from functools import partial

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


def linear_probe(
    train: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    test: Float[np.ndarray, "m d"],
    test_labels: Int[np.ndarray, " m"],
    *,
    classes: int,
) -> float:
    """Compute the test accuracy of a linear one-against-all L2-SVM.

    Features are standardised by the training rows. The penalty is the one of `PENALTIES` with the
    highest accuracy on a held-out fifth of the training rows.

    Args:
        train: features to train on.
        labels: of the training rows.
        test: features to test on.
        test_labels: of the test rows.
        classes: number of classes.

    Returns:
        Accuracy, 0 to 1.
    """
    mean, scale = train.mean(axis=0), train.std(axis=0) + 1e-6
    x, held = (jnp.asarray((part - mean) / scale, jnp.float32) for part in (train, test))
    y, held_y = jnp.asarray(labels), jnp.asarray(test_labels)
    cut = max(1, len(x) // 5)

    def accuracy(x: Array, y: Array, weights: Mapping[str, Array]) -> float:
        scores = x @ weights["w"] + weights["b"][None]
        return float(jnp.mean(scores.argmax(axis=-1) == y))

    def validation(penalty: float) -> float:
        return accuracy(x[:cut], y[:cut], _fit(x[cut:], y[cut:], penalty, classes=classes))

    best = max(PENALTIES, key=validation)
    return accuracy(held, held_y, _fit(x, y, best, classes=classes))


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
