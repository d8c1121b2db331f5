"""Builds `games.cut` from an experiment."""

import jax
import jax.numpy as jnp

from gan_jax import augment, config
from gan_jax.build.averages import averaged_translators
from gan_jax.build.common import DIFFAUGMENT, OBJECTIVES, floats
from gan_jax.build.networks import make_features, make_net
from gan_jax.build.optimizers import make_optimizer
from gan_jax.build.parts import Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import NETWORKS, GameSpec, register_game
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.cut import cut
from gan_jax.networks.contrastive import PatchHeads
from gan_jax.sampling import recipes


def make_cut(
    experiment: Experiment, options: config.Cut, shape: tuple[int, ...], stage: Stage
) -> Parts:
    """Pictures of one domain to another, without pairs.

    The generator is made with the option `encoder`: its module then has the methods that
    `games.cut` calls.

    Raises:
        UserError: if a probability is above 1, or the generator has no encoder.
    """
    if options.equivariance > 1.0:
        raise UserError(f"game.equivariance = {options.equivariance}: a number up to 1 is needed")
    x2y = make_net(experiment, "generator", shape, (floats(*shape),), "samples", encoder=True)
    features = make_features(experiment, shape)
    seen = (floats(*shape),) if features is None else features.shapes(floats(*shape))
    game = cut(
        x2y,
        Net(PatchHeads(options.head, jnp.dtype(experiment.precision)), _vectors(x2y)),
        make_net(experiment, "discriminator", shape, seen, with_features=True),
        make_optimizer(experiment.generator),
        make_optimizer(experiment.discriminator),
        objective=OBJECTIVES[options.objective](),
        adversarial=options.adversarial,
        nce=options.nce,
        identity=options.identity,
        flip=options.equivariance,
        temperature=options.temperature,
        patches=options.patches,
        ema=averaged_translators(experiment, options),
        augment=augment.Augment(DIFFAUGMENT[options.augment]) if options.augment else None,
        features=features,
    )
    recipe = recipes.from_pictures(
        {"x2y": ("x2y", x2y)},
        shape,
        multiple=NETWORKS[type(experiment.generator.network)].multiple(shape),
        targets=False,  # y is another picture
    )
    return Parts(game, recipe, real="y", held_out=True)


def _vectors(x2y: Net) -> tuple[jax.ShapeDtypeStruct, ...]:
    """The shapes of vectors of each map, as the heads are initialised."""
    key, image = jax.random.key(0), jnp.zeros(x2y.inputs[0].shape)
    maps = jax.eval_shape(lambda: x2y.module.init_with_output(key, image, method="encode")[0])
    return tuple(floats(1, map.shape[-1]) for map in maps)


register_game(GameSpec(config.Cut, make_cut, columns=("x", "y")))
