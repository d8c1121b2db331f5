"""Styles [b l w], one for each layer of a synthesis network: choosing layers, replacing, rendering.

Mixing, truncation and edits along a direction are all the same: other styles in some of the layers.
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
    """The layers of `count` that are coarse, middle and fine, without empty bands.

    Those of figure 3 (Karras et al. 2019, arXiv:1812.04948): coarse to 8 px, middle to 32 px, fine
    above; a network below 64 px has its resolutions shared out in thirds.
    """
    resolutions = count / 2
    first = min(4, 2 * math.ceil(resolutions / 3))
    second = min(8, 2 * math.ceil(resolutions * 2 / 3))
    found = {
        "coarse": tuple(range(0, min(first, count))),
        "middle": tuple(range(first, min(second, count))),
        "fine": tuple(range(second, count)),
    }
    return {name: layers for name, layers in found.items() if layers}


def choose(text: str, count: int) -> tuple[int, ...]:
    """The layers that `text` names: '2,4-5', 'all', or a band such as 'coarse'.

    Raises UserError for what is none, or a layer that is not below `count`.
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
    """Which of `count` layers are chosen."""
    chosen = np.zeros(count, bool)
    chosen[list(layers)] = True
    return chosen


def replace(
    ws: Float[AnyArray, "b l n"], other: Float[AnyArray, "#b #l n"], chosen: Bool[AnyArray, " l"]
) -> Float[Array, "b l n"]:
    """`other` in the chosen layers, `ws` in the rest."""
    return jnp.where(jnp.asarray(chosen)[None, :, None], other, ws)


def broadcast(w: Float[AnyArray, "b n"], count: int) -> Float[Array, "b {count} n"]:
    """The same style in every layer."""
    return jnp.broadcast_to(w[:, None], (len(w), count, w.shape[1]))


def truncate(
    ws: Float[AnyArray, "b l n"],
    mean: Float[AnyArray, " n"],
    psi: Float[Array, ""] | float,
    chosen: Bool[AnyArray, " l"],
) -> Float[Array, "b l n"]:
    """`mean + psi * (w - mean)` in the chosen layers (Karras et al. 2019, appendix B)."""
    centre = mean[None, None]
    return replace(ws, centre + psi * (ws - centre), chosen)


def push(
    ws: Float[AnyArray, "b l n"], step: Float[AnyArray, "#b n"], chosen: Bool[AnyArray, " l"]
) -> Float[Array, "b l n"]:
    """`ws + step` in the chosen layers."""
    return replace(ws, ws + step[:, None], chosen)


def render(
    synthesise: Synthesise,
    ws: Float[AnyArray, "n l d"],
    key: Key[Array, ""] | None = None,
    *,
    batch: int = BATCH,
) -> Float[np.ndarray, "n h w c"]:
    """Pictures of any number of styles, in batches of one shape, the last filled up."""
    batch = min(batch, len(ws))
    parts = []
    for start in range(0, len(ws), batch):
        rows = np.minimum(np.arange(start, start + batch), len(ws) - 1)
        parts.append(np.asarray(synthesise(jnp.asarray(ws[rows]), key)))
    return np.concatenate(parts)[: len(ws)]
