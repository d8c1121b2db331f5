"""The codebases that weights come from: how each names files, and what its networks are here."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.errors import UserError, nearest
from gan_jax.interop import dcgan, stylegan2, translators
from gan_jax.interop.names import Portrait, State, read_safetensors, tensors
from gan_jax.torch_file import read_torch

AVERAGED = "averaged"  # a file's name for the averaged copy of the generator


def _single(file: Path) -> Mapping[str, State]:
    read = read_safetensors if file.suffix == ".safetensors" else read_torch
    return {"": tensors(read(file))}


class Source(NamedTuple):
    """A codebase.

    `portrait(state, what)` tells what a state dict is. `nets` are our names of its networks by
    their names in a file's name or in a file of several, `usual` the one of a role where a name
    says nothing. `recipe` is what the run is otherwise, with `facts` changed in it. `read` gives a
    file's state dicts by their names in it, one without a name being the whole file.
    """

    portrait: Callable[[State, str], Portrait]
    nets: Mapping[str, str]
    usual: Mapping[str, str]
    recipe: str
    facts: Mapping[str, Any]
    pattern: str
    read: Callable[[Path], Mapping[str, State]] = _single


_TRANSLATORS = r"(?P<epoch>\w+)_net_(?P<net>\w+)\.(pth|safetensors)"

SOURCES: Mapping[str, Source] = {
    "cyclegan": Source(
        lambda state, what: translators.portrait(state, what, paired=False),
        # The authors' D_A judges what G_A makes: pictures of domain B, which is Y here.
        {"G_A": "x2y", "G_B": "y2x", "D_A": "d_y", "D_B": "d_x", "G": "x2y"},
        {"generator": "x2y"},
        "experiments/cyclegan.py:folder",
        {},
        _TRANSLATORS,
    ),
    "pix2pix": Source(
        lambda state, what: translators.portrait(state, what, paired=True),
        {"G": "generator", "D": "discriminator"},
        {"generator": "generator", "discriminator": "discriminator"},
        "experiments/pix2pix.py:facades",
        {"game.statistics": "picture"},
        _TRANSLATORS,
    ),
    "dcgan": Source(
        dcgan.portrait,
        {"G": "generator", "D": "discriminator"},
        {"generator": "generator", "discriminator": "discriminator"},
        "experiments/dcgan.py:folder",
        # The example draws normal noise and keeps no average, whose batch statistics would be new.
        {"game.prior": "normal", "game.ema_kimg": 0.0},
        r"net(?P<net>\w+?)_epoch_(?P<epoch>\d+)\.(pth|safetensors)",
    ),
    "stylegan2": Source(
        stylegan2.portrait,
        stylegan2.NETS,
        {"generator": AVERAGED, "discriminator": "discriminator"},
        "experiments/stylegan2.py:ffhq1024",
        {},
        r"(?!)",
        stylegan2.read,
    ),
}


class Found(NamedTuple):
    """A network of a file: our name of it (or `AVERAGED`), the file, its numbers and its portrait.

    `what` names it in messages.
    """

    net: str
    file: Path
    what: str
    state: State
    portrait: Portrait


def find(source: Source, path: Path, *, epoch: str = "", net: str = "") -> list[Found]:
    """The networks of a file or of a folder of checkpoints.

    Of a folder those of an `epoch`, by default the latest. `net` names the network of a single
    file. Raises UserError for no file, a file that is none of the source's, or an unclear network.
    """
    if net and net not in source.nets.values():
        known = sorted(set(source.nets.values()))
        raise UserError(f"no network {net!r}; did you mean {nearest(net, known)}?")
    if not path.exists():
        raise UserError(f"no file {str(path)!r}")
    files = _of_epoch(source, path, epoch) if path.is_dir() else {path: net}
    found: list[Found] = []
    for file, name in files.items():
        for inside, state in source.read(file).items():
            what = f"{inside} of {file}" if inside else str(file)
            portrait = source.portrait(state, what)
            ours = source.nets[inside] if inside else name or _named(source, file, portrait)
            found.append(Found(ours, file, what, state, portrait))
    return found


def _named(source: Source, file: Path, portrait: Portrait) -> str:
    match = re.fullmatch(source.pattern, file.name)
    if match and match["net"] in source.nets:
        return source.nets[match["net"]]
    if portrait.role not in source.usual:
        known = ", ".join(sorted(set(source.nets.values())))
        raise UserError(f"{file} is a {portrait.role}, but which? say --net, one of {known}")
    return source.usual[portrait.role]


def _of_epoch(source: Source, folder: Path, epoch: str) -> dict[Path, str]:
    """A folder's files of one epoch, with our names of their networks."""
    matches = [re.fullmatch(source.pattern, path.name) for path in sorted(folder.iterdir())]
    named = [match for match in matches if match and match["net"] in source.nets]
    epochs = {match["epoch"] for match in named}
    if not epochs:
        raise UserError(f"no checkpoint in {str(folder)!r} that is named as this source names them")
    if epoch and epoch not in epochs:
        raise UserError(f"no epoch {epoch!r} in {folder}; did you mean {nearest(epoch, epochs)}?")
    numbers = sorted((e for e in epochs if e.isdigit()), key=int)
    chosen = epoch or ("latest" if "latest" in epochs or not numbers else numbers[-1])
    return {folder / m[0]: source.nets[m["net"]] for m in named if m["epoch"] == chosen}
