"""What a representation knows: a linear classifier on few labels (Radford et al. 2016, section 5).

The paper takes the discriminator's convolutional features of all layers, max-pooled to a 4x4 grid
each, flattened and joined, and trains a regularised linear L2-SVM on them.
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
    """Feature maps max-pooled to a 4x4 grid each (smaller maps as they are), flattened, joined."""
    return jnp.concatenate([_grid(x).reshape(len(x), -1) for x in layers], axis=-1)


def _grid(x: Array) -> Array:
    for axis in (1, 2):
        side = x.shape[axis]
        if side > GRID:  # neighbouring windows overlap where the side is no multiple
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
    """Accuracy on `test`, 0 to 1, of a linear L2-SVM (one against all) that learned from `train`.

    Features are standardised by the training rows. The penalty is the one of `PENALTIES` that does
    best on a fifth of the training rows, held out; the test rows have no say in it.
    """
    mean, scale = train.mean(axis=0), train.std(axis=0) + 1e-6
    x, held = (jnp.asarray((part - mean) / scale, jnp.float32) for part in (train, test))
    y, held_y = jnp.asarray(labels), jnp.asarray(test_labels)
    cut = max(1, len(x) // 5)

    def right(at: Array, of: Array, weights: Mapping[str, Array]) -> float:
        scores = at @ weights["w"] + weights["b"][None]
        return float(jnp.mean(scores.argmax(axis=-1) == of))

    def chosen(penalty: float) -> float:
        return right(x[:cut], y[:cut], _fit(x[cut:], y[cut:], penalty, classes=classes))

    best = max(PENALTIES, key=chosen)
    return right(held, held_y, _fit(x, y, best, classes=classes))


@partial(jax.jit, static_argnames="classes")
def _fit(x: Array, y: Array, penalty: Array | float, *, classes: int) -> dict[str, Array]:
    """Weights and biases after `STEPS` steps of L-BFGS on the mean squared hinge."""
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
