"""Builds `games.text_to_image` from an experiment."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from gan_jax import augment, config, latents
from gan_jax.build.averages import averaging
from gan_jax.build.common import BETWEEN, OBJECTIVES, PRIORS, floats
from gan_jax.build.networks import make_network
from gan_jax.build.optimizers import make_optimizer
from gan_jax.build.parts import Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import GameSpec, register_game
from gan_jax.config import Experiment
from gan_jax.data.pipeline import Source
from gan_jax.game import Net, fold
from gan_jax.games.text_to_image import text_to_image
from gan_jax.networks.text import Augmenter
from gan_jax.sampling.conditions import Conditions, from_data
from gan_jax.sampling.recipes import SamplingRecipe


def make_text_to_image(
    experiment: Experiment, options: config.TextToImage, shape: tuple[int, ...], stage: Stage
) -> Parts:
    """Captions to pictures."""
    text, caption, real = floats(options.text), floats(options.caption), floats(*shape)
    generator = Net(make_network(experiment, "generator", shape), (floats(options.z), caption))
    augmenter = Net(Augmenter(options.caption, dtype=jnp.dtype(experiment.precision)), (text,))
    discriminator = Net(
        make_network(experiment, "discriminator", shape, projection=True), (real, text)
    )
    prior = PRIORS[options.prior](options.z)
    game = text_to_image(
        generator,
        augmenter,
        discriminator,
        make_optimizer(experiment.generator),
        make_optimizer(experiment.discriminator),
        objective=OBJECTIVES[options.objective](),
        prior=prior,
        condition_prior=latents.normal(options.caption),
        kl=options.kl / options.caption,
        matching=options.matching,
        ema=averaging(experiment, options),
        augment=augment.Augment(augment.diffaugment) if options.augment else None,
    )

    def caption_of(variables: Any, batch: Mapping[str, Array]) -> tuple[Array, Array]:
        return augmenter(variables["augmenter"], jnp.asarray(batch["text"]), train=False)[0]

    def draw(variables: Any, key: Array, batch: Mapping[str, Array], train: bool) -> Any:
        index = jnp.asarray(batch["index"])
        z, (mean, log_variance) = prior(key, index), caption_of(variables, batch)
        noise = latents.normal(options.caption)(fold(key, "augmentation"), index)
        seen = mean + jnp.exp(0.5 * log_variance) * noise  # as in training
        return generator(variables["generator"], z, seen, train=train)

    def decode(variables: Any, z: Array, batch: Mapping[str, Array]) -> Array:
        mean, _ = caption_of(variables, batch)
        return generator(variables["generator"], z, mean, train=False)[0]

    def conditions(source: Source, count: int) -> Conditions:
        return from_data(source, count, ("text",))

    nets = ("generator", "augmenter")
    between = BETWEEN[options.prior]
    recipe = SamplingRecipe(nets, draw, conditions, prior=prior, decode=decode, between=between)
    return Parts(game, recipe, held_out=True, also=frozenset({"captions"}))


register_game(GameSpec(config.TextToImage, make_text_to_image, columns=("image", "text")))
