"""Builds `games.gan` from an experiment."""

import functools

from gan_jax import config
from gan_jax.build.averages import averaging
from gan_jax.build.common import BETWEEN, OBJECTIVES, PRIORS, floats, make_augment
from gan_jax.build.networks import check_features, make_features, make_net
from gan_jax.build.optimizers import annealed, make_annealed
from gan_jax.build.parts import Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import GameSpec, register_game
from gan_jax.build.vision import make_vision, start_round
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.games.gan import UNCONDITIONAL, ClassLoss, condition_on, gan
from gan_jax.penalties import Penalties
from gan_jax.sampling import recipes


def make_gan(
    experiment: Experiment, options: config.Gan, shape: tuple[int, ...], stage: Stage
) -> Parts:
    """Noise to data, with labels or without."""
    if options.condition and options.classes < 1:
        raise UserError("game.classes = 0: only training finds out how many the data has; say it")
    for name in ("conditional_norm", "classes"):
        if getattr(options, name) and not options.condition:
            raise UserError(f"game.{name} needs game.condition; did you mean 'projection'?")
    classes = options.classes
    z, real = floats(options.z), floats(*shape)
    beside = (floats(classes),) if classes else ()
    generator = make_net(
        experiment,
        "generator",
        shape,
        (z, *beside),
        "latents",
        conditional_norm=options.conditional_norm,
    )
    ways = options.condition.split("+")
    projection, auxiliary = "projection" in ways, "auxiliary" in ways
    if options.slicing and projection:
        raise UserError("game.slicing cannot be used with a projection; did you mean 'concat'?")
    discriminator = make_net(
        experiment,
        "discriminator",
        shape,
        (real, *beside),
        with_features=True,
        sliced=options.slicing,
        projection=projection,
        classes=classes if auxiliary else None,
    )
    features = make_features(experiment, shape)
    if features is not None:
        check_features(experiment)
        discriminator = discriminator._replace(inputs=(*features.shapes(real), *beside))
    norm = getattr(experiment.discriminator.network, "norm", "")
    if options.gradient_penalty and norm.startswith("batch"):
        given = f"game.gradient_penalty with discriminator.network.norm = {norm!r}"
        raise UserError(f"{given}: the slope of one sample is not defined; did you mean 'none'?")
    prior = PRIORS[options.prior](options.z)
    anneal = functools.partial(annealed, experiment, options.anneal)
    penalties = Penalties(
        r1=anneal(options.r1, end=options.anneal.gamma * options.r1),
        r2=anneal(options.r2, end=options.anneal.gamma * options.r2),
        gradient_penalty=options.gradient_penalty,
        every=options.penalty_every,
        step=options.penalty_step,
    )
    if options.penalty_step and not (options.r1 or options.r2):
        raise UserError("game.penalty_step needs game.r1 or game.r2")
    class_loss = ClassLoss() if auxiliary else None
    lazy = penalties.every if penalties.lazy else 1
    begin = start_round(options.vision_aided.start_kimg, stage)
    vision_tx = make_annealed(experiment, "discriminator", options.anneal, start=begin)
    game = gan(
        generator,
        discriminator,
        make_annealed(experiment, "generator", options.anneal, options.n_critic),
        make_annealed(experiment, "discriminator", options.anneal, lazy=lazy),
        objective=OBJECTIVES[options.objective](),
        prior=prior,
        conditioning=condition_on("condition", class_loss) if classes else UNCONDITIONAL,
        penalties=penalties,
        n_critic=options.n_critic,
        ema=averaging(experiment, options),
        simultaneous=options.simultaneous,
        augment=make_augment(experiment, options, shape, experiment.batch_size),
        features=features,
        vision=make_vision(experiment, options, shape, stage, vision_tx),
        slicing=options.slicing,
    )
    between = BETWEEN[options.prior]
    return Parts(game, recipes.from_noise(generator, prior, between, classes=classes))


register_game(GameSpec(config.Gan, make_gan))
