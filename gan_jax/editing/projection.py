"""Projection of real pictures into W and W+ by optimisation.

W has one style for all layers (Karras et al. 2020, arXiv:1912.04958, appendix D, whose schedule
this is), W+ a style for each layer (Abdal et al. 2019, arXiv:1904.03189). The noise is the constant
one, so that the styles have to explain the picture.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree

from gan_jax.editing.styles import Synthesise
from gan_jax.errors import UserError

Loss = Callable[[Float[Array, "b h w c"], Float[Array, "b h w c"]], Float[Array, " b"]]

LR = 0.1
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps: linear from 0, cosine to 0
JITTER, JITTER_UNTIL = 0.05, 0.75  # in deviations of w, gone after that share of the steps


class Projection(NamedTuple):
    """The result of a projection.

    Attributes:
        ws: the styles.
        losses: before each step, and after the last.
        pictures: on the way; the last is that of `ws`.
        steps: of each of these pictures.
    """

    ws: Float[np.ndarray, "l n"]
    losses: Float[np.ndarray, " s"]
    pictures: Float[np.ndarray, "k h w c"]
    steps: tuple[int, ...]


def lr_ramp(share: Float[Array, ""] | float) -> Float[Array, ""]:
    """The factor of the learning rate after a share of the steps, 0 to 1."""
    down = 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.minimum(1.0, (1.0 - share) / RAMP_DOWN))
    return down * jnp.minimum(1.0, share / RAMP_UP)


def jitter(share: Float[Array, ""] | float) -> Float[Array, ""]:
    """The deviation of the noise on w after a share of the steps, in deviations of w."""
    return JITTER * jnp.square(jnp.maximum(0.0, 1.0 - share / JITTER_UNTIL))


def reconstruction_loss(distance: Loss | None, weight: float = 1.0) -> Loss:
    """The mean squared error of the pixels, plus `weight` times a perceptual distance."""

    def loss(x: Array, y: Array) -> Array:
        pixels = jnp.mean(jnp.square(x - y), axis=(1, 2, 3))
        return pixels if distance is None else pixels + weight * distance(x, y)

    return loss


def project(
    target: Float[np.ndarray, "h w c"],
    synthesise: Synthesise,
    start: Float[Array, "l n"],
    deviation: float,
    loss: Loss,
    key: Key[Array, ""],
    *,
    plus: bool = False,
    steps: int = 500,
    lr: float = LR,
    snapshots: int = 8,
) -> Projection:
    """Optimise styles until their picture is like the target.

    Args:
        target: the picture, in [-1, 1].
        synthesise: the generator, of styles.
        start: the first styles; in W all layers must be the same.
        deviation: of w, the root of the mean squared distance from its mean: it scales the noise on
            w and Adam's steps.
        loss: of the generator's pictures and the target.
        key: of the noise on w.
        plus: optimise each layer on its own (W+) instead of one style for all (W).
        steps: of Adam.
        lr: the largest learning rate, for a w whose entries have deviation 1.
        snapshots: the number of pictures that are kept.

    Raises:
        UserError: for a target of another shape than the generator's pictures, or fewer steps than
            snapshots.
    """
    if steps < snapshots or snapshots < 2:
        raise UserError(f"projection: {steps} steps cannot show {snapshots} pictures on the way")
    layers, count = start.shape if plus else (1, start.shape[1])
    made = jax.eval_shape(synthesise, jax.ShapeDtypeStruct((1, *start.shape), start.dtype), None)
    if made.shape[1:] != target.shape:
        raise UserError(f"the picture is {target.shape}, the generator makes {made.shape[1:]}")
    targets = jnp.asarray(target)[None]
    # Adam moves each entry of w by up to lr a step; the paper's 0.1 suits entries of deviation 1.
    scale = deviation / np.sqrt(count)
    tx = optax.adam(lambda step: lr * scale * lr_ramp(jnp.asarray(step) / steps))

    def styles(free: Array) -> Array:
        return jnp.broadcast_to(free, start.shape)[None]

    def evaluate(free: Array, noise: Array) -> tuple[Array, Array]:
        picture = synthesise(styles(free + noise), None)
        return loss(picture, targets)[0], picture[0]

    @jax.jit
    def update(free: Array, opt: PyTree, step: Array) -> tuple[PyTree, PyTree, Array, Array]:
        draw = jax.random.normal(jax.random.fold_in(key, step), free.shape)
        noise = deviation * jitter(step / steps) * draw
        (value, picture), grad = jax.value_and_grad(evaluate, has_aux=True)(free, noise)
        updates, opt = tx.update(grad, opt)
        return optax.apply_updates(free, updates), opt, value, picture

    free = start[:layers]
    opt = tx.init(free)
    keep = {round(place) for place in np.linspace(0, steps, snapshots)[:-1]}
    losses, pictures = [], []
    for step in range(steps):
        free, opt, value, picture = update(free, opt, jnp.asarray(step))
        losses.append(value)
        if step in keep:
            pictures.append(np.asarray(picture))
    value, picture = jax.jit(evaluate)(free, jnp.zeros_like(free))
    pictures.append(np.asarray(picture))
    return Projection(
        np.asarray(styles(free)[0]),
        np.asarray([*map(float, losses), float(value)], np.float32),
        np.stack(pictures),
        (*sorted(keep), steps),
    )
