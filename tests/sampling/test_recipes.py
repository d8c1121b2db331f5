"""Sampling recipes."""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import latents
from gan_jax.game import Net
from gan_jax.networks import fastgan
from gan_jax.networks.dcgan import batch_norm
from gan_jax.sampling import recipes

KEY = jax.random.key(0)


def test_batch_statistics_are_averaged_for_a_generator_with_noise():
    light = fastgan.Generator(8, 1, 2, blocks=2, norm=batch_norm())
    net = Net(light, (jax.ShapeDtypeStruct((1, 4), jnp.float32),))
    recipe = recipes.from_noise(net, latents.normal(4), latents.slerp)
    variables = net.init(KEY)
    index = np.arange(recipes.STANDING_BATCHES * recipe.batch)
    found = recipes.standing_statistics(
        recipe, {"generator": variables}, {"index": jnp.asarray(index)}
    )
    moved = found["generator"]["batch_stats"]["first_norm"]
    assert (moved["mean"] != variables["batch_stats"]["first_norm"]["mean"]).any()
