"""The metrics file of a run, and the names of the files in a run directory.

A run directory holds

    config.json      the experiment, its fingerprint, code revision, versions, device, data
    metrics.jsonl    one JSON object per line, append-only: {"step": 120, "kimg": 7.68, ...}
    samples/         00000120.png after round 120, always from the same latents; reals.png;
                     layout.json, what rows and columns are
    events.out.*     the same for TensorBoard
    report.html      the run on one page (`gan_jax.reporting.page`)

`metrics.jsonl` is the record and the other files are derived from it. JSON has no NaN, so numbers
that are not finite are written as the strings "NaN", "Infinity" and "-Infinity", which
`read_metrics` converts back to floats. All rows of a step must be written before that step's
checkpoint, so that a resumed run has the rows of an uninterrupted one.
"""

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from gan_jax.errors import UserError
from gan_jax.evaluation.spec import is_score
from gan_jax.grids import write_atomically
from gan_jax.json_types import JsonObject

METRICS, SAMPLES, REALS = "metrics.jsonl", "samples", "reals.png"
LAYOUT = "layout.json"  # beside the grids: their rows' and columns' titles, and captions
DISCARDED = "metrics.discarded.jsonl"  # rows that were removed from METRICS
CHECKPOINTS = "checkpoints"
WALKS = "walks.png"  # interpolations between two latents, one per line
EVALUATED = "evaluated"  # in rows written by `gan-jax evaluate`: the seed of the samples
RESUMED = "resumed"  # event of a resumed run: the report leaves out the pause before it

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

Row = JsonObject
"""A line of the metrics: "step", "kimg", "time", "event", and numbers by the name of a metric."""


def open_metrics(path: Path, *, step: int = 0) -> BinaryIO:
    """Open a metrics file for appending, as it was when round `step` ended.

    An incomplete last line and the rows after `step` are removed; the rows are appended to
    `metrics.discarded.jsonl`, so that none is lost if the wrong checkpoint was resumed.

    Args:
        path: the file; it is created if missing.
        step: the round that the run continues after; 0 empties the file for a new run.

    Raises:
        UserError: a line other than the last is not an object with a step.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = list(_lines(path)) if path.exists() else []
    kept = [line for line, row in lines if 0 < step >= row.get("step", 0)]
    discarded = [line for line, row in lines if not 0 < step >= row.get("step", 0)]
    if discarded:
        with open(path.with_name(DISCARDED), "ab") as file:
            file.write(b"".join(discarded))
    write_atomically(path, b"".join(kept))
    return open(path, "ab")


def write_row(file: BinaryIO, row: Mapping[str, object]) -> None:
    """Append a row of numbers, texts or scalar arrays, and the time if the row has none.

    The row has left the process when this returns, so that SIGKILL cannot lose it.
    """
    row = {name: _to_json(value) for name, value in row.items()}
    row.setdefault("time", round(time.time(), 3))
    file.write(json.dumps(row, allow_nan=False, ensure_ascii=False).encode() + b"\n")
    file.flush()


def read_metrics(path: Path) -> list[Row]:
    """Read the rows of a metrics file, which may still be written to.

    An incomplete last line is ignored.

    Raises:
        UserError: the file is missing, or a line (which the error names) is not an object with a
            step.
    """
    if not path.exists():
        raise UserError(f"no metrics at {path}: is {path.parent} a run directory?")
    return [
        {key: _NOT_FINITE.get(x, x) if isinstance(x, str) else x for key, x in row.items()}
        for _, row in _lines(path)
    ]


def append_scores(workdir: Path, position: Mapping[str, float], scores: Row, seed: int) -> None:
    """Append an evaluation that was made after training to the metrics file.

    The line is written in a single call, because the run may be training meanwhile.

    Args:
        workdir: the run directory.
        position: `step` and `kimg` of the checkpoint.
        scores: values by metric name.
        seed: the seed of the samples.

    Raises:
        OSError: the file cannot be written.
    """
    with open(workdir / METRICS, "ab") as file:
        write_row(file, {**position, EVALUATED: seed, **scores})


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by step, with later evaluations after the training's own rows of their step.

    The time of a later evaluation is dropped, because it says nothing about the training.
    """
    timeless = ({k: v for k, v in r.items() if k != "time"} if EVALUATED in r else r for r in rows)
    return sorted(timeless, key=lambda row: (row["step"], EVALUATED in row))


def saved_steps(workdir: Path) -> set[int]:
    """Collect the steps of the complete checkpoints in a run directory, without opening any."""
    folder = workdir / CHECKPOINTS
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return {int(name) for name in names if name.isdigit()}


def unscored(path: Path, step: int) -> bool:
    """Whether a metrics file lacks the training's own evaluation of round `step`.

    Raises:
        UserError: as `read_metrics`.
    """
    rows = [r for r in read_metrics(path) if r.get("step") == step and EVALUATED not in r]
    return not any(is_score(name) for row in rows for name in row)


def missing_rows(path: Path, *, step: int, every: int) -> str | None:
    """Name the rounds up to `step` whose rows a truncated metrics file has lost.

    Args:
        path: the metrics file.
        step: the round that the run continues after.
        every: rounds between rows; the distance of the file's last rows counts if it is larger.

    Returns:
        A sentence, or None if no row is missing.

    Raises:
        UserError: as `read_metrics`.
    """
    rows = [r for r in read_metrics(path) if "event" not in r and EVALUATED not in r]
    steps = sorted({row["step"] for row in rows})
    last = steps[-1] if steps else 0
    distance = max([every, *(b - a for a, b in pairwise(steps[-3:]))])
    if step - last < distance:
        return None
    return f"{path.name} has no rows of rounds {last + 1} to {step}: was it truncated?"


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
        elif number < len(lines):  # text after the last newline is an incomplete line: ignored
            raise UserError(f"{path}, line {number} is not an object with a step: {line[:60]!r}")


def _to_json(value: Any) -> Any:
    value = to_python(value)
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def to_python(value: Any) -> Any:
    """Convert a scalar of numpy or jax to Python's own; return other values as they are."""
    return value.item() if hasattr(value, "item") else value
