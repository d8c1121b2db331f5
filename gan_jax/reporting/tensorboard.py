"""TensorBoard event files of a run, written by tensorboardX."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from gan_jax.reporting.run_log import Row

# tensorboardX warns about every value that is not finite; `guard.require_finite` reports them once.
logging.getLogger("tensorboardX.x2num").setLevel(logging.ERROR)


def open_board(workdir: Path, *, step: int = 0) -> SummaryWriter:
    """Open the event writer of a run that continues after round `step`.

    TensorBoard hides the events that earlier attempts wrote after that round.
    """
    return SummaryWriter(
        str(workdir),
        purge_step=step + 1 if step else None,
        flush_secs=10,
        filename_suffix=f".{step:08d}",
    )


def collect_write_errors(board: SummaryWriter) -> list[OSError]:
    """Make the writer's thread survive write errors.

    A full disk would otherwise end the thread, and the next write would wait forever for a place in
    its queue.

    Returns:
        The list that later errors are appended to.
    """
    errors: list[OSError] = []

    def guarded(write: Callable[..., object]) -> Callable[..., object]:
        def attempt(*arguments: object) -> object:
            try:
                return write(*arguments)
            except OSError as error:
                errors.append(error)

        return attempt

    writer: Any = board.file_writer
    events = writer.event_writer._ev_writer
    for name in ("write_event", "flush", "close"):
        setattr(events, name, guarded(getattr(events, name)))
    return errors


def write_scalars(board: SummaryWriter, row: Row) -> None:
    """Write the numbers of a row of metrics at its step, and its event as text."""
    step, wall = int(row["step"]), row.get("time")
    for name, value in row.items():
        if name == "event":
            board.add_text("event", str(value), step, walltime=wall)
        elif name not in ("step", "time") and isinstance(value, int | float):
            board.add_scalar(name, value, step, walltime=wall)
