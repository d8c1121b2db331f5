"""Objectives, priors and augmentation by name, shared by the game families."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from gan_jax import augment, config, latents, objectives
from gan_jax.build.optimizers import annealed
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.game import State


def current(state: State, net: str) -> dict[str, PyTree]:
    """A network's parameters and statistics in a state."""
    return {"params": state.params[net], **state.stats[net]}


OBJECTIVES = {
    "minimax": objectives.minimax,
    "non_saturating": objectives.non_saturating,
    "least_squares": objectives.least_squares,
    "hinge": objectives.hinge,
    "wasserstein": objectives.wasserstein,
    "relativistic": objectives.relativistic,
}

BETWEEN = {"normal": latents.slerp, "uniform": latents.lerp}

PRIORS = {"normal": latents.normal, "uniform": latents.uniform}


DIFFAUGMENT = {
    "diffaugment": augment.diffaugment,
    "translation_cutout": augment.translation_cutout,
}


def make_augment(
    experiment: Experiment,
    options: config.Gan | config.Stylegan,
    shape: tuple[int, ...],
    batch_size: int,
) -> augment.Augment | None:
    """The augmentation of the discriminator's images; None if the game has none.

    Args:
        experiment: gives the schedule of an annealed probability.
        options: the game's configuration.
        shape: of one real sample.
        batch_size: images in a round, which set the speed of an adaptive probability.

    Raises:
        UserError: if the data is not images, if ADA has no threshold to tell real from fake, or if
            there are no pairs to augment alike.
    """
    if options.augment_paired:
        _check_pairs(options)
    if not options.augment:
        return None
    if len(shape) != 3:
        raise UserError(
            f"game.augment = {options.augment!r} needs pictures; data has shape {shape}"
        )
    adaptive = options.augment == "ada"
    if adaptive and OBJECTIVES[options.objective]().threshold is None:
        raise UserError(
            f"game.augment = 'ada' needs an objective that tells right from wrong, not "
            f"{options.objective!r}; did you mean 'non_saturating', or augment 'diffaugment'?"
        )
    for name in ("augment_p", "ada_target"):
        if getattr(options, name) > 1.0:
            raise UserError(f"game.{name} = {getattr(options, name)!r}: a number up to 1 is needed")
    speed, paired = batch_size / (1000.0 * options.ada_kimg), options.augment_paired
    return {
        **{
            name: functools.partial(augment.Augment, transform, paired=paired)
            for name, transform in DIFFAUGMENT.items()
        },
        "ada": lambda: augment.Augment(augment.bgc, augment.Adaptive(speed, options.ada_target)),
        "r3gan": lambda: augment.Augment(
            augment.bgc_cutout,
            annealed(
                experiment,
                getattr(options, "anneal", config.Anneal()),
                options.augment_p,
                start=0.0,
            ),
            paired,
        ),
    }[options.augment]()


def _check_pairs(options: config.Gan | config.Stylegan) -> None:
    """Raises UserError where there is no augmentation, or no pair that it could be the same of."""
    if not options.augment:
        raise UserError("game.augment_paired needs game.augment; did you mean 'diffaugment'?")
    if not OBJECTIVES[options.objective]().paired:
        raise UserError(
            f"game.augment_paired needs an objective of pairs, not {options.objective!r}; "
            "did you mean 'relativistic'?"
        )


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    """The shape of a batch of two float32 arrays, from which networks are initialised."""
    return jax.ShapeDtypeStruct((2, *shape), jnp.float32)
