"""Which of a style-based generator's parameters belong to which layer.

A layer's modules lie below one whose name is 'finish' or 'layer' and the layer's number.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Float, PyTree

from gan_jax.errors import UserError

NOISE = (("noise", "scale"), ("strength",))  # per channel; a scalar in StyleGAN2


def layer_of(path: tuple[str, ...]) -> int | None:
    """The layer of a parameter; None for the mapping, RGB and the constant input."""
    numbered = [re.fullmatch(r"(?:finish|layer)(\d+)", part) for part in path]
    return next((int(match[1]) for match in numbered if match), None)


def affines(params: Mapping[str, PyTree], count: int) -> tuple[Float[np.ndarray, "n _"], ...]:
    """The affine weights [w c] of layers 0 to `count - 1`.

    StyleGAN2's last layer is that of its RGB alone, which SeFa leaves out: it is [w 0].

    Raises:
        UserError: when another layer has no affine weights: the network has no styles.
    """
    kernels = {
        layer_of(path): np.asarray(leaf)
        for path, leaf in flatten_dict(dict(params)).items()
        if path[-2:] == ("affine", "kernel")
    }
    missing = [layer for layer in range(count) if layer not in kernels]
    if missing and missing != [count - 1]:
        raise UserError(f"layer {missing[0]} has no style weights: this needs a style generator")
    size = len(kernels[0])
    return tuple(kernels.get(layer, np.zeros((size, 0), np.float32)) for layer in range(count))


def remove_noise(params: Mapping[str, PyTree], layers: Collection[int]) -> dict[str, PyTree]:
    """Set the noise strength of these layers to zero."""
    leaves: dict[tuple[str, ...], Any] = dict(flatten_dict(dict(params)))
    flat = {
        path: jnp.zeros_like(leaf)
        if layer_of(path) in layers and any(path[-len(end) :] == end for end in NOISE)
        else leaf
        for path, leaf in leaves.items()
    }
    return unflatten_dict(flat)
