"""Plan which recipe fits which slice of TPUs or GPUs, and how long a round takes at least.

python scripts/tpu_plan.py experiments/stylegan2.py:ffhq1024 --topology v5e:4x4
python scripts/tpu_plan.py experiments/stylegan2.py:ffhq1024 --topology v5e:4x4 --compile True
python scripts/tpu_plan.py experiments/*.py --topology v5e:2x2 --compile True --table TABLE.md

No accelerator is needed, nor data. Without --compile the round is lowered: parameters, the memory
of the state, products, exchanges. With it, the compiler of the chip says the memory of the whole
round, or that it does not fit, in ten seconds to four minutes a recipe (--effort full: four times
as long and 5 % more memory for dcgan.py:celeba64). The compiler comes as a package that is best
kept in an environment of its own, beside the project's:

python3 -m venv .venv-plan
.venv-plan/bin/python -m pip install -c scripts/constraints.txt -e '.[plan]'

then `.venv-plan/bin/python scripts/tpu_plan.py ...`. Topologies: v2:2x2, v3:2x2, v4:2x2x1, v5e:2x2,
v5e:4x4, v5p:2x2x1, v6e:2x2, tpu7x:2x2x1 and larger, cuda:a100x4, cuda:a100-80x8, cuda:h100x8.
"""

import dataclasses
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import cli
import tyro

from gan_jax import config
from gan_jax.errors import UserError
from gan_jax.planning import compiler, isolated, search, table
from gan_jax.planning.chips import read_slice
from gan_jax.planning.report import describe


@dataclasses.dataclass(frozen=True)
class Options:
    """What to plan, and how to print it."""

    request: Annotated[search.Request, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=search.Request
    )
    topology: tuple[str, ...] = ("v5e:2x2",)
    """The slices: v5e:4x4 (TPU), cuda:h100x4 (GPU)."""
    json: bool = False
    """Print JSON instead of lines."""
    table: str = ""
    """Plan every recipe in a process of its own and write a Markdown table there, and its numbers
    beside it as JSON; rows of earlier tables stay."""
    minutes: float = 10.0
    """For a table: how long a row may take."""


def main() -> None:
    """Read recipes, then flags; plan each recipe on each slice."""
    words = sys.argv[1:] or ["--help"]
    names = list(itertools.takewhile(lambda word: word[:1] != "-", words))
    if not names:
        print(__doc__)
    options = cli.parse(Options, Options(), words[len(names) :], "tpu_plan.py RECIPE...")
    os.environ |= compiler.ENVIRONMENT
    recipes, request = list(expand(names)), options.request
    slices = [read_slice(text) for text in options.topology]
    if request.compile:
        for where in slices:
            compiler.require(where.platform)
    if request.rows < 0:
        raise UserError(f"rows = {request.rows}: at least 0 is needed")
    if options.table:
        tabulate(recipes, options)
        return
    found = []
    for recipe, where in itertools.product(recipes, slices):
        for plan in search.plans(recipe, where, request):
            found.append(plan)
            if not options.json:
                print(describe(plan), flush=True)
    if options.json:
        print(json.dumps([dataclasses.asdict(plan) for plan in found]))


def expand(names: Iterable[str]) -> Iterator[str]:
    """Expand FILE.py to all of its recipes; FILE.py:RECIPE stays as it is."""
    for name in names:
        if ":" in name:
            yield name
        else:
            yield from (f"{name}:{recipe}" for recipe in config.recipes(name))


def tabulate(recipes: list[str], options: Options) -> None:
    """Plan every recipe on every slice, each in its own process; write the table after each."""
    path, request = Path(options.table), options.request
    rows = table.read(path)
    for recipe, topology in itertools.product(recipes, options.topology):
        print(f"{recipe} on {topology} ...", flush=True)
        start = time.monotonic()
        row = isolated.planned(__file__, recipe, topology, request, options.minutes)
        print(f"  {time.monotonic() - start:.0f} s {row.get('failed', '')}", flush=True)
        name = f"{recipe} {topology} {request.precision} {request.rows or ''}".strip()
        table.write(path, rows := rows | {name: row})


if __name__ == "__main__":
    cli.run(main)
