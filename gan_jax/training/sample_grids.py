"""The figures of samples in a run directory: grids, scatter plots and latent interpolations."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Array

from gan_jax import grids
from gan_jax.build.data import data_shape, find_data, open_data, to_real
from gan_jax.build.parts import Built
from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.errors import UserError
from gan_jax.game import State
from gan_jax.reporting import run_log, voices
from gan_jax.reporting.interpolations import interpolation_grid
from gan_jax.reporting.records import Records, record_samples
from gan_jax.sampling.conditions import Conditions, to_float
from gan_jax.sampling.sampler import Sampler
from gan_jax.training import checkpoint, run_dir

ROWS = COLUMNS = 8  # of a grid, where neither the sampler nor the classes say otherwise
MAX_CLASS_ROWS = 16  # with at most so many classes, each gets a row of its own
ONE_WAY: tuple[str, ...] = ("input", "output", "target")  # as in `sample_views`
TWO_WAYS: tuple[str, ...] = ("x", "x to y", "and back", "y", "y to x", "and back")


def real_samples(source: Source, count: int, column: str = "image") -> np.ndarray:
    """Read the first samples of a data set as the game gets them.

    Args:
        source: the data set.
        count: the number of samples; fewer are returned if the data set is smaller.
        column: the column of the batches.

    Returns:
        Samples `[count ...]`; images are in [-1, 1].
    """
    have = source.size
    count = count if have is None else min(count, have)
    name = "real" if column == "image" else column
    rows = [to_real(batch)[name] for batch in eval_batches(source, 256, count=count)]
    return np.concatenate([np.asarray(part) for part in rows])


def grid_size(built: Built) -> int:
    """Count the samples of a grid: eight rows, or one row per class if there are few classes."""
    if built.sampler.shown is not None:
        return built.sampler.shown
    classes = built.classes
    rows = classes if 1 < classes <= MAX_CLASS_ROWS else ROWS
    return (built.sampler.columns or COLUMNS) * rows


def draw_grid(built: Built, state: State, key: Array, count: int) -> np.ndarray:
    """Draw the first samples of a key, as a grid [H W c] in bytes.

    Raises:
        UserError: samples begin with data that is missing, or are points.
    """
    if len(data_shape(built.experiment.data)) < 2:
        raise UserError(f"samples of {built.experiment.data.name!r} are points: no grid of images")
    sampler = built.sampler
    conditions = sampler.conditions(find_data(built), count)
    samples = sampler.draw(state, key, conditions)
    return views_grid(sample_views(sampler, state, key, conditions, samples), sampler.columns)


def write_samples(
    records: Records,
    step: int,
    views: Sequence[np.ndarray],
    samples: np.ndarray,
    reals: np.ndarray,
    columns: int | None,
) -> None:
    """Write samples to the records: images as a grid, points as a scatter plot.

    The first call with images also writes a grid of real images.

    Args:
        records: the run's records.
        step: the round after which the samples were drawn.
        views: what stands side by side in the grid, as `sample_views` returns it.
        samples: the samples `[n h w c]`, `[n t m]` or `[n 2]`.
        reals: real samples of the same shape.
        columns: columns of the grid; None for a square.
    """
    folder = records.workdir / run_log.SAMPLES
    if samples.ndim == 2:
        grids.save_scatter(folder / f"{step:08d}.png", reals, samples)
        return
    path = folder / run_log.REALS
    if not path.exists():
        grids.save_png(path, views_grid([reals[: len(samples)]], columns))
    record_samples(records, step, views_grid(views, columns))


def sample_views(
    sampler: Sampler, state: State, key: Array, conditions: Conditions, samples: np.ndarray
) -> list[np.ndarray]:
    """Collect the images that a grid shows side by side.

    Returns:
        The samples alone; for image translation: input, output, target; for unpaired translation:
        input, output and reconstruction, in both directions. Each is `[n h w c]`.
    """
    if "x" not in conditions:
        return [samples]
    x, *y = (np.asarray(to_float(conditions[n])) for n in ("x", "y") if n in conditions)
    if "y2x" not in sampler.directions:
        return [x, samples, *y]

    def translate(direction: str, images: np.ndarray) -> np.ndarray:
        return sampler.translate(state, key, direction, images)

    y2x = translate("y2x", y[0])
    return [x, samples, translate("y2x", samples), y[0], y2x, translate("x2y", y2x)]


def write_layout(workdir: Path, built: Built, source: Source, conditions: Conditions) -> None:
    """Write what the grids' rows and columns are to `samples/layout.json`, for the report.

    Args:
        workdir: the run directory.
        built: the parts of the run.
        source: the data that the conditions are from.
        conditions: those of the grids.
    """
    layout: dict[str, list[str]] = {}
    columns = built.sampler.columns
    if "label" in conditions and columns:
        labels = np.asarray(conditions["label"])[::columns]
        names = dict(enumerate(source.class_names or ()))
        layout["rows"] = [names.get(int(k), str(k)) for k in labels]
    if "x" in conditions:
        titles = TWO_WAYS if "y2x" in built.sampler.directions else ONE_WAY
        titles = titles if "y" in conditions else titles[:2]
        layout["columns"] = list(titles) * groups(len(conditions["index"]), len(titles))
    if "text" in conditions and source.captions is not None:
        captions = source.captions()
        layout["captions"] = [captions[k % len(captions)] for k in conditions["index"]]
    if layout:
        text = json.dumps(layout, ensure_ascii=False)
        grids.write_atomically(workdir / run_log.SAMPLES / run_log.LAYOUT, text.encode())


def groups(count: int, views: int) -> int:
    """Choose how many samples of several views stand in a row, so that no cell stays empty.

    >>> groups(16, 3), groups(15, 3), groups(4, 6), groups(7, 3)
    (4, 3, 2, 1)
    """
    return next(k for k in ((3, 4, 2, 1) if views <= 3 else (2, 1)) if count % k == 0)


def views_grid(views: Sequence[np.ndarray], columns: int | None) -> np.ndarray:
    """Lay out views side by side, several samples in a row (`groups`).

    Args:
        views: images `[n h w c]` or voice features `[n t m]`.
        columns: columns of the grid of a single view; None for a square.

    Returns:
        The grid `[H W c]` in bytes.
    """
    count = len(views)
    if views[0].ndim == 3:
        views = [voices.cepstrum_images(view) for view in views]
    if count == 1:
        return grids.image_grid(views[0], columns)
    interleaved = np.stack(views, axis=1).reshape(-1, *views[0].shape[1:])
    return grids.image_grid(interleaved, groups(len(views[0]), count) * count)


def draw_walks(workdir: Path) -> None:
    """Draw interpolations between pairs of latents to `walks.png` of a finished run.

    Does nothing if the file is newer than the checkpoints, for a game of points, and for a game
    without latents.
    """
    path, checkpoints = workdir / run_log.WALKS, workdir / checkpoint.FOLDER
    if path.exists() and path.stat().st_mtime >= checkpoints.stat().st_mtime:
        return
    built, _, state = run_dir.load(workdir)
    if "latents" in built.provides and len(data_shape(built.experiment.data)) == 3:
        grids.save_png(
            path, interpolation_grid(built, state, built.key, open_data(built.experiment))
        )
