import json
from pathlib import Path

import numpy as np
import pytest

from gan_jax import config
from gan_jax.build.data import held_out, open_data
from gan_jax.build.experiment import build
from gan_jax.training import sample_grids

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def layout(recipe, workdir):
    experiment = config.recipe(f"{EXPERIMENTS}/{recipe}")
    built = build(config.change(experiment, {"run.devices": 1}))
    source = held_out(built, open_data(built.experiment))
    conditions = built.sampler.conditions(source, sample_grids.grid_size(built))
    sample_grids.write_layout(workdir, built, source, conditions)
    path = workdir / "samples" / "layout.json"
    return json.loads(path.read_text()) if path.exists() else {}


def test_each_row_of_a_class_conditional_grid_has_its_class_as_title(tmp_path):
    found = layout("cgan.py:fashion_mnist", tmp_path)
    assert list(found) == ["rows"] and len(found["rows"]) == 10 and found["rows"][9] == "ankle boot"


def test_translations_name_input_output_and_target_in_every_group(tmp_path):
    assert layout("pix2pix.py:emoji", tmp_path)["columns"][:4] == [
        *("input", "output", "target"),
        "input",
    ]
    found = layout("cyclegan.py:emoji", tmp_path / "two")
    assert found["columns"][:6] == ["x", "x to y", "and back", "y", "y to x", "and back"]


def test_captions_are_in_the_order_of_the_grid(tmp_path):
    found = layout("text_to_image.py:emoji", tmp_path)
    assert len(found["captions"]) == 64 and all(found["captions"])


def test_a_grid_of_an_unconditional_game_needs_no_titles(tmp_path):
    assert layout("gan.py:fashion_mnist", tmp_path) == {}


@pytest.mark.parametrize("count, views", [(16, 3), (15, 3), (4, 6), (7, 3), (1, 2)])
def test_no_cell_of_a_grid_of_views_stays_empty(count, views):
    white = [np.ones((count, 64, 64, 1), np.float32)] * views
    assert sample_grids.views_grid(white, None).min() == 255
