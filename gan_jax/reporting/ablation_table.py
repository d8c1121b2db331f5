"""An ablation's runs on disk, and the table of a paper made of them.

A table is read from `metrics.jsonl` every time and never typed. Full metric names are the columns,
so numbers that are not comparable cannot meet in one.
"""

import base64
import csv
import html
import io
import itertools
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gan_jax import config
from gan_jax.build import schedule
from gan_jax.config import Ablation, Experiment
from gan_jax.metrics.names import better, is_score, quantity
from gan_jax.reporting import run_log
from gan_jax.reporting.template import Html, read_template, render

NOT_RUN, SECONDS = "—", "training_seconds"
Scores = Mapping[str, Mapping[int, Mapping[str, float]]]  # by row and seed: {metric: value}


class Cell(NamedTuple):
    """One metric of one row over the seeds that finished."""

    values: tuple[float, ...]
    seeds: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """Mean ± sample standard deviation (n), or the one value, or a dash."""
        if not self.values:
            return NOT_RUN
        mean = statistics.fmean(self.values)
        if len(self.values) == 1:
            return f"{_short(mean)} (1)"
        return f"{_short(mean)} ± {_short(statistics.stdev(self.values))} ({len(self.values)})"


class Line(NamedTuple):
    """A row as it stands: cells by column, how many seeds stopped early, the first seed's pictures.

    `pictures` are what each shows and its file.
    """

    name: str
    cells: dict[str, Cell]
    stopped: int
    paper: str
    pictures: tuple[tuple[str, Path], ...]


class Table(NamedTuple):
    """A title, the full names of the metrics, and the rows. `caption` says what the numbers are."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    caption: str
    source: str


def slug(name: str) -> str:
    """A row's name as a folder's: letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "row"


def workdir(root: str | Path, table: str, row: str, experiment: Experiment) -> Path:
    """Where a run of a row lives: ROOT/TABLE/ROW/FINGERPRINT/seedSEED."""
    digits = config.fingerprint(experiment)
    return Path(root) / table / slug(row) / digits / f"seed{experiment.seed}"


def runs(ablation: Ablation, table: str, root: str | Path) -> list[tuple[str, Experiment, Path]]:
    """Every run of a table, by seed and then by row: (row, experiment, its directory)."""
    found = []
    for seed in ablation.seeds:
        for row, experiment in ablation.rows.items():
            experiment = config.change(experiment, {"seed": seed})
            found.append((row, experiment, workdir(root, table, row, experiment)))
    return found


def state(experiment: Experiment, where: Path) -> str:
    """'done', 'stopped' (a number was not finite), 'begun' or 'to do'."""
    if not (where / run_log.METRICS).exists():
        return "to do"
    last = schedule.total(experiment)
    if last in run_log.saved_steps(where):
        lacks = experiment.run.metrics and run_log.unscored(where / run_log.METRICS, last)
        return "begun" if lacks else "done"
    rows = run_log.read_metrics(where / run_log.METRICS)
    values = [x for row in rows[-3:] for x in row.values() if isinstance(x, float)]
    return "begun" if all(map(math.isfinite, values)) else "stopped"


def make_table(
    ablation: Ablation, table: str, root: str | Path, earlier: Scores | None = None
) -> Table:
    """The table as far as its runs have come; `earlier` has the scores of seeds without a run."""
    lines, columns = [], list[str]()
    for row in ablation.rows:
        all_runs = [(e, where) for name, e, where in runs(ablation, table, root) if name == row]
        states = [state(e, where) for e, where in all_runs]
        pairs = zip(all_runs, states, strict=True)
        done = {e.seed: where for (e, where), s in pairs if s == "done"}
        scores = {
            **(earlier or {}).get(row, {}),
            **{s: {**final_scores(w), SECONDS: training_seconds(w)} for s, w in done.items()},
        }
        scores = {seed: scores[seed] for seed in ablation.seeds if seed in scores}
        columns = list(dict.fromkeys([*columns, *(c for one in scores.values() for c in one)]))
        cells = {}
        for c in columns:
            mine = {seed: one[c] for seed, one in scores.items() if c in one}
            cells[c] = Cell(tuple(mine.values()), tuple(mine))
        stopped = states.count("stopped")
        pictures = _pictures(next(iter(done.values()))) if done else ()
        lines.append(Line(row, cells, stopped, ablation.paper.get(row, ""), pictures))
    order = {name: number for number, name in enumerate(ablation.quantities)}
    shown = sorted((c for c in columns if quantity(c) in order), key=lambda c: order[quantity(c)])
    first = next(iter(ablation.rows.values()))
    caption = (
        f"{first.run.kimg:g} kimg a run, last checkpoint, mean ± sample standard deviation over "
        f"(n) seeds; bold is ahead of every other row by more than the larger of both deviations; "
        f"{NOT_RUN} has not been run"
    )
    return Table(table, tuple(shown), tuple(lines), caption, ablation.source)


def _pictures(where: Path) -> tuple[tuple[str, Path], ...]:
    """A run's last grid, and its walks between latents where they were drawn."""
    grids = sorted((where / run_log.SAMPLES).glob("0*.png"))
    walks = where / run_log.WALKS
    return (
        *(("samples", path) for path in grids[-1:]),
        *(("between two latents a line", path) for path in (walks,) if path.exists()),
    )


def final_scores(where: Path) -> dict[str, float]:
    """The metrics of the last round that has any: the numbers whose names carry their conditions.

    What evaluate.py measured of that round later is added; the training's own numbers stay.
    """
    found: dict[int, dict[str, float]] = {}
    for row in run_log.in_order(run_log.read_metrics(where / run_log.METRICS)):
        scores = {n: x for n, x in row.items() if isinstance(x, float) and is_score(n)}
        if scores:
            found[row["step"]] = scores | found.get(row["step"], {})
    return found[max(found)] if found else {}


def training_seconds(where: Path) -> float:
    """How long the run's rounds took, without compilation, evaluation and interruptions.

    The median time between two rows of the metrics, for every round: only runs of one machine that
    was not busy otherwise compare.
    """
    rows = [r for r in run_log.read_metrics(where / run_log.METRICS) if "time" in r]
    paces = [
        (b["time"] - a["time"]) / (b["step"] - a["step"])
        for a, b in itertools.pairwise(rows)
        if b["step"] > a["step"]
    ]
    return statistics.median(paces) * rows[-1]["step"] if paces else math.nan


def _short(value: float) -> str:
    """Three significant digits, without an exponent where one can do without."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}" if digits < 8 else f"{value:.2e}"


def _arrow(column: str) -> str:
    return {"higher": "↑", "lower": "↓", "neither": ""}[better(column, "neither")]


def _best(table: Table, column: str) -> str | None:
    """The row that is ahead of every other by more than the spread; None where there is none.

    The spread is the larger of the two rows' standard deviations over seeds: of one seed nobody
    knows it, so a row of one seed is never ahead nor overtaken.
    """
    cells = {line.name: line.cells[column].values for line in table.lines if column in line.cells}
    cells = {name: values for name, values in cells.items() if values}
    sign = {"higher": 1.0, "lower": -1.0, "neither": 0.0}[better(column, "neither")]
    if len(cells) < 2 or not sign:
        return None
    ahead = max(cells, key=lambda name: sign * statistics.fmean(cells[name]))
    others = [values for name, values in cells.items() if name != ahead]
    return ahead if all(_apart(cells[ahead], values) for values in others) else None


def _apart(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether the means of two rows differ by more than the larger standard deviation."""
    if min(len(a), len(b)) < 2:
        return False
    return abs(statistics.fmean(a) - statistics.fmean(b)) > max(map(statistics.stdev, (a, b)))


def _grid(table: Table) -> tuple[list[str], list[list[str]]]:
    """Head and body as plain texts; a paper's own figure is a column of its own."""
    papers = any(line.paper for line in table.lines)
    head = ["", *(f"{c} {_arrow(c)}" for c in table.columns), *(["paper"] if papers else [])]
    body = []
    for line in table.lines:
        note = f" ({line.stopped} stopped)" if line.stopped else ""
        cells = [line.cells.get(c, Cell(())).text for c in table.columns]
        body.append([line.name + note, *cells, *([line.paper or NOT_RUN] if papers else [])])
    return head, body


def to_markdown(table: Table) -> str:
    """A GitHub table with its caption below; bold is ahead by more than the spread."""
    head, body = _grid(table)
    best = [_best(table, c) for c in table.columns]
    for line, cells in zip(table.lines, body, strict=True):
        for number, name in enumerate(best, 1):
            if name == line.name:
                cells[number] = f"**{cells[number]}**"
    rows = [head, ["---"] * len(head), *body]
    text = "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows)
    return f"{text}\n\n{_caption(table)}\n"


def to_latex(table: Table) -> str:
    """A booktabs table."""
    head, body = _grid(table)

    def line(cells: Sequence[str]) -> str:
        return " & ".join(_tex(c) for c in cells) + r" \\"

    return "\n".join(
        [
            r"\begin{table}\centering",
            r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
            r"\toprule",
            line(head),
            r"\midrule",
            *map(line, body),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{_tex(_caption(table))}}}",
            r"\end{table}",
            "",
        ]
    )


_TEX = str.maketrans(
    {c: "\\" + c for c in "&%_#${}"}
    | {"\\": r"\textbackslash{}", "±": r"$\pm$", NOT_RUN: "---"}
    | {"↑": r"$\uparrow$", "↓": r"$\downarrow$"}
)


def _tex(text: str) -> str:
    return text.translate(_TEX)


def to_csv(table: Table) -> str:
    """One line a seed: row, metric, seed, value; for other programs and notebooks."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["row", "metric", "seed", "value"])
    for line in table.lines:
        for column in table.columns:
            cell = line.cells.get(column, Cell(()))
            for seed, value in zip(cell.seeds, cell.values, strict=True):
                writer.writerow([line.name, column, seed, repr(value)])
    return text.getvalue()


def scores_of_csv(text: str) -> Scores:
    """What `to_csv` wrote: {row: {seed: {metric: value}}}. Raises ValueError for another file."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for entry in csv.DictReader(io.StringIO(text)):
        if {"row", "metric", "seed", "value"} - entry.keys():
            raise ValueError(f"columns {', '.join(entry)} instead of row, metric, seed, value")
        if None in entry.values():
            raise ValueError(f"the line of row {entry['row']!r} is too short")
        seeds = found.setdefault(entry["row"], {})
        seeds.setdefault(int(entry["seed"]), {})[entry["metric"]] = float(entry["value"])
    return found


def from_csv(text: str) -> dict[str, dict[str, list[float]]]:
    """What `to_csv` wrote: {metric: {row: values}}, in the table's order."""
    found: dict[str, dict[str, list[float]]] = {}
    for row, seeds in scores_of_csv(text).items():
        for metric, value in itertools.chain.from_iterable(one.items() for one in seeds.values()):
            found.setdefault(metric, {}).setdefault(row, []).append(value)
    return found


def compare_rows(
    metric: str, row: str, values: Sequence[float], other: str, others: Sequence[float]
) -> str:
    """In words: the difference of two rows' means, Welch's standard error of it, pairs won."""
    difference = statistics.fmean(values) - statistics.fmean(others)
    if min(len(values), len(others)) < 2:
        return f"{row} - {other}: {difference:+.3g} (one seed: no error known)"
    error = math.sqrt(
        statistics.variance(values) / len(values) + statistics.variance(others) / len(others)
    )
    sign = -1.0 if better(metric, "neither") == "lower" else 1.0
    won = sum(sign * (a - b) > 0 for a in values for b in others)
    pairs = f"better in {won} of {len(values) * len(others)} pairs"
    return f"{row} - {other}: {difference:+.3g} ± {error:.2g}, {pairs}"


def _breakable(name: str) -> str:
    """A long metric's name as HTML that may go on in the next line."""
    return re.sub(r"([-\[,])", r"\1<wbr>", html.escape(name))


def to_html(table: Table) -> str:
    """Write a page of its own: the table, and below it the images of each row's first seed."""
    head, body = _grid(table)
    best = [None, *(_best(table, column) for column in table.columns), None]
    values = {
        "title": table.title,
        "caption": _caption(table),
        "head": [{"name": Html(_breakable(name))} for name in head],
        "rows": [
            {
                "cells": [
                    {"text": text, "best": name == line.name}
                    for text, name in zip(cells, best, strict=False)
                ]
            }
            for line, cells in zip(table.lines, body, strict=True)
        ],
        "figures": [
            {
                "row": line.name,
                "subject": subject,
                "data": base64.b64encode(path.read_bytes()).decode(),
            }
            for line in table.lines
            for subject, path in line.pictures
        ],
    }
    return render(read_template("ablation_table.html"), values)


def _caption(table: Table) -> str:
    return table.caption + (f"; paper: {table.source}" if table.source else "") + "."


FORMATS = {"md": to_markdown, "tex": to_latex, "csv": to_csv, "html": to_html}
