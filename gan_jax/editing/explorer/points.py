"""Samples of a game of points in the plane, as a scatter plot beside real ones."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float
from PIL import Image

from gan_jax.editing.explorer import requests
from gan_jax.editing.explorer.pictures import Command, Picture, Pictures
from gan_jax.game import State
from gan_jax.grids import save_scatter
from gan_jax.sampling.conditions import Conditions
from gan_jax.sampling.sampler import Sampler


@dataclass(frozen=True)
class PointRequest:
    """What to draw: the samples of a seed."""

    seed: int = 0


def point_pictures(
    sampler: Sampler,
    state: State,
    conditions: Conditions,
    real: Float[np.ndarray, "n 2"],
    *,
    sample: Sequence[str] = (),
) -> Pictures:
    """Make the scatter plots of a game of points.

    Args:
        sampler: of the game.
        state: whose networks make the samples.
        conditions: of the samples.
        real: real samples.
        sample: the words of the command that samples the run.
    """

    def read(query: str) -> PointRequest:
        return PointRequest(**requests.read(query, {"seed": requests.seed()}))

    def draw(request: PointRequest) -> Picture:
        points = sampler.draw(state, jax.random.key(request.seed), conditions)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "points.png"
            save_scatter(path, real, points, title=f"seed {request.seed}")
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))

    def command(request: PointRequest) -> Command:
        count = str(len(conditions["index"]))
        return Command((*sample, "--seed", str(request.seed), "--count", count))

    return Pictures(read, draw, None, command, {"points": len(conditions["index"])})
