"""Makes a run of official weights, to sample from, translate with, measure or train on.

gan-jax import-weights latest_net_G_A.pth --from cyclegan --out runs/horse2zebra
gan-jax import-weights checkpoints/maps_pix2pix --from pix2pix --out runs/maps
gan-jax import-weights netG_epoch_24.pth --from dcgan --out runs/faces
gan-jax import-weights ffhq.pkl --from stylegan2 --out runs/ffhq

CycleGAN's and pix2pix's files are those of the authors' PyTorch code, DCGAN's those of PyTorch's
example, StyleGAN2's and -ADA's those of its PyTorch release; a folder of checkpoints gives every
network in it. Nothing in a file is ever run. Widths and sizes come from the weights, the rest of
the run from a recipe; RUN/imported.json names the files with their SHA-256.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gan_jax import config
from gan_jax.commands import cli
from gan_jax.config import Experiment
from gan_jax.errors import UserError

SIDE = 256  # of pictures that a network of any side was trained on, most often


@dataclasses.dataclass(frozen=True)
class Options:
    """Where weights come from and where they go."""

    source: Annotated[
        Literal["", "cyclegan", "pix2pix", "dcgan", "stylegan2"], tyro.conf.arg(name="from")
    ] = ""
    """The code that wrote the file."""
    out: str = ""
    """The run's directory, which must not hold a run yet."""
    recipe: str = ""
    """What the run is otherwise, as of train; by default the source's own on a folder."""
    net: str = ""
    """Which network the file is, where neither its name nor its layers say so: x2y, d_y, ..."""
    epoch: str = ""
    """Of a folder's checkpoints; by default the latest."""
    resolution: int = SIDE
    """Of the data, where the weights do not say it (CycleGAN's take any)."""
    data: str | None = None
    """The data's path, where samples or training need it."""


def main() -> None:
    """Reads the file, builds its networks, and writes the run."""
    where, options = cli.of_file(Options(), __doc__, "FILE")
    if not options.source or not options.out:
        raise UserError("say --from cyclegan, pix2pix, dcgan or stylegan2, and --out RUN")
    cli.writable(Path(options.out) / "config.json")

    from gan_jax.interop import names, sources

    source = sources.SOURCES[options.source]
    found = sources.find(source, Path(where), epoch=options.epoch, net=options.net)
    recipe = options.recipe or source.recipe
    experiment = make_experiment(config.recipe(recipe), source, found, options)

    import jax

    from gan_jax import game
    from gan_jax.build.experiment import build
    from gan_jax.metrics.weights import sha256
    from gan_jax.training import run_dir

    cli.compilation_cache()
    built = build(config.change(experiment, {"run.devices": 1}))
    like = jax.eval_shape(lambda: game.init(built.game, built.key))
    networks: dict[str, game.Variables] = {}
    averaged: dict[str, game.Variables] = {}
    for one in found:
        net = "generator" if one.net == sources.AVERAGED else one.net
        shapes = {"params": like.params[net], **like.stats[net]}
        variables = names.from_torch(one.architecture.table, one.state, shapes, one.origin)
        (averaged if one.net == sources.AVERAGED else networks)[net] = variables
    networks = {**averaged, **networks}
    fresh = sorted(name for name in like.params if name not in networks)
    manifest = {
        "from": options.source,
        "networks": {
            one.net: {
                "file": one.file.name,
                "sha256": sha256(one.file),
                "without effect": sorted(one.architecture.table.ignored & one.state.keys()),
            }
            for one in found
        },
        "not imported, as at the start": fresh,
    }
    out = Path(options.out)
    run_dir.begin_imported(out, built, networks, averaged, recipe, manifest)
    for one in found:
        print(f"{one.net}: {one.origin}, {len(one.architecture.table.entries)} tensors")
    if fresh:
        print(f"not imported, as at the start: {', '.join(fresh)}")
    print(f"{out}: a run of {recipe}, {built.experiment.data.resolution} px")


def make_experiment(recipe: Experiment, source, found, options: Options) -> Experiment:
    """The recipe with the networks that the weights are of, and all that follows from them.

    Raises UserError for a recipe of another game, and for networks that do not belong together.
    """
    usual = config.recipe(source.recipe)
    if type(recipe.game) is not type(usual.game):
        kinds = f"{type(recipe.game).__name__}, the weights are of {type(usual.game).__name__}"
        raise UserError(f"--recipe is of a game {kinds}; did you mean {source.recipe!r}?")
    changes: dict[str, object] = {"name": f"{options.source}-imported", **source.overrides}
    changes |= {"data.resolution": options.resolution}
    if options.data:
        changes |= {"data.path": options.data}
    said: dict[str, tuple[object, str]] = {}
    for role, other in (("generator", "discriminator"), ("discriminator", "generator")):
        twins = [one.architecture.network for one in found if one.architecture.role == other]
        if twins and type(twins[0]) is type(getattr(recipe, role).network):
            changes[f"{role}.network"] = twins[0]  # until the role's own weights say otherwise
    for one in found:
        facts = {
            f"{one.architecture.role}.network": one.architecture.network,
            **one.architecture.overrides,
        }
        for field, value in facts.items():
            before, by = said.setdefault(field, (value, one.origin))
            if before != value:
                raise UserError(f"{one.origin} has {field} {value}, {by} {before}: not of one run")
        changes |= facts
    return config.change(recipe, changes)
