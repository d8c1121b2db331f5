"""Inject faults into runs of a recipe and check that no bit is lost.

python scripts/torture.py --list
python scripts/torture.py experiments/gan.py:ring8 --workdir runs/torture
python scripts/torture.py experiments/dcgan.py:quickstart --faults kill --kills 20 -- --run.kimg 2

The recipe is trained once without a fault. Each fault then interrupts or damages another run, and
the same command resumes it: its final state and its metrics must equal those of the undisturbed run
in every bit. A run that cannot be resumed must say why in one line and end with exit code 2. The
faults are in `tests/faults/`.
"""

import dataclasses
import random
import sys
import time
from pathlib import Path

from gan_jax.commands import cli
from gan_jax.errors import UserError, nearest
from gan_jax.progress import clock as timed

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from faults import FAULTS
from faults.harness import QUICK, Harness, spawned

RESULTS = {True: "passed", False: "FAILED", None: "skipped"}


@dataclasses.dataclass(frozen=True)
class Options:
    """Which faults to inject; flags after `--` go to train.py."""

    workdir: str = "runs/torture"
    faults: tuple[str, ...] = ()
    """Names of `--list`; all of them by default."""
    kills: int = 2
    """Signals of each kind in each phase of a run."""
    longest: float = 10.0
    """Seconds: the signals at an arbitrary moment are sent at a uniform time before this."""
    seed: int = 0
    """Seed of the moments and of the damages."""


def main() -> None:
    """Inject the faults, print a table, and exit with 1 if a fault did harm."""
    words = sys.argv[1:] or ["--help"]
    if words[0] == "--list":
        for name, fault in FAULTS.items():
            print(f"{name:20} {(fault.__doc__ or '').strip().splitlines()[0]}")
        return
    split = words.index("--") if "--" in words else len(words)
    recipe, flags, extra = words[0], words[1:split], words[split + 1 :]
    if recipe.startswith("-"):
        print(__doc__)
        recipe, flags = "RECIPE", ["--help"]
    options = cli.parse(Options(), flags, recipe)
    for name in options.faults:
        if name not in FAULTS:
            raise UserError(f"no fault {name!r}; did you mean {nearest(name, FAULTS)}?")
    folder = Path(options.workdir).absolute()
    if folder.exists():
        raise UserError(f"{folder} exists: an empty directory is needed")
    folder.mkdir(parents=True)
    chance = random.Random(options.seed)
    flags = tuple(extra) or QUICK
    harness = Harness(recipe, flags, folder, spawned, chance, options.kills, options.longest)
    if not inject(harness, options.faults or tuple(FAULTS)):
        sys.exit(1)


def inject(harness: Harness, names: tuple[str, ...]) -> bool:
    """Inject the named faults, print a line for each, and return whether none did harm."""
    with timed(f"training {harness.recipe} without a fault, for comparison", delay=0.0):
        harness.baseline()
    harmless = True
    for number, name in enumerate(names, 1):
        start = time.monotonic()
        with timed(f"{name} ({number} of {len(names)})"):
            verdict = FAULTS[name](harness)
        seconds = time.monotonic() - start
        result = RESULTS[verdict.passed]
        print(f"{result:8}{name:20}{seconds:5.0f} s  {verdict.line}", flush=True)
        harmless &= verdict.passed is not False
    return harmless


if __name__ == "__main__":
    cli.run(main)
