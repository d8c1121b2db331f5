"""Several runs on one page: their settings, metrics, last samples and curves side by side.

Like a report, the page needs no other file.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gan_jax.errors import no_run
from gan_jax.evaluation.spec import is_score
from gan_jax.grids import write_atomically
from gan_jax.json_types import JsonObject
from gan_jax.metrics.names import short_names
from gan_jax.reporting import charts, sections
from gan_jax.reporting.charts import Axis, Curve
from gan_jax.reporting.formats import duration, number
from gan_jax.reporting.frames import last_frame
from gan_jax.reporting.metric_table import ARROWS
from gan_jax.reporting.page import json_for_script, read_config
from gan_jax.reporting.run_log import METRICS, SAMPLES, in_order, read_metrics
from gan_jax.reporting.template import Values, render

COMPARISON = "comparison.html"
IGNORED = ("name", "seed")  # fields of an experiment that the page shows elsewhere
NAMED_FIELDS = 3  # that name a run at most


class Compared(NamedTuple):
    """A run on the page.

    Attributes:
        workdir: its directory.
        config: the content of its `config.json`.
        curves: its quantities by name.
        axes: its measures of progress.
        seconds: of training.
    """

    workdir: Path
    config: JsonObject
    curves: Mapping[str, Curve]
    axes: Sequence[Axis]
    seconds: float


def write_comparison(workdirs: Sequence[Path], out: Path) -> Path:
    """Write a page that compares runs.

    Args:
        workdirs: the run directories, in the order of the page.
        out: the file to write.

    Returns:
        `out`.

    Raises:
        UserError: a directory is missing or holds no run, or one of its files is damaged.
    """
    runs = _read(workdirs)
    settings = differing_settings([run.config for run in runs])
    names = run_names(runs, settings)
    drawn = _charts(runs, names)
    data = {
        "axes": [{"name": a.name, "label": a.label, "unit": a.unit} for a in _shared_axes(runs)],
        "charts": drawn,
        "frames": [],
        "events": [],
    }
    values = {
        "title": f"{len(runs)} runs compared",
        "names": [{"text": n, "colour": k % charts.COLOURS} for k, n in enumerate(names)],
        "facts": _facts(runs),
        "metrics": _metrics(runs),
        "samples": [
            {"name": name, "url": url}
            for name, run in zip(names, runs, strict=True)
            if (url := last_frame(run.workdir / SAMPLES))
        ],
        "curves": sections.chart_cards(drawn, _shared_axes(runs)),
        "settings": [
            _row(field, [_shown(value) for value in values]) for field, values in settings.items()
        ],
        "data": json_for_script(data),
    }
    write_atomically(out, render(COMPARISON, **values).encode())
    return out


def _read(workdirs: Sequence[Path]) -> list[Compared]:
    found = []
    for workdir in workdirs:
        config, path = read_config(workdir / "config.json"), workdir / METRICS
        if not config or not path.exists():
            raise no_run(workdir, METRICS if config else "config.json")
        found.append((workdir, config, in_order(read_metrics(path))))
    seconds = [
        float(times[-1]) if len(times := charts.training_time(r)) else 0.0 for *_, r in found
    ]
    return [
        Compared(workdir, config, charts.read_curves(rows), charts.read_axes(rows, max(seconds)), s)
        for (workdir, config, rows), s in zip(found, seconds, strict=True)
    ]


def differing_settings(configs: Sequence[JsonObject]) -> dict[str, list[object]]:
    """Find the fields of the experiments whose values are not the same in all runs.

    Returns:
        The value in each run by dotted name; None where a run does not have the field.
    """
    flat = [dict(sections.leaves(config.get("experiment") or {})) for config in configs]
    fields = dict.fromkeys(field for fields in flat for field in fields)
    values = {field: [fields.get(field) for fields in flat] for field in fields}
    return {
        field: row
        for field, row in values.items()
        if field not in IGNORED and any(value != row[0] for value in row[1:])
    }


def run_names(runs: Sequence[Compared], settings: Mapping[str, Sequence[object]]) -> list[str]:
    """Name each run by its recipe, its seed, or its first fields that differ, in one line."""
    recipes = without_common_start([str(run.config.get("recipe", run.workdir)) for run in runs])
    seeds = [run.config.get("seed") for run in runs]
    names = []
    for k, run in enumerate(runs):
        parts = [recipes[k]] if len(set(recipes)) > 1 else []
        if not parts:
            fields = list(settings.items())[:NAMED_FIELDS]
            parts = [f"{name.rpartition('.')[2]} {_shown(v[k])}" for name, v in fields]
        parts += [f"seed {seeds[k]}"] if len(set(seeds)) > 1 else []
        names.append(", ".join(parts) or str(run.workdir))
    if len(set(names)) < len(names):
        names = [f"{name} ({run.workdir})" for name, run in zip(names, runs, strict=True)]
    return names


def without_common_start(names: Sequence[str]) -> list[str]:
    """Remove the words that all names begin with, if the names differ.

    >>> without_common_start(["a/b.py, row hinge", "a/b.py, row hinge, sliced"])
    ['hinge', 'hinge, sliced']
    >>> without_common_start(["same", "same"])
    ['same', 'same']
    """
    words = [re.split(r"(?<=[ /:])", name) for name in names]
    shared = 0
    if len(set(names)) > 1:
        shortest = min(map(len, words))
        while shared < shortest - 1 and len({line[shared] for line in words}) == 1:
            shared += 1
    return ["".join(line[shared:]) for line in words]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _facts(runs: Sequence[Compared]) -> list[Values]:
    """List directory, revision, budget and speed of every run."""
    sizes = [run.config.get("parameters") or {} for run in runs]
    rows: dict[str, list[str]] = {
        "run directory": [str(run.workdir) for run in runs],
        "seed": [str(run.config.get("seed", "")) for run in runs],
        "code": [str(run.config.get("revision") or "")[: sections.REVISION_DIGITS] for run in runs],
        "real images shown": [_budget(run) for run in runs],
        "time": [duration(run.seconds) for run in runs],
        "parameters": [sections.millions(sum(size.values())) if size else "" for size in sizes],
    }
    return [_row(name, texts) for name, texts in rows.items() if any(texts)]


def _row(name: str, texts: Sequence[str], *, full: str = "", best: Sequence[int] = ()) -> Values:
    """A row of a table; `best` are the runs whose cells are bold."""
    cells = [{"text": text, "best": k in best} for k, text in enumerate(texts)]
    return {"name": name, "full": full, "cells": cells}


def _budget(run: Compared) -> str:
    axis = run.axes[0]
    return f"{number(float(axis.values.max()))} {axis.unit}" if len(axis.values) else ""


def _metrics(runs: Sequence[Compared]) -> list[Values]:
    """List the last value of every metric; the best run's is marked if a direction is better."""
    names = dict.fromkeys(n for run in runs for n in run.curves if is_score(n))
    short = short_names(names)
    rows = []
    for name in names:
        curves = [run.curves.get(name) for run in runs]
        last = [math.nan if curve is None else float(curve.values[-1]) for curve in curves]
        way, known = charts.direction(name), [value for value in last if math.isfinite(value)]
        leader = {"lower": min, "higher": max}[way](known) if way and len(known) > 1 else None
        texts = [
            "" if curve is None else number(value)
            for curve, value in zip(curves, last, strict=True)
        ]
        best = [k for k, value in enumerate(last) if value == leader]
        label = f"{short[name]} {ARROWS.get(way, '')}"
        rows.append(_row(label, texts, full=name, best=best))
    return rows


def _shared_axes(runs: Sequence[Compared]) -> list[Axis]:
    """The axes that every run has."""
    shared = set.intersection(*({axis.name for axis in run.axes} for run in runs))
    return [axis for axis in runs[0].axes if axis.name in shared]


def _charts(runs: Sequence[Compared], names: Sequence[str]) -> list[Values]:
    """Draw one chart of each quantity, with a curve for each run: losses, metrics, then others."""
    quantities = dict.fromkeys(name for run in runs for name in run.curves)
    short = short_names(name for name in quantities if is_score(name))

    def order(name: str) -> tuple[bool, bool]:
        return not name.endswith("/loss"), not is_score(name)

    drawn = []
    for quantity in sorted(quantities, key=order):
        curves = [run.curves.get(quantity) for run in runs]
        if max(len(curve.values) for curve in curves if curve is not None) < 2:
            continue
        series = [
            charts.reduced(curve._replace(name=name, colour=k % charts.COLOURS), run.axes)
            for k, (run, name, curve) in enumerate(zip(runs, names, curves, strict=True))
            if curve is not None
        ]
        title = short.get(quantity, quantity.replace("/", ": ").replace("_", " "))
        card = {"title": title, "unit": title, "series": series, "label": f"{title} of every run"}
        if is_score(quantity):
            card |= {"markers": True, "full": quantity}
        drawn.append(card)
    return drawn
