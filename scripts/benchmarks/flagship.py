"""Train a recipe by `gan-jax train` until a deadline, and see how far it came."""

import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs import Job
from gan_jax.evaluation.spec import is_score
from gan_jax.reporting import run_log


def job(recipe: str, out: Path, flags: Sequence[str] = ()) -> Job:
    """The process that trains a recipe into a new `out`/run; SIGTERM stops it, and it saves."""
    workdir = out / "run"
    shutil.rmtree(workdir, ignore_errors=True)
    (out / "grid.png").unlink(missing_ok=True)
    command = ("-m", "gan_jax.commands.main", "train", recipe, "--workdir", str(workdir))
    return Job("train", (*command, *flags))


def found(recipe: str, out: Path) -> dict[str, Any]:
    """How far the run came; its last grid of samples is copied to `out`/grid.png.

    Returns:
        The recipe; of the last row of metrics the thousands of images, and the median of images
        per second; the scores of an evaluation, where there was one; the round of the grid and its
        path, "" where there is none.
    """
    workdir = out / "run"
    metrics = workdir / run_log.METRICS
    rows = run_log.read_metrics(metrics) if metrics.exists() else []
    speeds = [row["images_per_second"] for row in rows if "images_per_second" in row]
    grids = sorted(
        path for path in (workdir / run_log.SAMPLES).glob("*.png") if path.stem.isdigit()
    )
    if grids:
        shutil.copyfile(grids[-1], out / "grid.png")
    return {
        "recipe": recipe,
        "kimg": rows[-1]["kimg"] if rows else 0.0,
        "images_per_second": statistics.median(speeds) if speeds else None,
        "scores": {name: x for row in rows for name, x in row.items() if is_score(name)},
        "round": int(grids[-1].stem) if grids else None,
        "grid": str(out / "grid.png") if grids else "",
    }
