"""Makes the entries of gan_jax/zoo from trained runs, and draws their grids again.

python scripts/zoo.py add RUN NAME --description "Drawn faces at 64 px." --step best
python scripts/zoo.py check               # every grid again, beside the stored one; or of NAMEs

An entry is refused without metrics, without a clean git revision, of data that may not be passed
on, and above 6 MB, or 30 MB with the others. `gan-jax sample zoo:` lists the entries.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

from gan_jax import zoo
from gan_jax.commands import cli
from gan_jax.errors import UserError, nearest

ACTIONS = ("add", "check")


@dataclasses.dataclass(frozen=True)
class Options:
    """What the new entry is."""

    description: str = ""
    """A sentence on what it draws."""
    title: str = ""
    """A few words; by default the name."""
    step: int | Literal["best"] | None = None
    """The checkpoint's round, or 'best' of a run with run.best; by default the newest."""
    dtype: Literal["auto", "float32", "float16"] = "auto"
    """Of the stored parameters; auto takes float16 where the grid stays as it is."""
    replace: bool = False
    """Replace an entry of the same name."""


def main() -> None:
    """Reads the action and its words, then acts."""
    action, *words = sys.argv[1:] or ["--help"]
    if action.startswith("-"):
        print(f"usage: zoo.py add RUN NAME [--OPTION VALUE ...] | check [NAME ...]\n\n{__doc__}")
        cli.parse(Options(), ["--help"], "add RUN NAME")
    if action not in ACTIONS:
        raise UserError(f"no action {action!r}; did you mean {nearest(action, ACTIONS)}?")
    cli.compilation_cache()
    if action == "check":
        check(words)
        return
    if len(words) < 2 or words[1].startswith("-"):
        raise UserError("add needs a run and a name: zoo.py add RUN NAME --description TEXT")
    run, name, *flags = words
    options = cli.parse(Options(), flags, f"add {run} {name}")

    from gan_jax.training.zoo import NewEntry, add

    card = add(NewEntry(Path(run), name, **dataclasses.asdict(options)))
    print(f"zoo:{name}: {card.bytes:,} bytes of {card.dtype}, {card.checkpoint} checkpoint")
    print(f"look at {zoo.FOLDER / name / zoo.GRID}")


def check(names: list[str]) -> None:
    """Draws grids again. Raises UserError where one is not as stored."""
    from gan_jax.training.zoo import check as compare

    wrong = []
    for name in names or zoo.names():
        difference = compare(name)
        print(f"zoo:{name}: mean {difference.mean:.3f}, max {difference.max:g} levels of 255")
        wrong += [] if difference.small else [name]
    if wrong:
        raise UserError(f"drawn otherwise than stored: {', '.join(wrong)}")


if __name__ == "__main__":
    cli.run(main)
