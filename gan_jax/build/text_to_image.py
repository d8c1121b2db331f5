"""Builds `games.text_to_image` from an experiment."""

import jax.numpy as jnp
from jaxtyping import Array

from gan_jax import augment, config, latents
from gan_jax.build.averages import averaging
from gan_jax.build.common import BETWEEN, OBJECTIVES, PRIORS, floats
from gan_jax.build.networks import make_net
from gan_jax.build.optimizers import make_optimizer
from gan_jax.build.parts import Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import GameSpec, register_game
from gan_jax.config import Experiment
from gan_jax.data.pipeline import Source
from gan_jax.errors import UserError
from gan_jax.game import Net, Variables, fold
from gan_jax.games.text_to_image import text_to_image
from gan_jax.networks.text import Augmenter
from gan_jax.penalties import MatchingAware
from gan_jax.sampling.conditions import Conditions, from_data
from gan_jax.sampling.recipes import Columns, Networks, SamplingRecipe


def make_text_to_image(
    experiment: Experiment, options: config.TextToImage, shape: tuple[int, ...], stage: Stage
) -> Parts:
    """Captions to pictures."""
    text, real = floats(options.text), floats(*shape)
    seen = floats(options.caption) if options.caption else text
    generator = make_net(experiment, "generator", shape, (floats(options.z), seen), "latents")
    augmenter = None
    if options.caption:
        module = Augmenter(options.caption, dtype=jnp.dtype(experiment.precision))
        augmenter = Net(module, (text,))
    discriminator = make_net(
        experiment,
        "discriminator",
        shape,
        (real, text),
        projection=True,
        auxiliary=options.auxiliary > 0.0,
    )
    prior, condition_prior = PRIORS[options.prior](options.z), latents.normal(options.caption)
    game = text_to_image(
        generator,
        augmenter,
        discriminator,
        make_optimizer(experiment.generator),
        make_optimizer(experiment.discriminator),
        objective=OBJECTIVES[options.objective](),
        prior=prior,
        condition_prior=condition_prior,
        kl=options.kl / max(options.caption, 1),
        matching=options.matching,
        hard=_share(options.hard),
        penalty=_penalty(options),
        text_scale=options.text_scale,
        auxiliary=options.auxiliary,
        ema=averaging(experiment, options),
        augment=augment.Augment(augment.diffaugment) if options.augment else None,
    )

    def caption_of(variables: Networks, batch: Columns) -> tuple[Array, Array | None]:
        text = options.text_scale * jnp.asarray(batch["text"])
        if augmenter is None:
            return text, None
        return augmenter(variables["augmenter"], text, train=False)[0]

    def draw(
        variables: Networks, key: Array, batch: Columns, train: bool
    ) -> tuple[Array, Variables]:
        index = jnp.asarray(batch["index"])
        z, (seen, log_variance) = prior(key, index), caption_of(variables, batch)
        if log_variance is not None:  # as in training
            noise = condition_prior(fold(key, "augmentation"), index)
            seen = seen + jnp.exp(0.5 * log_variance) * noise
        return generator(variables["generator"], z, seen, train=train)

    def decode(variables: Networks, z: Array, batch: Columns) -> Array:
        mean, _ = caption_of(variables, batch)
        return generator(variables["generator"], z, mean, train=False)[0]

    def conditions(source: Source, count: int) -> Conditions:
        return from_data(source, count, ("text",))

    nets = ("generator",) if augmenter is None else ("generator", "augmenter")
    between = BETWEEN[options.prior]
    recipe = SamplingRecipe(nets, draw, conditions, prior=prior, decode=decode, between=between)
    return Parts(game, recipe, held_out=True, also=frozenset({"captions"}))


def _share(hard: float) -> float:
    if hard > 1.0:
        raise UserError(f"game.hard = {hard!r}: a number up to 1 is needed")
    return hard


def _penalty(options: config.TextToImage) -> MatchingAware | None:
    if options.ma_gp:
        return MatchingAware(options.ma_gp, step=options.penalty_step)
    if options.penalty_step:
        raise UserError("game.penalty_step needs game.ma_gp; did you mean ma_gp = 2?")
    return None


register_game(GameSpec(config.TextToImage, make_text_to_image, columns=("image", "text")))
