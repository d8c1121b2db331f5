"""The records that a run writes while it trains: metrics file, TensorBoard, progress line."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import UInt8
from tensorboardX import SummaryWriter

from gan_jax.grids import save_png
from gan_jax.reporting.progress_line import Progress, close_progress, open_progress, tick
from gan_jax.reporting.run_log import METRICS, SAMPLES, open_metrics, to_python, write_row
from gan_jax.reporting.tensorboard import collect_write_errors, open_board, write_scalars


class Records(NamedTuple):
    """The open files of a run.

    Attributes:
        workdir: the run directory.
        metrics: `metrics.jsonl`, open for appending.
        board: the TensorBoard writer.
        progress: the progress line.
        errors: write errors of the TensorBoard thread.
    """

    workdir: Path
    metrics: BinaryIO
    board: SummaryWriter
    progress: Progress
    errors: list[OSError]


def open_records(workdir: Path, *, total: int, step: int = 0, silent: bool = False) -> Records:
    """Open the records of a run as they were when round `step` ended.

    Args:
        workdir: the run directory.
        total: the number of rounds of the run.
        step: the round that the run continues after; 0 starts the records anew.
        silent: discard everything, in all but one of several processes.

    Raises:
        UserError: the metrics file is damaged.
    """
    if silent:
        discarded = open(os.devnull, "ab")  # noqa: SIM115 -- closed by close_records
        board = SummaryWriter(write_to_disk=False)
        return Records(workdir, discarded, board, open_progress(total, step=step), [])
    metrics, board = open_metrics(workdir / METRICS, step=step), open_board(workdir, step=step)
    progress = open_progress(total, step=step)
    return Records(workdir, metrics, board, progress, collect_write_errors(board))


def record(records: Records, row: Mapping[str, object]) -> None:
    """Write a row, which has a "step", to the metrics file, TensorBoard and the progress line.

    Raises:
        OSError: one of the files cannot be written.
    """
    row = {name: to_python(value) for name, value in row.items()}
    write_row(records.metrics, row)
    write_scalars(records.board, row)
    tick(records.progress, row)
    if records.errors:
        raise records.errors[0]


def record_samples(records: Records, step: int, grid: UInt8[np.ndarray, "h w c"]) -> Path:
    """Write a grid to `samples/00000120.png` and to TensorBoard; return the file's path."""
    path = records.workdir / SAMPLES / f"{step:08d}.png"
    save_png(path, grid)
    rgb = grid.repeat(3 // grid.shape[-1], -1)
    records.board.add_image("samples", rgb, step, dataformats="HWC")
    return path


def close_records(records: Records) -> None:
    """Flush and close all files.

    Raises:
        OSError: something could not be written.
    """
    close_progress(records.progress)
    records.board.close()
    records.metrics.close()
    if records.errors:
        raise records.errors[0]
