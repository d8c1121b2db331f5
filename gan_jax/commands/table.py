"""Prints an ablation's table from its runs, as far as they have come.

gan-jax table objectives                     # Markdown
gan-jax table objectives --out objectives.html  # .md .tex .csv
gan-jax table objectives --earlier objectives.csv

TABLE is one of the package's, or FILE.py of yours, or FILE.py:NAME where a file has several.
Without any run of the table it prints the numbers that come with the project and says so.
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gan_jax import config
from gan_jax.commands import ablate, cli
from gan_jax.config import Ablation
from gan_jax.errors import UserError, nearest

if TYPE_CHECKING:
    from gan_jax.reporting.ablation_table import Scores


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the runs are and how to print."""

    root: str = "runs"
    out: str | None = None
    """A file whose ending says the format; by default Markdown on the screen."""
    earlier: str | None = None
    """A .csv of this table from another time or machine, for the seeds that have no run here."""


def main() -> None:
    """Reads the table's name and the flags, then prints."""
    where, *flags = sys.argv[1:] or ["--help"]
    if where.startswith("-"):
        print(cli.usage("TABLE", __doc__))
        return
    options = cli.parse(Options(), flags, where)
    table = config.table(where)

    from gan_jax.grids import write_atomically
    from gan_jax.reporting.ablation_table import make_table
    from gan_jax.reporting.table_formats import FORMATS

    form = Path(options.out).suffix.lstrip(".") if options.out else "md"
    if form not in FORMATS:
        raise UserError(f"--out {options.out!r}: did you mean an ending {nearest(form, FORMATS)}?")
    if options.out:
        cli.writable(options.out)
    if form == "html":
        draw_walks(table, ablate.name(where), options.root)
    earlier = options.earlier or committed(where, table, options.root)
    scores = read(earlier, table) if earlier else None
    text = FORMATS[form](make_table(table, ablate.name(where), options.root, scores))
    if options.out is None:
        print(text, end="")
        return
    write_atomically(Path(options.out), text.encode())
    print(options.out)


def committed(where: str, table: Ablation, root: str) -> str | None:
    """The .csv beside the table's file, said to be so, if no run of the table has finished.

    Raises UserError where there is neither.
    """
    from gan_jax.reporting.ablation_table import runs, state

    name = ablate.name(where)
    if any(state(experiment, at) == "done" for _, experiment, at in runs(table, name, root)):
        return None
    path = config.find_table(where.rpartition(":")[0] or where).parent / f"{name}.csv"
    if not path.exists():
        command = f"gan-jax ablate {where} run"
        raise UserError(
            f"no finished run of this table in {root!r}: run `{command}`, or say --root"
        )
    print(f"no finished run in {root!r}: these are the numbers of {path}", file=sys.stderr)
    return str(path)


def read(path: str, table: Ablation) -> "Scores":
    """The scores of a table's .csv. Raises UserError where it cannot be one of this table."""
    from gan_jax.reporting.ablation_table import scores_of_csv

    try:
        scores = scores_of_csv(Path(path).read_text())
    except OSError as error:
        raise UserError(f"--earlier {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"--earlier {path}: {error}") from error
    for row in scores:
        if row not in table.rows:
            guess = nearest(row, table.rows)
            raise UserError(f"--earlier {path}: no row {row!r} here; did you mean {guess}?")
    return scores


def draw_walks(table: Ablation, name: str, root: str) -> None:
    """Walks between latents for every row's first seed that is done, if the game has latents."""
    from gan_jax.reporting.ablation_table import runs as runs_of
    from gan_jax.reporting.ablation_table import state
    from gan_jax.training import sample_grids

    cli.compilation_cache()
    for _, experiment, at in runs_of(table, name, root):
        if experiment.seed == table.seeds[0] and state(experiment, at) == "done":
            sample_grids.draw_walks(at)
