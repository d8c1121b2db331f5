"""Walks between latents that end where they begin: slerp in Z, straight lines in W."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

Between = Callable[[Array, Array, Array], Array]
"""(from, to, t [b 1]) -> on the way; `latents.slerp` or `latents.lerp`."""


def position(points: Float[Array, "s b n"], between: Between, place: float) -> Float[Array, "b n"]:
    """Where a closed walk through `points` is at `place`, in stops; `place + s` is the same spot.

    Whole numbers are the points themselves, to the bit.
    """
    stops = len(points)
    stop = int(place // 1) % stops
    t = place % 1.0
    if t == 0.0:
        return points[stop]
    return between(points[stop], points[(stop + 1) % stops], jnp.full((points.shape[1], 1), t))


def loop(
    points: Float[Array, "s b n"], between: Between, frames: int
) -> Float[Array, "{frames} b n"]:
    """A closed walk in `frames` equal parts: after the last frame comes the first."""
    places = [frame * len(points) / frames for frame in range(frames)]
    return jnp.stack([position(points, between, place) for place in places])
