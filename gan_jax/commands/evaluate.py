"""Measures a trained run and prints what it finds, one line a quantity, as soon as it is found.

gan-jax evaluate RUN --metrics fid kid prdc
gan-jax evaluate RUN --metrics fid kid prdc --real test   # real pictures, for comparison
gan-jax evaluate RUN --metrics kid --samples FOLDER       # another program's samples

The numbers of the run's own samples are kept in it: in metrics.jsonl, and in report.html.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

from gan_jax import zoo
from gan_jax.commands import cli
from gan_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    metrics: tuple[str, ...] = ()
    """By default those of the run's recipe."""
    count: int | None = None
    """Samples to compare; by default as the recipe says."""
    features: tuple[str, ...] = ()
    """The networks that compare, one after the other: efficientnet-lite0, hed-vgg16,
    inception-2015, vgg16, fashion-cnn. By default the recipe's."""
    step: int | Literal["best"] | None = None
    """The checkpoint's round, or 'best' of a run with run.best; by default the newest."""
    ema: float | None = None
    """Of a run with several averages, the half-life in kimg of those that make the samples; by
    default game.ema_kimg."""
    split: str | None = None
    """Of the real data; by default the one trained on, or test where samples begin with data."""
    real: str = ""
    """A split whose real pictures are measured in place of samples: what to expect at best."""
    real_data: str = ""
    """The data set that --real is a split of; by default the run's own."""
    samples: str = ""
    """A folder or zip of pictures to measure in place of samples, such as another program's; the
    run then only says with which data and how."""
    seed: int = 0


def main() -> None:
    """Reads the run's directory and the flags, then measures."""
    workdir, options = cli.of_run(Options(), __doc__)

    from gan_jax import config
    from gan_jax.build.data import open_data
    from gan_jax.build.schedule import images
    from gan_jax.evaluation import registry
    from gan_jax.evaluation.evaluate import (
        check_metrics,
        compared_with,
        measure,
        measure_pictures,
        open_pictures,
    )
    from gan_jax.training import run_dir

    cli.compilation_cache()
    if options.count is not None and options.count < 1:
        raise UserError(f"count = {options.count}: at least 1 is needed")
    run_dir.read_experiment(workdir)  # registers the metrics of its recipe's file
    registry.expand(options.metrics)
    for name in options.features:
        registry.find_features(name)
    built, step, state = run_dir.load(workdir, options.step, options.ema)
    if not (options.metrics or built.experiment.run.metrics):
        valid = ", ".join([*registry.METRICS, *registry.GROUPS])
        raise UserError(f"the recipe names no metrics; say --metrics with some of {valid}")
    check_metrics(built, options.metrics or None)  # refused before anything is measured
    source = open_data(built.experiment, options.split)
    chosen = {
        "split": options.split,
        "metrics": options.metrics,
        "count": options.count,
        "features": options.features,
    }
    if options.split is None and (options.samples or options.real or options.real_data):
        source, chosen["split"] = compared_with(built, source)  # as the run's own samples
    if options.samples:
        if options.real or options.real_data:
            raise UserError("--samples and --real both name pictures to measure: say one of them")
        pictures = open_pictures(built, options.samples)
        show(measure_pictures(built, source, pictures, prefix="", **chosen))
        return
    if options.real or options.real_data:
        others = config.change(
            built.experiment, {"data.name": options.real_data} if options.real_data else {}
        )
        show(measure_pictures(built, source, open_data(others, options.real or "train"), **chosen))
        return
    kimg = images(built.stages, step) / 1000
    averaged = "" if options.ema is None else f", averaged with a half-life of {options.ema:g} kimg"
    print(f"{workdir}: round {step}, {kimg:g} kimg{averaged}", flush=True)
    where, position = zoo.outputs(workdir), {"step": step, "kimg": kimg}
    errors: list[str] = []
    try:
        for values in measure(
            built, state, cli.key(options.seed), source, ema=options.ema, **chosen
        ):
            show(values)
            errors.append(keep(where, position, values, options.seed))
    finally:
        if errors:
            report(where, next(filter(None, errors), ""))


def show(found: dict[str, float]) -> None:
    """Prints a line for each quantity."""
    for quantity, value in found.items():
        print(f"{quantity} {value:.6g}", flush=True)


def keep(workdir: Path, position: dict[str, float], found: dict[str, float], seed: int) -> str:
    """Appends what was found to the run's metrics; returns the error, or "".

    It is called for each metric, so that one that fails or is killed later loses nothing.
    """
    from gan_jax.reporting import run_log

    try:
        workdir.mkdir(parents=True, exist_ok=True)
        run_log.append_scores(workdir, position, found, seed)
    except OSError as error:
        return str(error.strerror)
    return ""


def report(workdir: Path, error: str) -> None:
    """Writes the report anew and says where the numbers are kept, or that they are not.

    A run of somebody else may not be writable; the numbers are on the screen.
    """
    from gan_jax.reporting import run_log
    from gan_jax.reporting.page import write_report

    if not error:
        try:
            page = write_report(workdir)
        except OSError as found:
            error = str(found.strerror)
        else:
            print(f"kept in {workdir / run_log.METRICS} and {page}", file=sys.stderr)
    if error:
        print(f"warning: not kept in {workdir}: {error}", file=sys.stderr)
