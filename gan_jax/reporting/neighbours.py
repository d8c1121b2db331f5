"""The report's panel of samples beside the training pictures nearest to them."""

import base64

import numpy as np
from jaxtyping import Array, Key

from gan_jax import grids
from gan_jax.build.parts import Built
from gan_jax.data.pipeline import Source
from gan_jax.evaluation import registry
from gan_jax.evaluation.evaluate import make_context
from gan_jax.evaluation.held_out import Neighbours, nearest_neighbours
from gan_jax.game import State
from gan_jax.reporting.page import Panel
from gan_jax.reporting.template import render


def neighbour_panels(
    built: Built, state: State, key: Key[Array, ""], source: Source
) -> list[Panel]:
    """Draw the first samples and their nearest training pictures.

    Returns:
        One panel; none where no metric of the run needs the feature extractor, and where samples
        begin with data, as translations do.
    """
    run = built.experiment.run
    if built.held_out or not registry.using_features(run.metrics):
        return []
    context = make_context(
        built, state, key, source, split=None, count=run.metric_samples, features=run.features
    )
    return [panel(nearest_neighbours(context), run.features)]


def panel(found: Neighbours, features: str) -> Panel:
    """Lay out a row for each sample: itself, then its neighbours."""
    rows = np.concatenate([found.samples[:, None], found.pictures], axis=1)
    grid = grids.image_grid(rows.reshape(-1, *rows.shape[2:]), rows.shape[1])
    html = render(
        "neighbours.html",
        image=base64.b64encode(grids.encode_png(grid)).decode(),
        features=features,
        nearest=", ".join(f"{row[0]:.2f}" for row in found.distances),
    )
    return Panel("Nearest training pictures", html)
