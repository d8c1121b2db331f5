"""The runs of an ablation, and the table of a paper made from them.

Tables are always computed from the `metrics.jsonl` of the runs. Their columns are full metric
names, which include the conditions of the measurement, so a column holds comparable numbers only.
"""

import csv
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
from gan_jax.evaluation.spec import better, is_score
from gan_jax.metrics.names import quantity
from gan_jax.reporting import run_log

NOT_RUN, SECONDS = "—", "training_seconds"
Scores = Mapping[str, Mapping[int, Mapping[str, float]]]  # by row and seed: {metric: value}


class Cell(NamedTuple):
    """A metric of a row.

    Attributes:
        values: its value for each seed whose run is finished.
        seeds: those seeds.
    """

    values: tuple[float, ...]
    seeds: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """Mean ± sample standard deviation (n), or a single value, or a dash."""
        if not self.values:
            return NOT_RUN
        mean = statistics.fmean(self.values)
        if len(self.values) == 1:
            return f"{_short(mean)} (1)"
        return f"{_short(mean)} ± {_short(statistics.stdev(self.values))} ({len(self.values)})"


class Line(NamedTuple):
    """A row of a table.

    Attributes:
        name: its name in the ablation.
        cells: its cells by column.
        stopped: how many seeds were stopped because a number was not finite.
        paper: the value in the paper; "" if there is none.
        pictures: captions and files of images of the first finished seed.
    """

    name: str
    cells: dict[str, Cell]
    stopped: int
    paper: str
    pictures: tuple[tuple[str, Path], ...]


class Table(NamedTuple):
    """A table of an ablation.

    Attributes:
        title: its title.
        columns: full names of its metrics.
        lines: its rows.
        caption: what the numbers are.
        source: the paper; "" if there is none.
    """

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    caption: str
    source: str


def slug(name: str) -> str:
    """Turn the name of a row into that of a folder: letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "row"


def workdir(root: str | Path, table: str, row: str, experiment: Experiment) -> Path:
    """Return the directory of a run: ROOT/TABLE/ROW/FINGERPRINT/seedSEED."""
    fingerprint = config.fingerprint(experiment)
    return Path(root) / table / slug(row) / fingerprint / f"seed{experiment.seed}"


def runs(ablation: Ablation, table: str, root: str | Path) -> list[tuple[str, Experiment, Path]]:
    """List the runs of a table, by seed and then by row, as (row, experiment, directory)."""
    runs = []
    for seed in ablation.seeds:
        for row, experiment in ablation.rows.items():
            experiment = config.change(experiment, {"seed": seed})
            runs.append((row, experiment, workdir(root, table, row, experiment)))
    return runs


def state(experiment: Experiment, where: Path) -> str:
    """Return the state of a run: "done", "stopped" (a number is not finite), "begun" or "to do"."""
    if not (where / run_log.METRICS).exists():
        return "to do"
    last = schedule.total(experiment)
    if last in run_log.saved_steps(where):
        unscored = experiment.run.metrics and run_log.unscored(where / run_log.METRICS, last)
        return "begun" if unscored else "done"
    rows = run_log.read_metrics(where / run_log.METRICS)
    rows = [row for row in rows if run_log.EVALUATED not in row]
    values = [x for row in rows[-3:] for x in row.values() if isinstance(x, float)]
    return "begun" if all(map(math.isfinite, values)) else "stopped"


def make_table(
    ablation: Ablation, table: str, root: str | Path, earlier: Scores | None = None
) -> Table:
    """Make the table of the runs that are finished.

    Args:
        ablation: rows, seeds and quantities.
        table: its name.
        root: the directory of its runs.
        earlier: scores of seeds that have no run here.
    """
    lines, columns = [], list[str]()
    for row in ablation.rows:
        of_row = [(e, where) for name, e, where in runs(ablation, table, root) if name == row]
        states = [state(e, where) for e, where in of_row]
        pairs = zip(of_row, states, strict=True)
        done = {e.seed: where for (e, where), s in pairs if s == "done"}
        scores = {
            **(earlier or {}).get(row, {}),
            **{s: {**final_scores(w), SECONDS: training_seconds(w)} for s, w in done.items()},
        }
        scores = {seed: scores[seed] for seed in ablation.seeds if seed in scores}
        columns = list(
            dict.fromkeys([*columns, *(c for of_seed in scores.values() for c in of_seed)])
        )
        cells = {column: _cell(scores, column) for column in columns}
        pictures = _pictures(next(iter(done.values()))) if done else ()
        paper = ablation.paper.get(row, "")
        lines.append(Line(row, cells, states.count("stopped"), paper, pictures))
    order = {name: number for number, name in enumerate(ablation.quantities)}
    shown = sorted((c for c in columns if quantity(c) in order), key=lambda c: order[quantity(c)])
    first = next(iter(ablation.rows.values()))
    caption = (
        f"{first.run.kimg:g} kimg a run, last checkpoint, mean ± sample standard deviation over "
        f"(n) seeds; bold is ahead of every other row by more than the larger of both deviations; "
        f"{NOT_RUN} has not been run"
    )
    return Table(table, tuple(shown), tuple(lines), caption, ablation.source)


def _cell(scores: Mapping[int, Mapping[str, float]], column: str) -> Cell:
    values = {seed: of_seed[column] for seed, of_seed in scores.items() if column in of_seed}
    return Cell(tuple(values.values()), tuple(values))


def _pictures(where: Path) -> tuple[tuple[str, Path], ...]:
    """List the last grid of a run, and its latent interpolations if they were drawn."""
    grids = sorted((where / run_log.SAMPLES).glob("0*.png"))
    walks = where / run_log.WALKS
    return (
        *(("samples", path) for path in grids[-1:]),
        *(("interpolations between two latents", path) for path in (walks,) if path.exists()),
    )


def final_scores(where: Path) -> dict[str, float]:
    """Read the metrics of the last round that has any, by full name.

    Later evaluations of that round add quantities, but do not replace those of the training.
    """
    of_step: dict[int, dict[str, float]] = {}
    for row in run_log.in_order(run_log.read_metrics(where / run_log.METRICS)):
        scores = {n: x for n, x in row.items() if isinstance(x, float) and is_score(n)}
        if scores:
            of_step[row["step"]] = scores | of_step.get(row["step"], {})
    return of_step[max(of_step)] if of_step else {}


def training_seconds(where: Path) -> float:
    """Estimate the time that the rounds of a run took, in seconds.

    It is the median time per round between two rows of the metrics, times the number of rounds, and
    so leaves out compilation, evaluation and interruptions. Compare only runs of one machine that
    ran nothing else.
    """
    rows = run_log.read_metrics(where / run_log.METRICS)
    rows = [r for r in rows if "time" in r and run_log.EVALUATED not in r]
    per_round = [
        (b["time"] - a["time"]) / (b["step"] - a["step"])
        for a, b in itertools.pairwise(rows)
        if b["step"] > a["step"]
    ]
    return statistics.median(per_round) * rows[-1]["step"] if per_round else math.nan


def _short(value: float) -> str:
    """Write three significant digits, with an exponent only for very small numbers."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}" if digits < 8 else f"{value:.2e}"


def to_csv(table: Table) -> str:
    """Write one line per row, metric and seed, for other programs and notebooks."""
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
    """Read the output of `to_csv` as {row: {seed: {metric: value}}}.

    Raises:
        ValueError: the text has other columns, or a line is too short.
    """
    scores: dict[str, dict[int, dict[str, float]]] = {}
    for entry in csv.DictReader(io.StringIO(text)):
        if {"row", "metric", "seed", "value"} - entry.keys():
            raise ValueError(f"columns {', '.join(entry)} instead of row, metric, seed, value")
        if None in entry.values():
            raise ValueError(f"the line of row {entry['row']!r} is too short")
        seeds = scores.setdefault(entry["row"], {})
        seeds.setdefault(int(entry["seed"]), {})[entry["metric"]] = float(entry["value"])
    return scores


def from_csv(text: str) -> dict[str, dict[str, list[float]]]:
    """Read the output of `to_csv` as {metric: {row: values}}, in the order of the table."""
    values: dict[str, dict[str, list[float]]] = {}
    for row, seeds in scores_of_csv(text).items():
        for scores in seeds.values():
            for metric, value in scores.items():
                values.setdefault(metric, {}).setdefault(row, []).append(value)
    return values


def compare_rows(
    metric: str, row: str, values: Sequence[float], other: str, others: Sequence[float]
) -> str:
    """Compare two rows in a sentence: difference of means, its standard error (Welch), pairs won.

    Args:
        metric: the full name of the metric.
        row: the name of a row.
        values: its values over seeds.
        other: the name of another row.
        others: its values over seeds.
    """
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
