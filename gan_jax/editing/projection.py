"""The styles of a picture that was not generated: by optimisation, in W and in W+.

Karras et al. 2020, arXiv:1912.04958, appendix D (W: one style for all layers; the schedule is
theirs), and Abdal et al. 2019, arXiv:1904.03189 (W+: a style for each layer). The noise stays the
constant one, so that styles explain all they can.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from gan_jax.editing.styles import Synthesise
from gan_jax.errors import UserError

Loss = Callable[[Float[Array, "b h w c"], Float[Array, "b h w c"]], Float[Array, " b"]]

LR = 0.1
RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps: linear from 0, cosine to 0
JITTER, JITTER_UNTIL = 0.05, 0.75  # in deviations of w, gone after that share of the steps


class Projection(NamedTuple):
    """What was found: styles [l n], the loss of every step, pictures on the way and their steps.

    The last picture is that of `ws`, whose step is the number of steps.
    """

    ws: Float[np.ndarray, "l n"]
    losses: Float[np.ndarray, " s"]
    shown: Float[np.ndarray, "k h w c"]
    steps: tuple[int, ...]


def rate(share: Float[Array, ""] | float) -> Float[Array, ""]:
    """The learning rate's factor at a share of the steps, 0 to 1."""
    down = 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.minimum(1.0, (1.0 - share) / RAMP_DOWN))
    return down * jnp.minimum(1.0, share / RAMP_UP)


def jitter(share: Float[Array, ""] | float) -> Float[Array, ""]:
    """How far w is shaken at a share of the steps, in its deviations."""
    return JITTER * jnp.square(jnp.maximum(0.0, 1.0 - share / JITTER_UNTIL))


def squares_and(distance: Loss | None, weight: float = 1.0) -> Loss:
    """The mean squared difference of the pixels, plus `weight` times a perceptual distance."""

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
    shown: int = 8,
) -> Projection:
    """Moves styles from `start` until their picture is like `target`, in [-1, 1].

    In W the start is one style for all layers, in W+ (`plus`) each layer moves on its own.
    `deviation` is that of w, sqrt of the mean squared distance from its mean: it scales the
    shaking, and with it Adam's steps. `shown` pictures are kept on the way. Raises UserError for a
    target of another shape than the generator's pictures, or fewer steps than pictures to show.
    """
    if steps < shown or shown < 2:
        raise UserError(f"projection: {steps} steps cannot show {shown} pictures on the way")
    layers, count = start.shape if plus else (1, start.shape[1])
    made = jax.eval_shape(synthesise, jax.ShapeDtypeStruct((1, *start.shape), start.dtype), None)
    if made.shape[1:] != target.shape:
        raise UserError(f"the picture is {target.shape}, the generator makes {made.shape[1:]}")
    aim = jnp.asarray(target)[None]
    # Shaken or not, w moves by rate * lr a step; the paper's 0.1 suits a deviation near 1 a number.
    scale = deviation / np.sqrt(count)
    tx = optax.adam(lambda step: lr * scale * rate(jnp.asarray(step) / steps))

    def styles(free: Array) -> Array:
        return jnp.broadcast_to(free, start.shape)[None]

    def far(free: Array, shake: Array) -> tuple[Array, Array]:
        picture = synthesise(styles(free + shake), None)
        return loss(picture, aim)[0], picture[0]

    @jax.jit
    def update(free: Array, opt: Any, step: Array) -> tuple[Any, Any, Any, Any]:
        noise = jax.random.normal(jax.random.fold_in(key, step), free.shape)
        shake = deviation * jitter(step / steps) * noise
        (value, picture), grad = jax.value_and_grad(far, has_aux=True)(free, shake)
        updates, opt = tx.update(grad, opt)
        return optax.apply_updates(free, updates), opt, value, picture

    free = start[:layers]
    opt = tx.init(free)
    keep = {round(place) for place in np.linspace(0, steps, shown)[:-1]}
    losses, pictures = [], []
    for step in range(steps):
        free, opt, value, picture = update(free, opt, jnp.asarray(step))
        losses.append(value)
        if step in keep:
            pictures.append(np.asarray(picture))
    value, picture = jax.jit(far)(free, jnp.zeros_like(free))
    pictures.append(np.asarray(picture))
    return Projection(
        np.asarray(styles(free)[0]),
        np.asarray([*map(float, losses), float(value)], np.float32),
        np.stack(pictures),
        (*sorted(keep), steps),
    )
