"""Trains a recipe; the same command resumes a stopped run.

gan-jax train dcgan:quickstart --discriminator.lr 4e-4 --workdir runs/try
gan-jax train cgan:fashion_mnist --from zoo:garments   # starts from trained weights

RECIPE is one of those below, or FILE.py:NAME in a file of yours.
"""

import dataclasses
import re
import sys
import zlib
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax import config, zoo
from gan_jax.commands import cli
from gan_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """Train `experiment` into `workdir`."""

    experiment: Annotated[config.Experiment, tyro.conf.arg(name="")]
    workdir: str | None = None
    """Directory of the run; by default runs/NAME/FINGERPRINT/seedSEED."""
    source: Annotated[str, tyro.conf.arg(name="from")] = ""
    """Begin with the weights of a run, or of an entry of the zoo: zoo:NAME."""
    allow_change: bool = False
    """Resume a run although the configuration or the data changed."""
    tiny: bool = False
    """Two rounds of the recipe's smallest relative, of the same data: does it run here?"""
    terminal: bool = False
    """Draw the last sample grid in the terminal."""
    profile: int = 0
    """Rounds to trace into WORKDIR/profile, after those that compile."""
    hosts: str = ""
    """Train with other processes: 'auto' on a TPU pod or under Slurm, where every process is told
    the same; elsewhere ADDRESS:PORT,COUNT,INDEX."""


def main() -> None:
    """Reads the recipe's name, then its fields as flags, then trains."""
    where, *flags = sys.argv[1:] or ["--help"]
    if where.startswith("-"):
        print(f"{cli.usage('RECIPE', __doc__)}\nRecipes:")
        for name, function in config.all_recipes().items():
            print(f"  {name}  {(function.__doc__ or '').strip().splitlines()[0]}")
        return
    default = Options(config.recipe(where))
    options = cli.parse(default, flags, where)
    experiment = config.check(options.experiment)
    if options.tiny:
        experiment = cli.tiny(experiment)
    name, digits = experiment.name, config.fingerprint(experiment)
    start = f"-from-{_directory_name(options.source)}" if options.source else ""
    workdir = Path(options.workdir or f"runs/{name}/{digits}/seed{experiment.seed}{start}")

    if options.profile < 0:
        raise UserError(f"profile = {options.profile}: a number of rounds is needed")
    if options.hosts and options.source:
        raise UserError(
            "--from works on one host: begin the run without --hosts, then resume it with --hosts "
            "and the same --workdir, without --from"
        )
    cli.require_data(experiment)

    cli.keep_memory()
    if options.hosts:
        cli.join(options.hosts)
    from gan_jax.training import warm_start
    from gan_jax.training.loop import train

    cli.compilation_cache()
    if options.source:
        warm_start.begin(options.source, experiment, workdir, recipe=where)
    changed, traced = options.allow_change, options.profile
    train(experiment, workdir, recipe=where, allow_change=changed, profile=traced)
    if options.terminal:
        _draw_last_grid(workdir)
    print(f"samples: {workdir / 'samples'}\nreport:  {workdir / 'report.html'}")
    if (workdir / "profile").is_dir():
        print(f"profile: tensorboard --logdir {workdir / 'profile'}, or its .json.gz in Perfetto")


def _draw_last_grid(workdir: Path) -> None:
    from gan_jax.reporting import terminal
    from gan_jax.reporting.frames import last_grid

    path = last_grid(workdir / "samples")
    if path is not None:
        terminal.draw(path)


def _directory_name(source: str) -> str:
    """A directory's name for a source of weights; two runs have different ones."""
    if source.startswith(zoo.PREFIX):
        return source.replace(":", "-")
    path = Path(source).resolve()
    return f"{re.sub(r'[^a-z0-9]+', '-', path.name.lower())}-{zlib.crc32(bytes(path)):08x}"
