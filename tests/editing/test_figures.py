"""Sheets of what styles do, on a toy space; and the command that draws them."""

import dataclasses

import jax
import numpy as np
import pytest
from helpers.command_line import run
from helpers.toy_styles import SIDE, W, make_space
from PIL import Image

from gan_jax.commands import sample
from gan_jax.editing import figures
from gan_jax.editing.style_space import Direction
from gan_jax.errors import UserError
from gan_jax.grids import heat, sheet
from gan_jax.training import run_dir

SPACE = make_space()
OPTIONS = figures.FigureOptions(jax.random.key(0), count=3, frames=8, stops=2, steps=10)
TILE = 64  # sheets enlarge small pictures to this


def cells(page, rows, columns):
    """Pictures of a sheet, without its names: they stand at the left and at the top."""
    page = page[page.shape[0] - rows * TILE :, page.shape[1] - columns * TILE :]
    return page.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2).astype(int)


def test_a_sheet_has_names_beside_and_above():
    pictures = np.zeros((2, 3, 64, 64, 1), np.uint8)
    page = sheet(pictures, ["row", "longer"], ["a", "b", "c"])
    assert page.shape[0] == 2 * 64 + 22
    assert (cells(page, 2, 3) == 0).all()
    margin = page[22:, : page.shape[1] - 3 * 64]
    assert margin.max() == 255 and margin.min() < 100  # dark letters on white
    assert sheet(pictures).shape == (128, 192, 3)


def test_heat_goes_from_black_through_red_and_yellow_to_white():
    colours = heat(np.array([[[0.0, 1.0, 2.0, 3.0]]], np.float32))[0, 0]
    assert colours.tolist() == [[0, 0, 0], [255, 0, 0], [255, 255, 0], [255, 255, 255]]


def test_mixing_shows_a_grid_for_every_band():
    figure = figures.mixing_figure(SPACE, OPTIONS)
    grid = cells(figure.image, 7, 4)  # one row of sources, three for each of two bands
    assert (grid[0, 0] == 0).all()
    np.testing.assert_array_equal(grid[1, 0], grid[4, 0])
    assert (grid[1, 1] != grid[4, 1]).any()
    layers = figures.mixing_figure(SPACE, OPTIONS._replace(layers="all"))
    grid = cells(layers.image, 4, 4)
    np.testing.assert_array_equal(grid[1, 2], grid[0, 2])


def test_a_truncation_sweep_has_one_mean():
    grid = cells(figures.truncation_figure(SPACE, OPTIONS).image, 3, 6)
    np.testing.assert_array_equal(grid[0, 3], grid[1, 3])
    assert (grid[0, 0] != grid[1, 0]).any()


def test_noise_is_shown_drawn_twice_absent_and_as_a_map():
    figure = figures.noise_figure(SPACE, OPTIONS)
    grid = cells(figure.image, 3, 6)
    assert (grid[:, 0] != grid[:, 1]).any()
    assert grid[0, 2].std(axis=-1).max() == 0
    mean = float(figure.lines[0].partition("mean ")[2].partition(",")[0])
    assert mean == pytest.approx(0.2, rel=0.05)  # that of the toy's noise
    assert grid[:, 5].max() == 255


@pytest.mark.parametrize("space", ["z", "w"])
def test_a_walk_is_closed(space):
    figure = figures.walk_figure(SPACE, OPTIONS._replace(space=space, psi=1.0))
    frames = figure.frames()
    assert len(frames) == 8
    jumps = [
        np.abs(a.astype(int) - b).mean()
        for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)
    ]
    assert max(jumps) < 4 * np.mean(jumps) and min(jumps) > 0
    with pytest.raises(UserError, match="'z' or 'w'"):
        figures.walk_figure(SPACE, OPTIONS._replace(space="y"))


def test_projection_shows_the_picture_and_the_way_to_it():
    target = np.asarray(SPACE.styles.synthesise(np.ones((1, 4, W), np.float32), None))[0]
    options = OPTIONS._replace(target=lambda: target, steps=60)
    figure = figures.projection_figure(SPACE, options)
    grid = cells(figure.image, 2, 9)
    far, near = (np.abs(grid[1, 0] - grid[1, n]).mean() for n in (1, 8))
    assert near < 0.3 * far
    assert [line.partition(":")[0] for line in figure.lines] == ["W", "W+"]
    assert len(figure.frames()) == 8
    with pytest.raises(UserError, match="--input"):
        figures.projection_figure(SPACE, OPTIONS)


@pytest.mark.parametrize("method", ["sefa", "pca"])
def test_directions_push_one_picture(method):
    options = OPTIONS._replace(method=method, strengths=(-2.0, 0.0, 2.0))
    figure = figures.directions_figure(SPACE, options)
    grid = cells(figure.image, 3, 3)
    for row in grid:
        np.testing.assert_array_equal(row[1], grid[0, 1])
    assert (grid[:, 0] != grid[:, 2]).any(axis=(1, 2, 3)).any()
    assert len(figure.frames()) == 8


def test_directions_of_attributes_carry_their_names_and_reasons():
    step = np.eye(W, dtype=np.float32)[0]
    both = ([Direction("bright", step)], {"hat": "0 of 9 samples"})
    options = OPTIONS._replace(method="attributes", attributes=lambda: both)
    figure = figures.directions_figure(SPACE, options)
    assert figure.lines == ["no direction of hat: 0 of 9 samples"]
    with pytest.raises(UserError, match="hat"):
        figures.find_directions(SPACE, options._replace(attributes=lambda: ([], both[1])), (0,))
    with pytest.raises(UserError, match="'avatars' does"):
        figures.find_directions(SPACE, OPTIONS._replace(method="attributes"), (0,))
    with pytest.raises(UserError, match="'sefa'"):
        figures.find_directions(SPACE, OPTIONS._replace(method="seffa"), (0,))


def test_a_game_without_styles_has_no_shows(trained, tmp_path, capsys):
    assert run(sample, trained, "--show", "mixing") == 2
    assert "styles" in capsys.readouterr().err
    assert run(sample, trained, "--show", "mixin") == 2
    assert "did you mean 'mixing'?" in capsys.readouterr().err


def test_a_show_is_a_command(trained, tmp_path, monkeypatch, capsys):
    """With the toy's styles in the place of the run's."""
    load = run_dir.load

    def styled(*words):
        built, step, state = load(*words)
        recipe = built.sampler.recipe._replace(styles=lambda networks: SPACE.styles)
        sampler = dataclasses.replace(built.sampler, recipe=recipe)
        data = dataclasses.replace(built.experiment.data, resolution=SIDE)
        experiment = dataclasses.replace(built.experiment, data=data)
        return built._replace(sampler=sampler, experiment=experiment), step, state

    monkeypatch.setattr(run_dir, "load", styled)
    picture, still, moving = (tmp_path / name for name in ("a.png", "b.png", "c.gif"))
    Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save(picture)
    words = ["--show", "project", "--input", picture, "--steps", 10, "--perceptual", False]
    assert run(sample, trained, *words, "--out", still) == 0
    assert "W+: loss" in capsys.readouterr().out
    with Image.open(still) as image:
        assert image.height == 2 * TILE + 22
    words = ["--show", "walk", "--count", 2, "--frames", 6, "--stops", 2]
    assert run(sample, trained, *words, "--out", moving) == 0
    with Image.open(moving) as image:
        assert getattr(image, "n_frames", 1) == 6
    assert run(sample, trained, "--show", "mixing", "--out", moving) == 2
    assert "does not move" in capsys.readouterr().err
    words = ["--show", "truncation", "--labels", 1, "--truncation-mean", "class"]
    assert run(sample, trained, *words, "--out", tmp_path / "d.png") == 0
    assert run(sample, trained, "--show", "project", "--input", "nowhere.png") == 2
    assert "no picture 'nowhere.png'" in capsys.readouterr().err
