"""Frozen feature networks: EfficientNet-Lite0 with its published weights, inside a module."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from gan_jax.errors import UserError
from gan_jax.games.frozen import FrozenFeatures
from gan_jax.metrics.weights import find_weights, load_weights
from gan_jax.networks import efficientnet

WEIGHTS = "efficientnet-lite0"
STEP = 32  # the sides of its input are multiples


def check_side(field: str, side: int, least: int) -> None:
    """Raise UserError for a side that the network cannot take; `field` says where it is from."""
    if side % STEP or side < least:
        nearest = max(least, round(side / STEP) * STEP)
        raise UserError(f"{field}; did you mean {nearest}?")


def make_frozen(module: nn.Module, side: int, seed: int) -> FrozenFeatures:
    """The features of a module around the network, which it calls "network".

    Args:
        module: images [b h w c] in [-1, 1] to maps.
        side: of the images that the network sees.
        seed: of the module's other parameters.

    Raises:
        UserError: if the weights are not installed.
    """
    if find_weights(WEIGHTS) is None:
        load_weights(WEIGHTS)  # raises, with the command that installs them

    def variables() -> PyTree:
        image = jnp.zeros((1, side, side, 3))
        params = module.init(jax.random.key(seed), image)["params"]
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params["network"])
        # A callback, so that shapes alone (of a plan, or to restore a checkpoint) need no file.
        trained = jax.pure_callback(functools.partial(_trained, tuple(shapes)), shapes)
        return {"params": {**params, "network": trained}}

    def apply(variables: PyTree, x: Array) -> Any:
        return module.apply(variables, x)

    return FrozenFeatures(apply, variables)


@functools.cache
def _trained(layers: tuple[str, ...]) -> PyTree:
    """The published weights of some layers."""
    params = efficientnet.convert(load_weights(WEIGHTS))["params"]
    return {layer: params[layer] for layer in layers}
