"""Write declared data sets as array_record files through TFDS, without TensorFlow."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from gan_jax.data.builders import buckets
from gan_jax.data.source import sweep
from gan_jax.errors import UserError

T = TypeVar("T")

INFO = "dataset_info.json"  # TFDS writes it last

Features = Mapping[str, Any]
"""TFDS features by name, of types that are imported only where a data set is prepared."""

Example = tuple[str, Mapping[str, object]]
"""A key that is unique in its split, and one value per feature; images are PIL images."""


class Split(NamedTuple):
    """A split of a data set: the number of its examples, and their iterator."""

    count: int
    examples: Callable[[], Iterator[Example]]


class Debian(NamedTuple):
    """Raw files in a Debian package: its name, the folder inside, the SHA-256 of each file."""

    package: str
    folder: str
    sha256: Mapping[str, str]


class Pypi(NamedTuple):
    """Raw files in a wheel: the requirement 'name==1.0', the folder inside, SHA-256 by file."""

    package: str
    folder: str
    sha256: Mapping[str, str]


class Npm(NamedTuple):
    """A Node.js program with its npm packages.

    Attributes:
        package: name of the copy of `project` in which `npm ci` installs the packages.
        folder: folder of the program inside the copy.
        sha256: of each file of the project.
        project: folder with the program, `package.json` and `package-lock.json`, which pins every
            package and its checksum.
    """

    package: str
    folder: str
    sha256: Mapping[str, str]
    project: Path


class ImageSet(NamedTuple):
    """Declaration of a data set.

    Attributes:
        name: of the data set.
        version: 'major.minor.patch'; part of the path of the prepared data.
        description: one sentence for people.
        licence: of the data.
        citation: BibTeX, or ''.
        homepage: URL, or ''.
        features: returns the TFDS features; a function, so that importing a declaration is cheap.
        splits: folder of the raw files -> splits; the folder is unused when `origin` is None.
        origin: package that holds the raw files; None for data in this package.
        notes: returns metadata, such as statistics of the reading, to store with the data.
        unpaired: splits with two domains, x and y, whose rows do not correspond.
        attributes: binary attributes, each a function of an example's texts by feature.
    """

    name: str
    version: str
    description: str
    licence: str
    citation: str
    homepage: str
    features: Callable[[], Features]
    splits: Callable[[Path], Mapping[str, Split]]
    origin: Debian | Pypi | Npm | None = None
    notes: Callable[[], Mapping[str, object]] = dict
    unpaired: tuple[str, ...] = ()
    attributes: Mapping[str, Callable[[Mapping[str, str]], bool]] = {}


def builder(declared: ImageSet, *, data_dir: Path | str, raw: Path | None = None) -> Any:
    """Make the TFDS builder of a declaration.

    `info.metadata['content']` is a hash of the written examples. Images are yielded as PIL images,
    because TFDS encodes arrays with TensorFlow.

    Args:
        declared: the data set.
        data_dir: folder of prepared data.
        raw: folder of the raw files; None for data in this package.
    """
    import tensorflow_datasets as tfds

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
            """Override the message 'Downloading ...': nothing is downloaded."""

        def _log_download_done(self):
            """Override the message after a download."""

    return Declared(data_dir=str(data_dir), file_format="array_record")


def prepare(declared: ImageSet, *, data_dir: Path | str, raw: Path | None = None) -> Any:
    """Write the data set if it is not prepared yet, and return its builder.

    TFDS writes to a temporary folder and renames it when complete, so a killed preparation starts
    again from the beginning; of two concurrent preparations the first to finish is kept.

    Args:
        declared: the data set.
        data_dir: folder of prepared data.
        raw: folder of the raw files; None for data in this package.

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
        with _quiet_tfds(), buckets.plain_files():
            made.download_and_prepare()
    except OSError as error:
        made = builder(declared, data_dir=data_dir, raw=raw)
        if not is_prepared(made):
            line = f"cannot write {declared.name} in {data_dir}: {error}"
            raise UserError(line) from error
    return made


def is_prepared(made: Any) -> bool:
    """Return whether the builder's data are completely written."""
    return (made.data_path / INFO).exists()


def is_at(declared: ImageSet, data_dir: Path | str) -> bool:
    """Return whether a declared data set is prepared in a folder; does not load TFDS."""
    return Path(data_dir, declared.name, declared.version, INFO).exists()


def verify(sha256: Mapping[str, str], folder: Path) -> None:
    """Check the SHA-256 of every raw file.

    Raises:
        UserError: a file is missing or has another checksum.
    """
    for name, expected in sha256.items():
        file = folder / name
        if not file.is_file():
            raise UserError(f"{name} is missing in {folder}; expected {', '.join(sha256)}")
        actual = hashlib.sha256(file.read_bytes()).hexdigest()
        if actual != expected:
            raise UserError(f"{file} is not the expected file: SHA-256 {actual}, not {expected}")


def picture(side: int, channels: int = 3) -> Any:
    """Return the TFDS feature of images of `side` x `side` pixels, stored as PNG."""
    import tensorflow_datasets as tfds

    return tfds.features.Image(shape=(side, side, channels), encoding_format="png")


def zip_repeated(xs: Sequence[T], ys: Sequence[T]) -> list[tuple[T, T]]:
    """Zip two domains; the shorter one repeats from its start, so that each item appears."""
    return [(xs[n % len(xs)], ys[n % len(ys)]) for n in range(max(len(xs), len(ys)))]


def as_image(pixels: np.ndarray) -> Image.Image:
    """Convert uint8 [h w] or [h w 1] (grey) or [h w 3] (RGB) to a PIL image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


@contextlib.contextmanager
def _quiet_tfds() -> Iterator[None]:
    """Hide TFDS's progress bars, which have no totals, and show only the builder's."""
    from tensorflow_datasets.core.utils import tqdm_utils

    active = tqdm_utils._active
    tqdm_utils.display_progress_bar(False)
    try:
        yield
    finally:
        tqdm_utils.display_progress_bar(active)
