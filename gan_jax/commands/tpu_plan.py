"""Plan which recipe fits which slice of TPUs or GPUs, and how long a round takes at least.

gan-jax tpu-plan stylegan2:ffhq1024 --topology v5e:4x4
gan-jax tpu-plan stylegan2:ffhq1024 --topology v5e:4x4 --compile True
gan-jax tpu-plan dcgan stylegan2 --topology v5e:2x2 --compile True --table TABLE.md

No accelerator is needed, nor data. Without --compile the round is lowered: parameters, the memory
of the state, products, exchanges. With it, the compiler of the chip says the memory of the whole
round, or that it does not fit, in ten seconds to four minutes a recipe (--effort full: four times
as long and 5 % more memory for dcgan:celeba64). The compiler comes as a package that is best
kept in an environment of its own, beside the project's:

python3 -m venv .venv-plan
.venv-plan/bin/python -m pip install -c scripts/constraints.txt -e '.[plan]'

then `.venv-plan/bin/gan-jax tpu-plan ...`. Topologies: v2:2x2, v3:2x2, v4:2x2x1, v5e:2x2,
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

import tyro

from gan_jax import config
from gan_jax.commands import cli
from gan_jax.errors import UserError
from gan_jax.planning.chips import read_slice
from gan_jax.planning.request import Request


@dataclasses.dataclass(frozen=True)
class Options:
    """What to plan, and how to print it."""

    request: Annotated[Request, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Request)
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
        print(cli.usage("RECIPE...", __doc__))
    options = cli.parse(Options(), words[len(names) :], *names or ["RECIPE..."])
    recipes, request = list(expand(names)), options.request
    for recipe in recipes:
        config.recipe(recipe)
    slices = [read_slice(text) for text in options.topology]

    from gan_jax.planning import compiler, search
    from gan_jax.planning.report import describe

    os.environ |= compiler.ENVIRONMENT
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
    """Expand FILE.py, or a file of the package such as dcgan, to all of its recipes."""
    for name in names:
        if ":" in name:
            yield name
        else:
            yield from (f"{name}:{recipe}" for recipe in config.recipes(name))


def tabulate(recipes: list[str], options: Options) -> None:
    """Plan every recipe on every slice, each in its own process; write the table after each."""
    from gan_jax.planning import isolated, table

    path, request = Path(options.table), options.request
    rows = table.read(path)
    for recipe, topology in itertools.product(recipes, options.topology):
        print(f"{recipe} on {topology} ...", flush=True)
        start = time.monotonic()
        row = isolated.planned(recipe, topology, request, options.minutes)
        print(f"  {time.monotonic() - start:.0f} s {row.get('failed', '')}", flush=True)
        name = f"{recipe} {topology} {request.precision} {request.rows or ''}".strip()
        table.write(path, rows := rows | {name: row})
