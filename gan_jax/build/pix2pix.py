"""Builds `games.pix2pix` from an experiment."""

from gan_jax import config
from gan_jax.build.averages import averaged_translators
from gan_jax.build.common import OBJECTIVES, floats
from gan_jax.build.networks import make_net
from gan_jax.build.optimizers import make_optimizer
from gan_jax.build.parts import Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import NETWORKS, GameSpec, register_game
from gan_jax.config import Experiment
from gan_jax.games.pix2pix import pix2pix
from gan_jax.sampling import recipes


def make_pix2pix(
    experiment: Experiment, options: config.Pix2Pix, shape: tuple[int, ...], stage: Stage
) -> Parts:
    """Pictures to pictures, paired."""
    picture = floats(*shape)
    generator = make_net(experiment, "generator", shape, (picture,), "samples")
    pair = (picture, picture) if options.conditional else (picture,)
    discriminator = make_net(experiment, "discriminator", shape, pair)
    game = pix2pix(
        generator,
        discriminator,
        make_optimizer(experiment.generator),
        make_optimizer(experiment.discriminator),
        objective=OBJECTIVES[options.objective](),
        adversarial=options.adversarial,
        l1=options.l1,
        conditional=options.conditional,
        ema=averaged_translators(experiment, options),
    )

    translators = {"x2y": ("generator", generator)}
    recipe = recipes.from_pictures(
        translators,
        shape,
        multiple=NETWORKS[type(experiment.generator.network)].multiple(shape),
        own_statistics=options.statistics == "picture",
    )
    return Parts(game, recipe, real="y", held_out=True)


register_game(GameSpec(config.Pix2Pix, make_pix2pix, columns=("x", "y")))
