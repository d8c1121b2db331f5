"""Serves a local page to play with a trained generator of styles.

gan-jax explore RUN                      # then open the address that it prints
gan-jax explore RUN --attributes True   # sliders for the data's attributes as well

Seed, truncation, noise, style mixing by layers, and directions as sliders, for two pictures side by
side. Only this machine sees the page, unless --host says otherwise.
"""

import contextlib
import dataclasses
from typing import Literal

from gan_jax.commands import cli
from gan_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """Where to serve, and what sliders there are."""

    host: str = "127.0.0.1"
    """The address to bind; 0.0.0.0 shows the page to the network."""
    port: int = 8000
    """0 takes a free one."""
    step: int | Literal["best"] | None = None
    """The checkpoint's round, or 'best' of a run with run.best; by default the newest."""
    ema: float | None = None
    """Of a run with several averages, the half-life in kimg of those that make the samples; by
    default game.ema_kimg."""
    label: int = 0
    """The class, where the generator is told one."""
    truncation_mean: Literal["all", "class"] = "all"
    """What truncation moves w towards: the mean over all classes, or that of the class."""
    sefa: int = 5
    """Sliders by closed form, from the weights of all layers."""
    pca: int = 5
    """Sliders along the largest spread of w."""
    attributes: bool = False
    """Sliders for the data's attributes; the first time, their classifiers are trained."""


def main() -> None:
    """Reads the run's directory and the flags, then serves until Ctrl-C."""
    workdir, options = cli.of_run(Options(), __doc__)

    from gan_jax.build.data import open_data
    from gan_jax.editing import explorer, style_space
    from gan_jax.evaluation import attribute_editing
    from gan_jax.training import run_dir

    if options.sefa < 0 or options.pca < 0 or not 0 <= options.port < 65536:
        raise UserError("sefa and pca must not be negative, and port is from 0 to 65535")
    cli.compilation_cache()
    built, step, state = run_dir.load(workdir, options.step, options.ema)
    classes = getattr(built.experiment.game, "classes", 0)
    if options.label < 0 or options.label >= max(1, classes):
        raise UserError(f"label = {options.label}: this generator is told {classes} classes")
    label = style_space.one_class(classes, options.label)
    space = style_space.open_space(built.game, built.sampler, state, label)
    if options.truncation_mean == "class":
        space = style_space.with_class_mean(space, label)
    layers = range(space.styles.layers)
    directions = []
    if options.attributes:
        found, missing = attribute_editing.find(space, open_data(built.experiment, "train"))
        directions += found
        for name, why in missing.items():
            print(f"no direction of {name}: {why}")
    directions += style_space.sefa(space, layers, options.sefa)
    directions += style_space.pca(space, layers, options.pca)
    made = explorer.make_explorer(space, directions, title=f"{built.experiment.name}, round {step}")
    server = explorer.serve(made, options.host, options.port)
    print(f"{explorer.milliseconds(made):.1f} ms a picture of {made.size} px")
    print(f"http://{options.host}:{server.server_port}/ (Ctrl-C ends it)", flush=True)
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
