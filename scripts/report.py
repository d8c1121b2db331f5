"""Writes the report of a run again, or a page that compares several runs.

python scripts/report.py RUN                               # RUN/report.html
python scripts/report.py RUN RUN ... --out compare.html    # curves, metrics, samples side by side
"""

import dataclasses
import sys
from pathlib import Path

import cli

from gan_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """What to write."""

    out: str = "comparison.html"
    """Of several runs: the page."""


def main() -> None:
    """Reads the runs' directories and the flags, then writes."""
    words = sys.argv[1:] or ["--help"]
    if words[0].startswith("-"):
        print(__doc__)
        return
    count = next((k for k, word in enumerate(words) if word.startswith("-")), len(words))
    runs, flags = [Path(word) for word in words[:count]], words[count:]
    options = cli.parse(Options, Options(), flags, "report.py RUN ...")

    from gan_jax.reporting.comparison import write_comparison
    from gan_jax.reporting.page import write_report

    if len(runs) == 1:
        if not (runs[0] / "config.json").exists():
            raise UserError(f"no run in {str(runs[0])!r}: config.json is missing")
        print(write_report(runs[0]))
        return
    print(write_comparison(runs, cli.writable(options.out)))


if __name__ == "__main__":
    cli.run(main)
