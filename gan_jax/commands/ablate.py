"""Runs the rows of an ablation table; what is done is skipped, what was stopped goes on.

gan-jax ablate objectives                     # what there is
gan-jax ablate objectives run                 # all of it
gan-jax ablate objectives run --rows hinge --seeds 0 1
gan-jax ablate objectives commands --machines 4

TABLE is one of the package's, or FILE.py of yours, or FILE.py:NAME where a file has several.
"""

import dataclasses
import shlex
import sys
from pathlib import Path

from gan_jax import config
from gan_jax.commands import cli
from gan_jax.config import Ablation
from gan_jax.errors import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Options:
    """Which rows, which seeds, where."""

    rows: tuple[str, ...] = ()
    """By default every row."""
    seeds: tuple[int, ...] = ()
    """By default the table's."""
    root: str = "runs"
    machines: int = 1
    """Of `commands`: over how many machines to spread the runs."""
    tiny: bool = False
    """Two rounds of every row's smallest relative: does the table run here?"""


def main() -> None:
    """Reads the table's name, the action and the flags."""
    where, *flags = sys.argv[1:] or ["--help"]
    if where.startswith("-"):
        print(cli.usage("TABLE [ACTION]", __doc__))
        return
    action = flags.pop(0) if flags and not flags[0].startswith("-") else "list"
    if action not in ACTIONS:
        raise UserError(f"no action {action!r}; did you mean {nearest(action, ACTIONS)}?")
    options = cli.parse(Options(), flags, where, action)
    ACTIONS[action](chosen(config.table(where), options), where, options)


def chosen(table: Ablation, options: Options) -> Ablation:
    """The part of a table that the flags ask for. Raises UserError naming the nearest row."""
    for row in options.rows:
        if row not in table.rows:
            raise UserError(f"no row {row!r}; did you mean {nearest(row, table.rows)}?")
    rows = {n: e for n, e in table.rows.items() if n in (options.rows or table.rows)}
    if options.tiny:
        rows = {name: cli.tiny(experiment) for name, experiment in rows.items()}
    return dataclasses.replace(table, rows=rows, seeds=options.seeds or table.seeds)


def name(where: str) -> str:
    """The folder of a table: FILE, or FILE-NAME where a file holds several."""
    path, colon, table = where.rpartition(":")
    return f"{Path(path).stem}-{table.lower()}" if colon else Path(where).stem


def show(table: Ablation, where: str, options: Options) -> None:
    """Prints every row: what it changes, and how far each seed is."""
    from gan_jax.reporting.ablation_table import runs, state

    found = runs(table, name(where), options.root)
    base = config.identity(next(iter(table.rows.values())))
    for row, experiment in table.rows.items():
        now = config.identity(experiment)
        changes = [f"{k}={v}" for k, v in now.items() if base.get(k) != v and k != "seed"]
        states = [f"seed{e.seed} {state(e, at)}" for r, e, at in found if r == row]
        print(f"{row}\n    {', '.join(changes) or 'the base'}\n    {', '.join(states)}")


def root(options: Options) -> list[str]:
    """The flag that a printed command needs to find the same runs."""
    return [] if options.root == "runs" else ["--root", options.root]


def commands(table: Ablation, where: str, options: Options) -> None:
    """Prints one command a run, in as many groups as there are machines."""
    from gan_jax.reporting.ablation_table import runs, state

    def flags(experiment: config.Experiment) -> list[str]:
        return [
            "--seeds",
            str(experiment.seed),
            *root(options),
            *(["--tiny", "True"] * options.tiny),
        ]

    if options.machines < 1:
        raise UserError(f"machines = {options.machines}: at least 1 is needed")
    todo = [
        shlex.join([*cli.command("ablate").split(), where, "run", "--rows", row, *flags(e)])
        for row, e, at in runs(table, name(where), options.root)
        if state(e, at) in ("to do", "begun")
    ]
    for machine in range(options.machines):
        print(f"# machine {machine + 1} of {options.machines}")
        print("\n".join(todo[machine :: options.machines]))


def run(table: Ablation, where: str, options: Options) -> None:
    """Trains what is not done. A run whose numbers are not finite is reported, the rest goes on."""
    cli.keep_memory()
    import jax

    from gan_jax.reporting.ablation_table import runs, state
    from gan_jax.training.guard import Stopped
    from gan_jax.training.loop import train

    cli.compilation_cache()
    todo = runs(table, name(where), options.root)
    for number, (row, experiment, at) in enumerate(todo, 1):
        how = state(experiment, at)
        print(f"[{number}/{len(todo)}] {row}, seed {experiment.seed}: {how}", flush=True)
        if how in ("done", "stopped"):
            continue
        try:
            train(experiment, at, recipe=f"{where}, row {row}")
        except Stopped as stop:
            if stop.code != 1:  # asked to end, not a diverged run
                raise
            print(f"{row}, seed {experiment.seed} stopped: {stop}", flush=True)
        jax.clear_caches()  # a process may hold 65,530 pieces of memory, a growing run takes 4,000
    print(shlex.join([*cli.command("table").split(), where, *root(options)]))


ACTIONS = {"list": show, "run": run, "commands": commands}
