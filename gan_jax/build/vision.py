"""Builds a game's second discriminator on a frozen network, from `game.vision_aided`."""

import math

import jax.numpy as jnp
import optax

from gan_jax import config
from gan_jax.build.common import floats
from gan_jax.build.frozen import STEP, check_side, make_frozen
from gan_jax.build.schedule import Stage
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.frozen import VisionAid
from gan_jax.networks import vision


def make_vision(
    experiment: Experiment,
    options: config.Gan | config.Stylegan,
    shape: tuple[int, ...],
    stage: Stage,
    tx: optax.GradientTransformation,
) -> VisionAid | None:
    """The second discriminator; None if the game has none.

    Args:
        experiment: gives seed and precision.
        options: the game's configuration.
        shape: of one real sample.
        stage: of a growing run, whose rounds are those of the start.
        tx: its optimiser.

    Raises:
        UserError: if the data is not images, or the frozen network cannot see them at that size, or
            its weights are not installed.
    """
    aided = options.vision_aided
    if not aided.weight:
        return None
    if len(shape) != 3:
        raise UserError(f"game.vision_aided.weight needs pictures; data has shape {shape}")
    field = f"game.vision_aided.resolution = {aided.resolution}"
    check_side(field, aided.resolution, STEP)
    features = make_frozen(vision.Features(aided.resolution), aided.resolution, experiment.seed)
    maps, classes = features.shapes(floats(*shape)), options.classes
    head = vision.Discriminator(aided.width, classes > 0, jnp.dtype(experiment.precision))
    return VisionAid(
        Net(head, (*maps, floats(classes)) if classes else maps),
        features,
        tx,
        aided.weight,
        start_round(aided.start_kimg, stage),
        condition="condition" if classes else None,
    )


def start_round(kimg: float, stage: Stage) -> int:
    """The first round before which so many thousands of images have been shown.

    It is 0 where that was before the stage, and beyond the stage where it will be.
    """
    left = math.ceil((1000.0 * kimg - stage.images) / stage.batch_size)
    return stage.first + left if left > 0 else 0
