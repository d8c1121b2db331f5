"""The report's panel of interpolations."""

import jax
import numpy as np
import pytest

from gan_jax import game, grids
from gan_jax.build.data import open_data
from gan_jax.build.experiment import build
from gan_jax.config import Data, Experiment, Gan, Mlp, Player, Run, change
from gan_jax.reporting.interpolations import FRAMES, LINES, interpolation_grid, interpolation_panels

PLAYER = Player(Mlp((8,)), lr=1e-3)


@pytest.fixture(scope="module")
def built():
    conditional = Gan(condition="concat", classes=10, z=4)
    data = Data("fashion_mnist_10k", resolution=28, channels=1)
    run = Run(devices=1, metrics=("fid",))
    return build(Experiment("tiny", PLAYER, PLAYER, conditional, data, batch_size=8, run=run))


@pytest.fixture(scope="module")
def state(built):
    return game.init(built.game, built.key)


def test_a_row_goes_from_a_latent_to_another_within_a_class(built, state, monkeypatch):
    seen, image_grid = [], grids.image_grid

    def spy(images, columns):
        seen.append((images, columns))
        return image_grid(images, columns)

    monkeypatch.setattr(grids, "image_grid", spy)
    interpolation_grid(built, state, jax.random.key(0), open_data(built.experiment))
    ((images, columns),) = seen
    assert columns == FRAMES and len(images) == LINES * FRAMES
    lines = images.reshape(LINES, FRAMES, -1)
    steps = np.abs(np.diff(lines, axis=1)).mean(-1)
    assert (steps > 0).all()  # no latent twice, and the way back is left out
    ends = np.abs(lines[:, -1] - lines[:, 0]).mean(-1)
    assert (ends > steps.max(1)).all()


def test_runs_without_features_latents_or_images_have_no_panel(built, state):
    source = open_data(built.experiment)
    assert len(interpolation_panels(built, state, jax.random.key(0), source)) == 1
    plain = built._replace(experiment=change(built.experiment, {"run.metrics": ()}))
    assert interpolation_panels(plain, state, jax.random.key(0), source) == []
    without = built._replace(provides=built.provides - {"latents"})
    assert interpolation_panels(without, state, jax.random.key(0), source) == []
