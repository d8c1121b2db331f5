"""Closed walks between latents: slerp in Z, straight lines in W."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

Between = Callable[[Array, Array, Array], Array]
"""`(a, b, t [b 1])`: interpolates from a to b; `latents.slerp` or `latents.lerp`."""


def position(points: Float[Array, "s b n"], between: Between, place: float) -> Float[Array, "b n"]:
    """The point of a closed walk at a place between its stops.

    Args:
        points: the s stops of b walks.
        between: interpolates between two stops.
        place: in stops from the first. Whole numbers give the stops themselves, to the bit; s is
            the first stop again.
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
    """Sample a closed walk at `frames` equal distances; the first frame follows the last."""
    places = [frame * len(points) / frames for frame in range(frames)]
    return jnp.stack([position(points, between, place) for place in places])
