"""What a run writes down: metrics, sample grids, TensorBoard, a progress line, its environment.

A run directory holds

    config.json      the experiment, its fingerprint, code revision, versions, device, data
    metrics.jsonl    one JSON object a line, only ever appended: {"step": 120, "kimg": 7.68, ...}
    samples/         00000120.png after round 120, always from the same latents; reals.png
    events.out.*     the same for TensorBoard
    report.html      the run on one page (`gan_jax.reporting.page`)

`metrics.jsonl` is the record and the others are views of it. JSON has no NaN: the numbers that are
not finite stand there as the strings "NaN", "Infinity" and "-Infinity"; `read_metrics` turns them
back into floats. Every row of a step must be written before that step's checkpoint, so that a
resumed file has the rows of an uninterrupted one.
"""

import importlib
import importlib.metadata
import json
import logging
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax
import numpy as np
from jaxtyping import UInt8
from tensorboardX import SummaryWriter
from tqdm import tqdm

from gan_jax.errors import UserError
from gan_jax.evaluation.spec import is_score
from gan_jax.grids import save_png, write_atomically

METRICS, SAMPLES, REALS = "metrics.jsonl", "samples", "reals.png"
CHECKPOINTS = "checkpoints"
WALKS = "walks.png"  # from one latent to another, a line each
EVALUATED = "evaluated"  # marks a row of evaluate.py: the seed of its samples
RESUMED = "resumed"  # the event that tells a report not to count the pause before it
PACKAGES = ("gan_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")

_NOT_NUMBERS = ("step", "kimg", "time", "event", EVALUATED)
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_QUIET = 10.0  # seconds between progress lines in a log file

# The guard says in one line what is not finite; tensorboardX would say so once for every number.
logging.getLogger("tensorboardX.x2num").setLevel(logging.ERROR)

Row = dict[str, Any]


# --- metrics.jsonl --------------------------------------------------------------------------------


def open_metrics(path: Path, *, step: int = 0) -> BinaryIO:
    """Open `path` for appending, as it was when round `step` ended (0: empty, a new run).

    A line torn by a kill and the rows after `step` are taken out of it; what is taken out is kept
    in `metrics.discarded.jsonl`, for no row may be lost to a checkpoint that went astray.
    Raises UserError when a line other than the last is no object with a step.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = list(_lines(path)) if path.exists() else []
    kept = [line for line, row in lines if 0 < step >= row.get("step", 0)]
    discarded = [line for line, row in lines if not 0 < step >= row.get("step", 0)]
    if discarded:
        with open(path.with_name("metrics.discarded.jsonl"), "ab") as file:
            file.write(b"".join(discarded))
    write_atomically(path, b"".join(kept))
    return open(path, "ab")


def write_row(file: BinaryIO, row: Mapping[str, Any]) -> None:
    """Append one row: numbers, texts or scalar arrays by name; the time is added if missing.

    The row has left the process when this returns, so SIGKILL cannot take it.
    """
    row = {name: _plain(value) for name, value in row.items()}
    row.setdefault("time", round(time.time(), 3))
    file.write(json.dumps(row, allow_nan=False, ensure_ascii=False).encode() + b"\n")
    file.flush()


def read_metrics(path: Path) -> list[Row]:
    """Read a `metrics.jsonl`, also one still being written: a torn last line is left out.

    Raises UserError when the file is missing, or naming the line that is no object with a step.
    """
    if not path.exists():
        raise UserError(f"no metrics at {path}: is {path.parent} the directory of a run?")
    return [
        {key: _NOT_FINITE.get(x, x) if isinstance(x, str) else x for key, x in row.items()}
        for _, row in _lines(path)
    ]


def append_scores(workdir: Path, position: Mapping[str, Any], scores: Row, seed: int) -> None:
    """Adds an evaluation made after the training, of samples from `seed`, to `metrics.jsonl`.

    `position` is the checkpoint's `step` and `kimg`. One write of a whole line: the run may be
    training meanwhile. Raises OSError where the file cannot be written.
    """
    with open(workdir / METRICS, "ab") as file:
        write_row(file, {**position, EVALUATED: seed, **scores})


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows by step; evaluations that were added later stand at their checkpoint's, without time."""
    timeless = ({k: v for k, v in r.items() if k != "time"} if EVALUATED in r else r for r in rows)
    return sorted(timeless, key=lambda row: (row["step"], EVALUATED in row))


def saved_steps(workdir: Path) -> set[int]:
    """The steps that `workdir` holds whole checkpoints of, without opening any."""
    folder = workdir / CHECKPOINTS
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return {int(name) for name in names if name.isdigit()}


def unscored(path: Path, step: int) -> bool:
    """Whether a `metrics.jsonl` lacks the training's own evaluation of round `step`.

    Raises as `read_metrics`.
    """
    rows = [r for r in read_metrics(path) if r.get("step") == step and EVALUATED not in r]
    return not any(is_score(name) for row in rows for name in row)


def missing_rows(path: Path, *, step: int, every: int) -> str | None:
    """Which rounds up to `step` a file that was cut has lost, in words, where a row was due.

    One is due `every` rounds, or as far apart as its last rows are. Raises UserError as
    `read_metrics` does.
    """
    rows = [r for r in read_metrics(path) if "event" not in r and EVALUATED not in r]
    steps = sorted({row["step"] for row in rows})
    last = steps[-1] if steps else 0
    apart = max([every, *(b - a for a, b in pairwise(steps[-3:]))])
    gone = f"{path.name} has no rows of rounds {last + 1} to {step}: was it cut?"
    return gone if step - last >= apart else None


def _lines(path: Path) -> Iterator[tuple[bytes, Row]]:
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield line + b"\n", row
        elif number < len(lines):  # what follows the last newline is a torn line
            raise UserError(f"{path}, line {number} is no object with a step: {line[:60]!r}")


def _plain(value: Any) -> Any:
    value = _number(value)
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


# --- images ---------------------------------------------------------------------------------------


# --- TensorBoard ----------------------------------------------------------------------------------


def open_board(workdir: Path, *, step: int = 0) -> SummaryWriter:
    """Open TensorBoard's writer; events after round `step` of earlier attempts are hidden."""
    return SummaryWriter(
        str(workdir),
        purge_step=step + 1 if step else None,
        flush_secs=10,
        filename_suffix=f".{step:08d}",
    )


def _failures(board: SummaryWriter) -> list[OSError]:
    """The reasons, as they come, for which `board` could not write; it goes on without.

    Its thread would die of a full disk, and the program then wait forever for a place in the queue.
    """
    found: list[OSError] = []

    def surviving(write: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*what: Any) -> Any:
            try:
                return write(*what)
            except OSError as error:
                found.append(error)

        return attempt

    writer: Any = board.file_writer
    events = writer.event_writer._ev_writer
    for name in ("write_event", "flush", "close"):
        setattr(events, name, surviving(getattr(events, name)))
    return found


def write_scalars(board: SummaryWriter, row: Mapping[str, Any]) -> None:
    """Write the numbers of a row at the row's step; an event becomes a text."""
    step, wall = int(row["step"]), row.get("time")
    for name, value in row.items():
        if name == "event":
            board.add_text("event", str(value), step, walltime=wall)
        elif name not in ("step", "time") and isinstance(value, int | float):
            board.add_scalar(name, value, step, walltime=wall)


# --- the progress line ----------------------------------------------------------------------------


class Progress(NamedTuple):
    """A line that ticks when metrics are read: dispatching a round takes no time at all."""

    bar: tqdm
    start: int  # the round it began after
    terminal: bool  # else a plain line every ten seconds


def open_progress(total: int, *, step: int = 0) -> Progress:
    """Start a progress line on stderr for rounds `step` to `total`."""
    terminal = sys.stderr.isatty()
    layout = "{percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}"
    bar = tqdm(
        total=total,
        initial=step,
        unit=" rounds",
        mininterval=0.2 if terminal else _QUIET,
        miniters=1,
        smoothing=0,
        dynamic_ncols=terminal,
        bar_format=layout + "{postfix}]",
        file=sys.stderr if terminal else open(os.devnull, "w"),  # noqa: SIM115 -- closed below
    )
    return Progress(bar, step, terminal)


def tick(progress: Progress, row: Mapping[str, Any]) -> None:
    """Move the line to the row's step and show its losses; other rows get their own line."""
    if not any(name.endswith("/loss") for name in row):
        tqdm.write(describe(row), file=sys.stderr)
        return
    bar, step = progress.bar, int(row["step"])
    if bar.n == progress.start:  # compiling took until now: it tells nothing of the time to come
        bar.initial = step
        bar.start_t = bar.last_print_t = time.time()
    bar.set_postfix_str(describe(row), refresh=False)
    due = bar.update(step - bar.n)
    if due and not progress.terminal:
        print(bar, file=sys.stderr, flush=True)


def close_progress(progress: Progress) -> None:
    """Leave the last state of the line standing."""
    if not progress.terminal:
        print(progress.bar, file=sys.stderr, flush=True)
    progress.bar.close()
    if not progress.terminal:
        progress.bar.fp.close()


def describe(row: Mapping[str, Any]) -> str:
    """Say a row in words.

    "640 images/s, discriminator 1.24 (real 81%, fake 77%), generator 0.93" for a row with losses,
    "round 1200: fid50k 3.21" for an evaluation, "round 1200: resumed" for an event.
    """
    parts = []
    if "images_per_second" in row:
        speed = row["images_per_second"]
        parts.append(f"{speed:,.0f} images/s" if speed >= 10 else f"{speed:.2g} images/s")
    for name in row:
        player, _, quantity = name.rpartition("/")
        if quantity == "loss":
            sides = {side: row.get(f"{player}/{side}_accuracy") for side in ("real", "fake")}
            seen = ", ".join(f"{side} {x:.0%}" for side, x in sides.items() if x is not None)
            parts.append(f"{player} {row[name]:.3g}" + (f" ({seen})" if seen else ""))
    if parts:
        return ", ".join(parts)
    found = {name: x for name, x in row.items() if name not in _NOT_NUMBERS}
    parts = [str(row["event"])] if "event" in row else []
    parts += [f"{name} {x:.4g}" for name, x in found.items()]
    return f"round {row['step']}: " + ", ".join(parts)


# --- all of it ------------------------------------------------------------------------------------


class Records(NamedTuple):
    """What a run writes to while it trains."""

    workdir: Path
    metrics: BinaryIO
    board: SummaryWriter
    progress: Progress
    failures: list[OSError]  # of the board's thread


def open_records(workdir: Path, *, total: int, step: int = 0, silent: bool = False) -> Records:
    """Open the records of a run of `total` rounds as they were when round `step` ended.

    Of several processes all but one are `silent`: theirs go nowhere. Raises UserError for a spoilt
    file.
    """
    if silent:
        nowhere = open(os.devnull, "ab")  # noqa: SIM115 -- closed with the records
        board = SummaryWriter(write_to_disk=False)
        return Records(workdir, nowhere, board, open_progress(total, step=step), [])
    metrics, board = open_metrics(workdir / METRICS, step=step), open_board(workdir, step=step)
    progress = open_progress(total, step=step)
    return Records(workdir, metrics, board, progress, _failures(board))


def record(records: Records, row: Mapping[str, Any]) -> None:
    """Write a row with its "step" everywhere: the file, TensorBoard, the progress line.

    Raises OSError where one of them cannot be written.
    """
    row = {name: _number(value) for name, value in row.items()}
    write_row(records.metrics, row)
    write_scalars(records.board, row)
    tick(records.progress, row)
    if records.failures:
        raise records.failures[0]


def record_samples(records: Records, step: int, grid: UInt8[np.ndarray, "h w c"]) -> Path:
    """Write `samples/00000120.png` and show it in TensorBoard."""
    path = records.workdir / SAMPLES / f"{step:08d}.png"
    save_png(path, grid)
    records.board.add_image(
        "samples", grid.repeat(3 // grid.shape[-1], -1), step, dataformats="HWC"
    )
    return path


def close_records(records: Records) -> None:
    """Flush and close everything. Raises OSError where something could not be written."""
    close_progress(records.progress)
    records.board.close()
    records.metrics.close()
    if records.failures:
        raise records.failures[0]


# --- the environment ------------------------------------------------------------------------------


def environment() -> dict[str, Any]:
    """Collect what a result depends on besides its configuration.

    {"versions": {package: version or None}, "device": "cpu x 8", "processes": 1, "revision": git's
    hash of the checkout this code runs from, "dirty": whether it was changed since}; the last two
    are None when it runs from an installed package.
    """
    devices = jax.devices()
    return {
        "versions": {"python": platform.python_version()} | _versions(PACKAGES),
        "device": f"{devices[0].device_kind} x {len(devices)}",
        "processes": jax.process_count(),
        **_revision(Path(__file__).parents[1]),
    }


def _versions(packages: Iterable[str]) -> dict[str, str | None]:
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout
            versions[package] = None
    return versions


def _revision(package: Path) -> dict[str, Any]:
    # Only where the repository tracks this package: a venv may lie in somebody else's checkout.
    tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None
    revision = _git(package, "rev-parse", "HEAD") if tracked else None
    if revision is None:
        return {"revision": None, "dirty": None}
    return {"revision": revision, "dirty": bool(_git(package, "status", "--porcelain"))}


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):  # no git on this machine, or a slow network disk
        return None
    return done.stdout.strip() if done.returncode == 0 else None
