"""Which data sets are at hand, known without opening one.

So a mistake does not wait for TFDS or grain; only a name that this package does not declare is
looked up in TFDS.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gan_jax.config import OWN
from gan_jax.data import faces, listing, speech
from gan_jax.data.builders import DECLARED, base, find_set
from gan_jax.data.registry import find_dataset
from gan_jax.data.source import cache_dir
from gan_jax.data.toy import TOYS
from gan_jax.errors import UserError, nearest


def is_available(name: str, *, path: str | None = None, data_dir: str | None = None) -> bool:
    """Return whether a data set can be opened without a preparation step.

    That is: the user's `path` is given, or the data set is in the package or prepared.

    Raises:
        UserError: an unknown name, or a path for a data set that reads none.
    """
    check_path(name, path)
    if name in OWN:
        return path is not None
    name = name.removeprefix(faces.PREFIX)
    if name.startswith("toy/") or find_dataset(name) is not None:
        return True
    declared = find_set(name) or speech.EMBEDDED.get(name)
    if declared is None:
        return find_tfds(name, data_dirs(data_dir)) is not None
    if name in DECLARED and declared.origin is None:
        return True
    return base.is_at(declared, data_dir or cache_dir() / "data")


def require(name: str, *, path: str | None = None, data_dir: str | None = None) -> None:
    """Check that a data set is at hand, or is prepared without network when it is opened.

    Raises:
        UserError: as `pipeline.open_source`: an unknown name, nothing at `path`, or a set that is
            not prepared, with the command that prepares it.
    """
    check_path(name, path)
    if name == "voices":
        speech.find_own(path)
    elif name in OWN:
        listing.find_root(name, path)
    elif name not in speech.EMBEDDED and not is_available(name, path=path, data_dir=data_dir):
        raise UserError(how_to_prepare(name.removeprefix(faces.PREFIX), data_dir))


def check_path(name: str, path: str | None) -> None:
    """Raise UserError for a path that the data set does not read."""
    if path is not None and name not in OWN:
        readers = ", ".join(map(repr, OWN))
        raise UserError(f"path is read by {readers} only, not by {name!r}")


def data_dirs(data_dir: str | None) -> list[str]:
    """List the folders searched for prepared data sets; new ones are written to the first."""
    if data_dir is not None:
        return [data_dir]
    given = os.environ.get("TFDS_DATA_DIR")
    default = [str(cache_dir() / "data"), str(Path.home() / "tensorflow_datasets")]
    return [given, *default] if given else default


def find_tfds(name: str, folders: list[str]) -> Any | None:
    """Return the builder of a TFDS data set that is prepared in one of the folders, or None.

    Raises:
        UserError: TFDS has no data set of that name.
    """
    import tensorflow_datasets as tfds

    for folder in folders:
        try:
            prepared = tfds.builder(name, data_dir=folder)
        except tfds.core.DatasetNotFoundError:
            continue
        except ValueError as error:
            line = str(error).strip().splitlines()[0]
            raise UserError(f"TFDS cannot open {name!r}: {line}") from error
        if base.is_prepared(prepared):
            return prepared
    known = tfds.list_builders(with_community_datasets=False)
    if name.replace(":", "/").split("/")[0] not in known:
        valid = {*OWN, *DECLARED, *speech.NAMES, *TOYS, *known}
        raise UserError(f"unknown data set {name!r}; did you mean {nearest(name, valid)}?")
    return None


def how_to_prepare(name: str, data_dir: str | None) -> str:
    """Say where a data set is not prepared, and the command that prepares it."""
    folder = data_dir or str(cache_dir() / "data")
    needs = ""
    if find_set(name) is None:
        folder = " or ".join(data_dirs(data_dir))
        needs = "; only this step needs TensorFlow: pip install 'gan_jax[prepare]'"
    command = f"gan-jax prepare-data {name}{f' --data-dir {data_dir}' if data_dir else ''}"
    return f"data set {name!r} is not prepared in {folder}: run `{command}`{needs}"
