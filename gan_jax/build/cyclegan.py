"""Builds `games.cyclegan` from an experiment."""

from gan_jax import config
from gan_jax.build.averages import averaged_translators
from gan_jax.build.common import OBJECTIVES, floats
from gan_jax.build.networks import make_net
from gan_jax.build.optimizers import make_optimizer
from gan_jax.build.parts import Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import NETWORKS, GameSpec, register_game
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.cyclegan import cyclegan
from gan_jax.sampling import recipes


def make_cyclegan(
    experiment: Experiment, options: config.Cyclegan, shape: tuple[int, ...], stage: Stage
) -> Parts:
    """Pictures of one domain to another and back, without pairs.

    Raises:
        UserError: for a mask that can hide all frames, or with a generator that has no masks.
    """
    if options.mask >= shape[0]:
        most = f"at most {shape[0] - 1} of {shape[0]} frames"
        raise UserError(f"game.mask = {options.mask}: {most} can be hidden; did you mean 25?")

    def net(role: str) -> Net:
        asked = {"masked": True} if options.mask and role == "generator" else {}
        return make_net(experiment, role, shape, (floats(*shape),), "samples", **asked)

    ends = round(1000.0 * options.identity_kimg / experiment.batch_size)
    x2y, y2x = net("generator"), net("generator")
    game = cyclegan(
        x2y,
        y2x,
        net("discriminator"),
        net("discriminator"),
        make_optimizer(experiment.generator),
        make_optimizer(experiment.discriminator),
        objective=OBJECTIVES[options.objective](),
        adversarial=options.adversarial,
        cycle=options.cycle,
        identity=options.identity,
        identity_until=ends if options.identity_kimg else None,
        pool_size=options.pool,
        mask=options.mask,
        cycled_discriminators=(
            (net("discriminator"), net("discriminator")) if options.two_step else None
        ),
        ema=averaged_translators(experiment, options),
    )
    recipe = recipes.from_pictures(
        {"x2y": ("x2y", x2y), "y2x": ("y2x", y2x)},
        shape,
        multiple=NETWORKS[type(experiment.generator.network)].multiple(shape),
        shown=16 if recipes.batch_of(shape) == recipes.BATCH else 4,
    )
    return Parts(game, recipe, real="y", held_out=True)


register_game(GameSpec(config.Cyclegan, make_cyclegan, columns=("x", "y")))
