"""Builds `games.stylegan` from an experiment, in a stage of its growth."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from gan_jax import config, latents, parallel
from gan_jax.build.averages import averaging
from gan_jax.build.common import OBJECTIVES, floats, make_augment
from gan_jax.build.networks import check_features, make_features, make_net
from gan_jax.build.optimizers import lazily, make_optimizer, rated
from gan_jax.build.parts import Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import GameSpec, register_game
from gan_jax.build.vision import make_vision
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.games.stylegan import PathLength, stylegan
from gan_jax.networks import stylegan_layers
from gan_jax.penalties import Penalties
from gan_jax.sampling import recipes


def make_stylegan(
    experiment: Experiment, options: config.Stylegan, shape: tuple[int, ...], stage: Stage
) -> Parts:
    """Noise to data through styles, in a stage of its growing."""
    if options.mixing > 1.0:
        raise UserError(f"game.mixing = {options.mixing!r}: a probability up to 1 is needed")
    number, classes = stage.number, options.classes
    look: dict[str, Any] = {} if number is None else {"stage": number}
    fading = number is not None and stage.first > 0
    label = floats(classes) if classes else None
    generator = make_net(experiment, "generator", shape, (floats(options.z),), "styles", **look)
    features = make_features(experiment, shape)
    seen: dict[str, Any] = look
    if features is not None:
        if number is not None:
            raise UserError("game.grow cannot be used with a discriminator of features; remove it")
        check_features(experiment)
        seen = {"with_features": True, "projection": bool(classes)}
    maps = (floats(*shape),) if features is None else features.shapes(floats(*shape))
    discriminator = make_net(experiment, "discriminator", shape, maps, **seen)
    if label is not None:
        generator = generator._replace(inputs=(*generator.inputs, label))
        discriminator = discriminator._replace(inputs=(*discriminator.inputs, label))
    last = stylegan_layers.stages(shape[0]) if number is None else number
    prior = latents.normal(options.z)
    penalties = Penalties(r1=options.r1, every=options.penalty_every)
    path_length = None
    if options.path_length:
        axis = parallel.AXIS if experiment.sync_batch_norm else None
        path_length = PathLength(options.path_length, options.path_every, axis)
    g_every = options.path_every if path_length else 1
    every = penalties.every if penalties.lazy else 1
    vision_tx = make_optimizer(rated(experiment.discriminator, stage.rate))
    game = stylegan(
        generator,
        discriminator,
        make_optimizer(rated(lazily(experiment.generator, g_every), stage.rate)),
        make_optimizer(rated(lazily(experiment.discriminator, every), stage.rate)),
        objective=OBJECTIVES[options.objective](),
        prior=prior,
        layers=stylegan_layers.layers(last),
        style_mixing_prob=options.mixing,
        condition="condition" if classes else None,
        path_length=path_length,
        penalties=penalties,
        augment=make_augment(experiment, options, shape, stage.batch_size),
        features=features,
        vision=make_vision(experiment, options, shape, stage, vision_tx),
        ema=averaging(experiment, options, stage),
    )

    def alpha(step: Array) -> Array:
        return jnp.clip((step - stage.first + 1) / stage.fading, 0.0, 1.0).astype(jnp.float32)

    def see(batch: dict[str, PyTree], step: Array) -> dict[str, PyTree]:
        if number is None:
            return batch
        now = {"alpha": alpha(step)} if fading else {}
        return {
            **batch,
            "real": stylegan_layers.fade_reals(batch["real"], number, now.get("alpha")),
            **now,
        }

    recipe = recipes.from_styles(
        generator,
        prior,
        layers=stylegan_layers.layers(last),
        classes=classes,
        alpha=alpha if fading else None,
        resolution=shape[0],
    )
    return Parts(game, recipe, see=see)


register_game(GameSpec(config.Stylegan, make_stylegan))
