"""Builds Projected GAN's networks: the light generator, the discriminators, the frozen network."""

import flax.linen as nn

from gan_jax import config
from gan_jax.build.frozen import check_side, make_frozen
from gan_jax.build.networks import of_field
from gan_jax.build.spec import Context, NetworkSpec, register_network
from gan_jax.games.frozen import FrozenFeatures
from gan_jax.networks import fastgan, projected

LEAST = 128  # px, the smallest side that the heads take


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


def make_pyramid(context: Context, seed: int) -> FrozenFeatures:
    """EfficientNet-Lite0 and the random mixing of its maps, which depends on the seed.

    Raises:
        UserError: if its weights are not installed, or it cannot take images of this size.
    """
    network, side = context.config, max(context.config.resolution, context.shape[0])
    field = f"discriminator.network.resolution = {network.resolution}"
    check_side(f"{field}, of images of {context.shape[0]} px", side, LEAST)
    return make_frozen(projected.FeaturePyramid(network.resolution, network.width), side, seed)


register_network(NetworkSpec(config.Fastgan, make_fastgan, starts="latents"))
register_network(
    NetworkSpec(config.Projected, discriminator=make_discriminator, features=make_pyramid)
)
