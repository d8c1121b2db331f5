"""Builds Projected GAN's networks: the light generator, the discriminators, the frozen network."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from gan_jax import config
from gan_jax.build.networks import of_field
from gan_jax.build.spec import Context, NetworkSpec, register_network
from gan_jax.errors import UserError
from gan_jax.games.gan import FrozenFeatures
from gan_jax.metrics.weights import find_weights, load_weights
from gan_jax.networks import efficientnet, fastgan, projected

WEIGHTS = "efficientnet-lite0"
STEP, LEAST = 32, 128  # sides of the frozen network's input: multiples, from here on


def make_fastgan(context: Context) -> nn.Module:
    """The light generator."""
    of_field("data.resolution", fastgan.sides, context.shape[0])
    return fastgan.Generator(
        context.shape[0],
        context.shape[-1],
        context.config.width,
        context.config.blocks,
        context.batch_norm,
        context.dtype,
    )


def make_discriminator(context: Context, *, projection: bool = False) -> nn.Module:
    """The heads on the frozen network's maps."""
    width = context.config.width
    return projected.Discriminator(width, context.batch_norm, projection, context.dtype)


def make_frozen(context: Context, seed: int) -> FrozenFeatures:
    """EfficientNet-Lite0 and the random mixing of its maps, which depends on the seed.

    Raises:
        UserError: if its weights are not installed, or it cannot take images of this size.
    """
    network, side = context.config, max(context.config.resolution, context.shape[0])
    if side % STEP or side < LEAST:
        nearest = max(LEAST, round(side / STEP) * STEP)
        field = f"discriminator.network.resolution = {network.resolution}"
        raise UserError(f"{field}, of images of {context.shape[0]} px; did you mean {nearest}?")
    if find_weights(WEIGHTS) is None:
        load_weights(WEIGHTS)  # raises, with the command that installs them
    pyramid = projected.FeaturePyramid(network.resolution, network.width)

    def variables() -> PyTree:
        image = jnp.zeros((1, side, side, 3))
        params = pyramid.init(jax.random.key(seed), image)["params"]
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params["network"])
        # A callback, so that shapes alone (of a plan, or to restore a checkpoint) need no file.
        trained = jax.pure_callback(functools.partial(_trained, tuple(shapes)), shapes)
        return {"params": {**params, "network": trained}}

    def apply(variables: PyTree, x: Array) -> Any:
        return pyramid.apply(variables, x)

    return FrozenFeatures(apply, variables)


@functools.cache
def _trained(layers: tuple[str, ...]) -> PyTree:
    """The published weights of some layers."""
    params = efficientnet.convert(load_weights(WEIGHTS))["params"]
    return {layer: params[layer] for layer in layers}


register_network(NetworkSpec(config.Fastgan, make_fastgan))
register_network(
    NetworkSpec(config.Projected, discriminator=make_discriminator, features=make_frozen)
)
