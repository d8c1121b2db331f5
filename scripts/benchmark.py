"""Measure speed and memory of the project beside plain PyTorch (CPU) doing the same arithmetic.

python scripts/benchmark.py all            # bash scripts/install.sh dev benchmark, first
python scripts/benchmark.py all --out experiments/benchmark.md --seconds 60
python scripts/benchmark.py dcgan          # one case in this process, all sides
python scripts/benchmark.py dcgan --sides project remat # what recomputing activations costs
python scripts/benchmark.py dcgan --sides project       # one side: first round and memory

The sides (the project, PyTorch eager, and PyTorch with its networks compiled) take turns in one
process, so that a busy machine slows all; ratios are those of the medians. PyTorch's threads spin
for some milliseconds after their work, which slows whatever follows: a turn of short rounds starts
with a round that is not timed, and lasts a second. On a busy machine spinning threads can make its
rounds ten times as long, so measure on a quiet machine, or on one core (`taskset -c 0`). First
rounds and memory are measured with one side in a process; the first round of a compiled opponent
holds its compilation, which no timed turn does. The cases and their PyTorch twins are in
`scripts/benchmarks/`.
"""

import dataclasses
import json
import sys
from pathlib import Path

from benchmarks import measure, table
from benchmarks.cases import CASES
from benchmarks.measure import Side

from gan_jax.commands import cli
from gan_jax.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Options:
    """How to measure."""

    rounds: int = 15
    """Timed turns of each side, after two that are not timed."""
    seconds: float = 120.0
    """Stop a case after this many seconds, but not before three timed turns."""
    batch_size: int = 0
    """By default the case's own."""
    sides: tuple[Side, ...] = ("project", "eager", "compiled")
    """Of one case: those that take turns. One alone: its first round, and its memory beyond that of
    the imports."""
    json: bool = False
    """Print one JSON object instead of lines."""
    out: str = ""
    """For `all`: the file, .md or .json, to write the table to."""
    cases: tuple[str, ...] = ()
    """For `all`: which cases; by default every one."""


def main() -> None:
    """Measure one case, or all of them, and print the results."""
    name, *flags = sys.argv[1:] or ["--help"]
    if name.startswith("-"):
        print(f"{__doc__}\nCases: all, {', '.join(CASES)}")
        name, flags = "all", ["--help"]
    options = cli.parse(Options(), flags, name)
    cli.keep_memory()
    for case in options.cases if name == "all" else (name,):
        if case not in CASES:
            guess = nearest(case, ["all", *CASES])
            raise UserError(f"no case {case!r}; did you mean {guess}?")
    if name == "all":
        every(options)
    else:
        one(name, options)


def every(options: Options) -> None:
    """Measure all cases, print the table, and write it to `--out`."""
    names = options.cases or tuple(CASES)
    found = table.measure(names, options.rounds, options.seconds, not options.cases)
    as_json, page = json.dumps(found, indent=1), table.markdown(found)
    print(as_json if options.json else page)
    if options.out:
        path = Path(options.out)
        path.write_text((as_json if path.suffix == ".json" else page) + "\n")


def one(name: str, options: Options) -> None:
    """Measure a case in this process and print the results."""
    size, sides = options.batch_size, options.sides
    if len(sides) == 1:
        facts = measure.alone(name, size, *sides)
    else:
        facts = measure.together(name, size, sides, options.rounds, options.seconds)
    if options.json:
        print(json.dumps(facts))
        return
    for quantity, value in facts.items():
        if quantity != "turns":
            print(f"{quantity:28} {shown(value)}")


def shown(value: object) -> str:
    """A number with four digits, or the numbers of the sides."""
    if isinstance(value, dict):
        return ", ".join(f"{side} {shown(number)}" for side, number in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    cli.run(main)
