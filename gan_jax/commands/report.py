"""Writes the report of a run again, or a page that compares several runs.

gan-jax report RUN                               # RUN/report.html
gan-jax report RUN RUN ... --out compare.html    # curves, metrics, samples side by side
"""

import dataclasses
import sys
from pathlib import Path

from gan_jax import zoo
from gan_jax.commands import cli
from gan_jax.errors import UserError, no_run


@dataclasses.dataclass(frozen=True)
class Options:
    """What to write."""

    out: str = "comparison.html"
    """Of several runs: the page."""


def main() -> None:
    """Reads the runs' directories and the flags, then writes."""
    words = sys.argv[1:] or ["--help"]
    count = next((k for k, word in enumerate(words) if word.startswith("-")), len(words))
    runs, flags = [Path(word) for word in words[:count]], words[count:]
    if not runs:
        print(cli.usage("RUN [RUN ...]", __doc__))
        flags = ["--help"]
    options = cli.parse(Options(), flags, "RUN ...")
    for run in runs:
        if zoo.name_of(run):
            raise UserError(f"{run} has no curves to report; docs/guides/zoo.md has its card")
        if not (run / "config.json").is_file():
            raise no_run(run)
    if len(runs) == 1 and options.out != Options.out:
        raise UserError("--out is for the page of several runs; one has its report.html")

    from gan_jax.reporting.comparison import write_comparison
    from gan_jax.reporting.page import write_report

    if len(runs) == 1:
        print(write_report(runs[0]))
        return
    print(write_comparison(runs, cli.writable(options.out)))
