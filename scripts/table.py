"""Prints an ablation's table from its runs, as far as they have come.

python scripts/table.py experiments/ablations/objectives.py                     # Markdown
python scripts/table.py experiments/ablations/objectives.py --out objectives.html  # .md .tex .csv
"""

import dataclasses
import sys
from pathlib import Path

import ablate
import cli

from gan_jax import config
from gan_jax.config import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the runs are and how to print."""

    root: str = "runs"
    out: str | None = None
    """A file whose ending says the format; by default Markdown on the screen."""


def main() -> None:
    """Reads the table's name and the flags, then prints."""
    where, *flags = sys.argv[1:] or ["--help"]
    if where.startswith("-"):
        print(__doc__)
        return
    options = cli.parse(Options, Options(), flags, f"table.py {where}")

    from gan_jax.training.records import write_atomically
    from gan_jax.training.table import FORMATS, make_table

    form = Path(options.out).suffix.lstrip(".") if options.out else "md"
    if form not in FORMATS:
        raise UserError(f"--out {options.out!r}: did you mean an ending {nearest(form, FORMATS)}?")
    text = FORMATS[form](make_table(config.table(where), ablate.name(where), options.root))
    if options.out is None:
        print(text, end="")
        return
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(Path(options.out), text.encode())
    print(options.out)


if __name__ == "__main__":
    cli.run(main)
