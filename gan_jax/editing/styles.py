"""Operations on styles [b l w], one for each layer of a synthesis network.

Mixing, truncation and edits along a direction all replace the styles of some of the layers.
"""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gan_jax.errors import UserError, nearest

AnyArray = Array | np.ndarray

Synthesise = Callable[[Float[Array, "b l n"], Key[Array, ""] | None], Float[Array, "b h w c"]]
"""Styles and the key of the noise (None: the constant noise) to pictures in [-1, 1]."""

BATCH = 16


def bands(count: int) -> dict[str, tuple[int, ...]]:
    """Divide `count` layers into coarse, middle and fine ones; empty bands are left out.

    Coarse layers reach 8 px, middle ones 32 px. A network of less than 64 px has its resolutions
    divided into thirds.

    References:
        Karras et al. 2019, arXiv:1812.04948, figure 3.
    """
    resolutions = count / 2
    first = min(4, 2 * math.ceil(resolutions / 3))
    second = min(8, 2 * math.ceil(resolutions * 2 / 3))
    layers = {
        "coarse": tuple(range(0, min(first, count))),
        "middle": tuple(range(first, min(second, count))),
        "fine": tuple(range(second, count)),
    }
    return {name: numbers for name, numbers in layers.items() if numbers}


def parse_layers(text: str, count: int) -> tuple[int, ...]:
    """Read numbers of layers from text such as '2,4-5', 'all' or 'coarse,7'.

    Raises:
        UserError: for text that names no layer, or a layer that is not below `count`.
    """
    named = {"all": tuple(range(count)), **bands(count)}
    chosen: set[int] = set()
    for part in text.replace(" ", "").split(","):
        if part in named:
            chosen.update(named[part])
            continue
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            near = nearest(part, named)
            raise UserError(f"layers {text!r}: {part!r} is no layer; did you mean {near} or '0-1'?")
        start, stop = int(first), int(last or first)
        if stop < start or stop >= count:
            raise UserError(f"layers {text!r}: {part!r} is not within 0-{count - 1}")
        chosen.update(range(start, stop + 1))
    return tuple(sorted(chosen))


def mask(layers: Sequence[int], count: int) -> Bool[np.ndarray, " l"]:
    """Mark the chosen ones of `count` layers."""
    chosen = np.zeros(count, bool)
    chosen[list(layers)] = True
    return chosen


def replace(
    ws: Float[AnyArray, "b l n"], other: Float[AnyArray, "#b #l n"], chosen: Bool[AnyArray, " l"]
) -> Float[Array, "b l n"]:
    """Take the chosen layers from `other`, the rest from `ws`."""
    return jnp.where(jnp.asarray(chosen)[None, :, None], other, ws)


def broadcast(w: Float[AnyArray, "b n"], count: int) -> Float[Array, "b {count} n"]:
    """Repeat a style for every layer."""
    return jnp.broadcast_to(w[:, None], (len(w), count, w.shape[1]))


def truncate(
    ws: Float[AnyArray, "b l n"],
    mean: Float[AnyArray, " n"],
    psi: Float[Array, ""] | float,
    chosen: Bool[AnyArray, " l"],
) -> Float[Array, "b l n"]:
    """Replace w by `mean + psi * (w - mean)` in the chosen layers (Karras et al. 2019, B)."""
    centre = mean[None, None]
    return replace(ws, centre + psi * (ws - centre), chosen)


def push(
    ws: Float[AnyArray, "b l n"], step: Float[AnyArray, "#b n"], chosen: Bool[AnyArray, " l"]
) -> Float[Array, "b l n"]:
    """Add a step to the styles of the chosen layers."""
    return replace(ws, ws + step[:, None], chosen)


def render(
    synthesise: Synthesise,
    ws: Float[AnyArray, "n l d"],
    key: Key[Array, ""] | None = None,
    *,
    batch: int = BATCH,
) -> Float[np.ndarray, "n h w c"]:
    """Render any number of styles in batches of one shape, the last filled up."""
    batch = min(batch, len(ws))
    parts = []
    for start in range(0, len(ws), batch):
        rows = np.minimum(np.arange(start, start + batch), len(ws) - 1)
        parts.append(np.asarray(synthesise(jnp.asarray(ws[rows]), key)))
    return np.concatenate(parts)[: len(ws)]
