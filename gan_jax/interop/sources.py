"""Codebases whose weights can be imported: their file names and networks."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gan_jax.errors import UserError, nearest
from gan_jax.interop import dcgan, stylegan2, translators
from gan_jax.interop.names import Architecture, State, read_safetensors, tensors
from gan_jax.torch_file import read_torch

AVERAGED = "averaged"  # name of the exponential moving average of the generator


def _single(file: Path) -> Mapping[str, State]:
    read = read_safetensors if file.suffix == ".safetensors" else read_torch
    return {"": tensors(read(file))}


class Source(NamedTuple):
    """A codebase.

    Attributes:
        identify: (state dict, its name in messages) -> its network.
        nets: the codebase's names of networks, in file names or inside a file -> names here.
        default_nets: role -> network, for files whose name does not tell.
        recipe: of the imported run.
        overrides: fields of the recipe that differ for this codebase.
        pattern: regular expression of file names, with groups 'net' and 'epoch'.
        read: file -> its state dicts by name; '' is the name of a single state dict.
    """

    identify: Callable[[State, str], Architecture]
    nets: Mapping[str, str]
    default_nets: Mapping[str, str]
    recipe: str
    overrides: Mapping[str, object]
    pattern: str
    read: Callable[[Path], Mapping[str, State]] = _single


_TRANSLATORS = r"(?P<epoch>\w+)_net_(?P<net>\w+)\.(pth|safetensors)"

SOURCES: Mapping[str, Source] = {
    "cyclegan": Source(
        lambda state, origin: translators.identify(state, origin, paired=False),
        # The authors' D_A discriminates the outputs of G_A: images of domain B, which is Y here.
        {"G_A": "x2y", "G_B": "y2x", "D_A": "d_y", "D_B": "d_x", "G": "x2y"},
        {"generator": "x2y"},
        "cyclegan:folder",
        {},
        _TRANSLATORS,
    ),
    "pix2pix": Source(
        lambda state, origin: translators.identify(state, origin, paired=True),
        {"G": "generator", "D": "discriminator"},
        {"generator": "generator", "discriminator": "discriminator"},
        "pix2pix:facades",
        {"game.statistics": "picture"},
        _TRANSLATORS,
    ),
    "dcgan": Source(
        dcgan.identify,
        {"G": "generator", "D": "discriminator"},
        {"generator": "generator", "discriminator": "discriminator"},
        "dcgan:folder",
        # The example samples z from a normal distribution and keeps no moving average.
        {"game.prior": "normal", "game.ema_kimg": 0.0},
        r"net(?P<net>\w+?)_epoch_(?P<epoch>\d+)\.(pth|safetensors)",
    ),
    "stylegan2": Source(
        stylegan2.identify,
        stylegan2.NETS,
        {"generator": AVERAGED, "discriminator": "discriminator"},
        "stylegan2:ffhq1024",
        {},
        r"(?!)",
        stylegan2.read,
    ),
}


class Found(NamedTuple):
    """A network in a file.

    Attributes:
        net: its name here, or `AVERAGED`.
        file: path of the file.
        origin: its name in messages.
        state: its state dict.
        architecture: its configuration and table.
    """

    net: str
    file: Path
    origin: str
    state: State
    architecture: Architecture


def find(source: Source, path: Path, *, epoch: str = "", net: str = "") -> list[Found]:
    """Read the networks of a file or of a folder of checkpoints.

    Args:
        source: codebase of the files.
        path: file or folder.
        epoch: of the checkpoints in a folder; by default the latest.
        net: name here of the network in a single file, if its name does not tell.

    Raises:
        UserError: a missing file, a file of another codebase, or an ambiguous network.
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
            origin = f"{inside} of {file}" if inside else str(file)
            architecture = source.identify(state, origin)
            ours = source.nets[inside] if inside else name or _net(source, file, architecture)
            found.append(Found(ours, file, origin, state, architecture))
    return found


def _net(source: Source, file: Path, architecture: Architecture) -> str:
    match = re.fullmatch(source.pattern, file.name)
    if match and match["net"] in source.nets:
        return source.nets[match["net"]]
    if architecture.role not in source.default_nets:
        known = ", ".join(sorted(set(source.nets.values())))
        raise UserError(f"{file} is a {architecture.role}, but which? set --net to one of {known}")
    return source.default_nets[architecture.role]


def _of_epoch(source: Source, folder: Path, epoch: str) -> dict[Path, str]:
    """Return the files of one epoch in a folder -> names of their networks here."""
    matches = [re.fullmatch(source.pattern, path.name) for path in sorted(folder.iterdir())]
    named = [match for match in matches if match and match["net"] in source.nets]
    epochs = {match["epoch"] for match in named}
    if not epochs:
        raise UserError(f"no checkpoint in {str(folder)!r} has a file name of this codebase")
    if epoch and epoch not in epochs:
        raise UserError(f"no epoch {epoch!r} in {folder}; did you mean {nearest(epoch, epochs)}?")
    numbers = sorted((e for e in epochs if e.isdigit()), key=int)
    chosen = epoch or ("latest" if "latest" in epochs or not numbers else numbers[-1])
    return {folder / m[0]: source.nets[m["net"]] for m in named if m["epoch"] == chosen}
