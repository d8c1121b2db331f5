"""The report's panel of interpolations between latents."""

import base64

import numpy as np
from jaxtyping import Array, Key, UInt8

from gan_jax import grids
from gan_jax.build.data import data_shape, held_out
from gan_jax.build.parts import Built
from gan_jax.data.pipeline import Source
from gan_jax.evaluation import registry
from gan_jax.game import State
from gan_jax.reporting.page import Panel
from gan_jax.reporting.template import render

LINES, FRAMES = 8, 9  # of the panel: pairs of latents, and samples of each


def interpolation_panels(
    built: Built, state: State, key: Key[Array, ""], source: Source
) -> list[Panel]:
    """Draw samples between pairs of latents.

    Returns:
        One panel; none for a game without latents or images, and, as drawing them compiles a
        program, where no metric of the run needs the feature extractor.
    """
    run, shape = built.experiment.run, data_shape(built.experiment.data)
    if "latents" not in built.provides or len(shape) != 3:
        return []
    if not registry.using_features(run.metrics):
        return []
    grid = interpolation_grid(built, state, key, held_out(built, source))
    picture = base64.b64encode(grids.encode_png(grid)).decode()
    return [Panel("Interpolations", render("interpolations.html", image=picture))]


def interpolation_grid(
    built: Built, state: State, key: Key[Array, ""], source: Source | None
) -> UInt8[np.ndarray, "H W c"]:
    """Draw a row of samples for each pair of latents, of class after class if there are classes.

    Raises:
        UserError: for a game without latents.
    """
    every = built.sampler.columns or 1  # conditions of that many samples share a class
    conditions = built.sampler.conditions(source, LINES * every)
    conditions = {name: column[::every] for name, column in conditions.items()}
    there_and_back = built.sampler.walk(state, key, conditions, 2, 2 * (FRAMES - 1))
    lines = np.moveaxis(there_and_back[:FRAMES], 0, 1)
    return grids.image_grid(lines.reshape(-1, *lines.shape[2:]), FRAMES)
