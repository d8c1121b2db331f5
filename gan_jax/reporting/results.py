"""Result files: what one recipe reached, with everything that is needed to repeat it.

A file of `experiments/results/` holds the runs of one configuration that differ in nothing but
their seed. It is written from run directories by `scripts/results.py`, never by hand. A recipe's
paragraph that names its file is checked against it by the tests.
"""

import json
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gan_jax.errors import UserError, no_run
from gan_jax.evaluation.spec import is_score
from gan_jax.grids import write_atomically
from gan_jax.json_types import JsonObject
from gan_jax.reporting import charts, run_log
from gan_jax.reporting.ablation_table import training_seconds
from gan_jax.reporting.charts import read_axes
from gan_jax.reporting.page import read_config
from gan_jax.reporting.sections import command_line

FACTS = ("recipe", "command", "fingerprint", "revision", "device", "versions", "parameters")
SHARED = ("recipe", "fingerprint", "data", "kimg")  # of all runs of a file

Result = JsonObject
"""The content of a file: facts, `data`, `seeds`, `kimg`, the `minutes` of each seed, and `metrics`:
by full name the value for each seed at the last evaluated round."""


class Summary(NamedTuple):
    """A metric over seeds: mean, sample standard deviation (None for one seed), number of seeds."""

    mean: float
    deviation: float | None
    seeds: int


def collect(workdirs: Sequence[Path]) -> Result:
    """Read the result of the runs of one configuration.

    Args:
        workdirs: the run directories, one for each seed.

    Raises:
        UserError: a directory holds no evaluated run, the code had uncommitted changes, or two
            runs differ in more than the seed.
    """
    scores = [_scores(workdir) for workdir in workdirs]
    configs = [
        _config_of(workdir) | {"kimg": score.kimg}
        for workdir, score in zip(workdirs, scores, strict=True)
    ]
    for workdir, config in zip(workdirs, configs, strict=True):
        for name in SHARED:
            if config.get(name) != configs[0].get(name):
                raise UserError(f"{workdir} differs from {workdirs[0]} in {name}")
    seeds = [config["seed"] for config in configs]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"two runs have the same seed: {', '.join(map(str, seeds))}")
    shared = [name for name in scores[0].values if all(name in s.values for s in scores)]
    return {
        **{name: configs[0][name] for name in FACTS if configs[0].get(name) is not None},
        "revision": list(dict.fromkeys(config["revision"] for config in configs)),
        "data": configs[0]["data"],
        "date": max(score.date for score in scores),
        "seeds": seeds,
        "kimg": scores[0].kimg,
        "minutes": [round(score.minutes, 1) for score in scores],
        "metrics": {name: [float(f"{s.values[name]:.6g}") for s in scores] for name in shared},
    }


def write(result: Result, path: Path) -> None:
    """Write a result file."""
    write_atomically(path, (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())


def read(path: Path) -> Result:
    """Read a result file. Raises UserError if it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} holds no result: {error}") from error


def summarise(result: Result) -> dict[str, Summary]:
    """Average every metric over the seeds."""
    return {name: _summary(values) for name, values in result["metrics"].items()}


def _summary(values: Sequence[float]) -> Summary:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), spread, len(values))


def mentions(result: Result) -> set[str]:
    """List the ways in which a sentence may write the numbers of a result.

    Means, deviations, and values of a single seed with two to four significant digits or as a
    percentage; minutes, hours and kimg, rounded.
    """
    numbers = [number for values in result["metrics"].values() for number in values]
    for summary in summarise(result).values():
        numbers += [summary.mean, *([summary.deviation] if summary.deviation is not None else [])]
    texts = {form for number in numbers for form in _forms(number)}
    for number in (result["kimg"], *result["minutes"], statistics.fmean(result["minutes"])):
        texts |= {f"{number:.0f}", f"{number:.1f}", f"{number / 60:.1f}"}
    return texts


def _forms(number: float) -> set[str]:
    forms = {f"{number:.{digits}f}" for digits in (0, 1, 2, 3)}
    forms |= {f"{100 * number:.{digits}f}" for digits in (0, 1, 2)}
    return forms | {form for digits in (2, 3, 4) if "e" not in (form := f"{number:.{digits}g}")}


def unsupported(text: str, result: Result) -> list[str]:
    """Find the decimal numbers of a text that are not in a result.

    Whole numbers are not checked: most of them are counts, classes or sizes.

    >>> result = {"metrics": {"fid": [8.41]}, "kimg": 240.0, "minutes": [2.0]}
    >>> unsupported("FID 8.4, recall 0.70", result)
    ['0.70']
    """
    found = re.findall(r"(?<![\w.:-])\d+\.\d+(?![\w.]*\w)", text)
    known = mentions(result)
    return [number for number in found if number not in known]


class _Scores(NamedTuple):
    values: Mapping[str, float]
    kimg: float
    minutes: float
    date: str


def _config_of(workdir: Path) -> JsonObject:
    config = read_config(workdir / "config.json")
    if not config or not (workdir / run_log.METRICS).is_file():
        raise no_run(workdir, run_log.METRICS if config else "config.json")
    if not config.get("revision") or config.get("dirty"):
        raise UserError(f"{workdir} was trained by code without a clean git revision: commit first")
    recipe = _without_machine(config["recipe"])
    words = [_without_machine(str(word)) for word in config["command"]]
    data = {name: config["data"].get(name) for name in ("name", "size", "fingerprint")}
    return config | {"recipe": recipe, "command": command_line(words), "data": data}


def _without_machine(word: str) -> str:
    """Reduce an absolute path to what another machine has: `experiments/...`, or a file's name."""
    option, _, path = word.rpartition("=")
    path = re.sub(r"^/.*/(?=experiments/)|^/.*/(?=[^/]+/?$)", "", path)
    return f"{option}={path}" if option else path


def _scores(workdir: Path) -> _Scores:
    """The metrics of the last evaluated round; those of the training itself come first."""
    written = run_log.read_metrics(workdir / run_log.METRICS)
    rows = run_log.in_order(written)
    scored = [
        (row, {n: x for n, x in row.items() if isinstance(x, float) and is_score(n)})
        for row in rows
    ]
    scored = [(row, values) for row, values in scored if values]
    if not scored:
        raise UserError(f"no metric in {workdir}: evaluate the run first")
    step = max(row["step"] for row, _ in scored)
    last = [(row, values) for row, values in scored if row["step"] == step]
    values = {name: x for _, part in reversed(last) for name, x in part.items()}
    times = [row["time"] for row in written if row["step"] == step and "time" in row]
    date = time.strftime("%Y-%m-%d", time.gmtime(max(times)))
    trained = [row for row in rows if run_log.EVALUATED not in row]
    minutes = training_seconds(workdir) / 60.0 * step / max(row["step"] for row in trained)
    axis = read_axes(rows)[0]
    kimg = charts.place(rows, [axis], step).get("kimg", 0.0)
    return _Scores(values, round(kimg, 3), minutes, date)
