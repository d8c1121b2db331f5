"""Compare two finished runs bit for bit."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.reporting import run_log
from gan_jax.training import run_dir

CLOCK = ("time", "images_per_second")  # fields of a row of metrics that depend on the clock


def compare(a: Path, b: Path) -> list[str]:
    """Name the leaves of the state that differ between two finished runs, and the metrics."""
    steps, trees = [], []
    for workdir in (a, b):
        _, step, state = run_dir.load(workdir)
        leaves = jax.tree.leaves_with_path(state)
        steps.append(step)
        trees.append({jax.tree_util.keystr(path): np.asarray(x) for path, x in leaves})
    differing = [f"round {steps[0]} and {steps[1]}"] if steps[0] != steps[1] else []
    differing += [n for n in trees[0] if trees[0][n].tobytes() != trees[1][n].tobytes()]
    rows = [metric_rows(workdir) for workdir in (a, b)]
    if rows[0] != rows[1]:
        differing.append(f"{run_log.METRICS}: {len(rows[0])} rows and {len(rows[1])}")
    return differing


def all_rows(workdir: Path) -> list[dict[str, Any]]:
    """All rows of a run's metrics, events included."""
    return run_log.read_metrics(workdir / run_log.METRICS)


def metric_rows(workdir: Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics without events and without fields that depend on the clock."""
    return [
        {name: value for name, value in row.items() if name not in CLOCK}
        for row in all_rows(workdir)
        if "event" not in row
    ]
