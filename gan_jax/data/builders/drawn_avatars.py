"""Any number of drawn faces: Open Peeps (CC0), with independently sampled parts and colours.

The embedded `avatars` follow the distribution of DiceBear's generator: few glasses, beards and
masks. Here the attributes are sampled independently of each other, and the present values of an
attribute are equally likely:

| attribute           | values | absent | each value | each value of 60,000 |
| ------------------- | ------ | ------ | ---------- | -------------------- |
| `face`              | 30     | never  | 1/30       | 2,000                |
| `head`              | 48     | never  | 1/48       | 1,250                |
| `facialHair`        | 16     | 1/2    | 1/32       | 1,875                |
| `accessories`       | 8      | 3/7    | 1/14       | 4,286                |
| `mask`              | 2      | 3/4    | 1/8        | 7,500                |
| `skinColor`         | 5      | never  | 1/5        | 12,000               |
| `headContrastColor` | 10     | never  | 1/10       | 6,000                |
| `clothingColor`     | 7      | never  | 1/7        | 8,571                |

So half of the faces have a beard or a moustache, half have glasses (seven kinds; the eighth
accessory is an eyepatch), 40 % have dark skin and 27 % have long hair (`avatars.BINARY`). Only a
quarter wear a mask, because it hides the mouth and most moustaches.

The design decides where a colour is visible. `headContrastColor` is visible if `head` is bangs,
cornrows, grayBun, grayMedium, grayShort, mediumBangs2, mohawk, mohawk2, noHair3 or short4, or
`facialHair` is full4 or moustache9; all other hair is black. `clothingColor` is also visible in the
heads bun, bun2, hatBeanie, hijab and turban.

Random numbers are raw Philox words, one stream per attribute, so that a larger data set starts with
the faces of a smaller one of the same seed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import os
import re
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from gan_jax.config import SEEDS
from gan_jax.data.builders import avatars
from gan_jax.data.builders.base import Example, ImageSet, Npm, Split, as_image
from gan_jax.data.source import cache_dir
from gan_jax.errors import UserError

PROJECT = Path(__file__).parent / "open_peeps"
"""Folder of the drawing program and of its npm packages' versions and checksums."""

PROGRAM = "draw.mjs"

HEADS = (
    *("afro", "bangs", "bangs2", "bantuKnots", "bear", "bun", "bun2", "buns", "cornrows"),
    *("cornrows2", "dreads1", "dreads2", "flatTop", "flatTopLong", "grayBun", "grayMedium"),
    *("grayShort", "hatBeanie", "hatHip", "hijab", "long", "longAfro", "longBangs", "longCurly"),
    *("medium1", "medium2", "medium3", "mediumBangs", "mediumBangs2", "mediumBangs3"),
    *("mediumStraight", "mohawk", "mohawk2", "noHair1", "noHair2", "noHair3", "pomp"),
    *("shaved1", "shaved2", "shaved3", "short1", "short2", "short3", "short4", "short5"),
    *("turban", "twists", "twists2"),
)
FACIAL_HAIR = (
    *("chin", "full", "full2", "full3", "full4", "goatee1", "goatee2"),
    *(f"moustache{number}" for number in range(1, 10)),
)
ACCESSORIES = (
    *("eyepatch", "glasses", "glasses2", "glasses3", "glasses4", "glasses5"),
    *("sunglasses", "sunglasses2"),
)

SLOTS: Mapping[str, tuple[str, ...]] = {
    "face": avatars.FACES,
    "head": HEADS,
    "facialHair": ("",) * 16 + FACIAL_HAIR,
    "accessories": ("",) * 6 + ACCESSORIES,
    "mask": ("",) * 6 + ("medicalMask", "respirator"),
    "skinColor": ("#ffdbb4", "#edb98a", "#d08b5b", "#ae5d29", "#694d3d"),
    "headContrastColor": (
        *("#2c1b18", "#e8e1e1", "#ecdcbf", "#d6b370", "#f59797"),
        *("#b58143", "#a55728", "#724133", "#4a312c", "#c93305"),
    ),
    "clothingColor": (
        *("#e78276", "#ffcf77", "#fdea6b", "#78e185", "#9ddadb", "#8fa7df", "#e279c7"),
    ),
}
"""Equally likely outcomes of each attribute, '' if absent. The order determines the faces."""

TEST_SHARE = 30
"""One face in this many is in the test split: 2,000 of 60,000."""

MAX_SIDE, MAX_FACES = 1024, 10**8
"""Largest side in pixels, and largest number of faces."""

FILE_FACES, FILE_BYTES = 1000, 2**23
"""Maximum number of faces, and of bytes of pixels, in a file of raw drawings."""


class Faces(NamedTuple):
    """The faces of a data set: the first `count` of a seed, with sides of `resolution` pixels."""

    count: int
    resolution: int = 64
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the data set: 'avatars_60000x64', followed by '_seed1' if the seed is not 0."""
        return f"avatars_{self.count}x{self.resolution}" + f"_seed{self.seed}" * (self.seed > 0)

    def checked(self) -> Faces:
        """Return self, or raise a UserError that names the number out of range."""
        if not 1 <= self.count <= MAX_FACES:
            count = f"count of drawn avatars = {self.count}"
            raise UserError(f"{count}: a number from 1 to {MAX_FACES} is needed")
        if not 8 <= self.resolution <= MAX_SIDE:
            size = f"resolution of drawn avatars = {self.resolution}"
            raise UserError(f"{size}: a number from 8 to {MAX_SIDE} is needed")
        if not 0 <= self.seed < SEEDS:
            seed = f"seed of drawn avatars = {self.seed}"
            raise UserError(f"{seed}: a number from 0 to {SEEDS - 1} is needed")
        return self


def parse(name: str) -> Faces | None:
    """Parse the name of a data set of drawn faces; return None for other data sets.

    Raises:
        UserError: the name starts with 'avatars_' but has another form.
    """
    if not name.startswith("avatars_"):
        return None
    match = re.fullmatch(r"avatars_([0-9]{1,10})x([0-9]{1,10})(?:_seed([0-9]{1,10}))?", name)
    faces = Faces(*(int(number or 0) for number in match.groups())) if match else None
    if faces is None or faces.name != name:
        form = "'avatars_COUNTxSIDE', such as 'avatars_60000x64', and '_seed1' for other faces"
        raise UserError(f"unknown data set {name!r}; sets of drawn faces are named {form}")
    return faces.checked()


def declare(faces: Faces) -> ImageSet:
    """Declare the data set of these faces; its raw folder is an installed copy of `PROJECT`."""
    return ImageSet(
        name=faces.name,
        version="1.0.0",
        description=f"{faces.count:,} drawn faces, {faces.resolution} px on white, aligned, parts "
        "and colours independent of each other, with the face as label and every attribute as "
        f"text. About one in {TEST_SHARE} is for testing.",
        licence=avatars.AVATARS.licence,
        citation=avatars.AVATARS.citation,
        homepage=avatars.AVATARS.homepage,
        features=lambda: avatars.features(faces.resolution),
        splits=lambda raw: _splits(faces, raw),
        origin=origin(),
        notes=lambda: {"renderer": origin().package},
        attributes=avatars.BINARY,
    )


@functools.cache
def origin() -> Npm:
    """Return the drawing program; its name contains a hash of the program and package versions."""
    files = (PROGRAM, "package-lock.json", "package.json")
    sha256 = {name: hashlib.sha256((PROJECT / name).read_bytes()).hexdigest() for name in files}
    key = hashlib.sha256("".join(sha256.values()).encode()).hexdigest()[:8]
    return Npm(f"open_peeps_{key}", "", sha256, PROJECT)


def sample(count: int, seed: int) -> dict[str, UInt8[np.ndarray, "n"]]:
    """Sample the attributes of the first `count` faces of a seed, as indices into `SLOTS`."""

    def column(stream: int, outcomes: int) -> UInt8[np.ndarray, "n"]:
        words = np.random.Philox(np.random.SeedSequence((seed, stream))).random_raw(count)
        return (words % outcomes).astype(np.uint8)

    return {name: column(index, len(slots)) for index, (name, slots) in enumerate(SLOTS.items())}


def attributes_of(drawn: Mapping[str, np.ndarray], row: int) -> dict[str, str]:
    """Return the attributes of one face by name."""
    return {name: SLOTS[name][column[row]] for name, column in drawn.items()}


def render(
    command: Sequence[str], faces: Iterable[Mapping[str, str]], resolution: int
) -> Generator[UInt8[np.ndarray, "h w c"], None, None]:
    """Draw faces with a program that reads JSON lines and writes RGB bytes in the same order.

    Args:
        command: the program; the resolution is appended as its last argument.
        faces: attributes of each face.
        resolution: side of the images in pixels.

    Yields:
        One image per face, as soon as it is drawn.

    Raises:
        UserError: the program is missing, fails, or writes another number of bytes.
    """
    size = 3 * resolution**2
    with tempfile.TemporaryFile() as requests, tempfile.TemporaryFile() as errors:
        count = 0
        for count, face in enumerate(faces, 1):  # noqa: B007
            requests.write(json.dumps(face).encode() + b"\n")
        requests.seek(0)
        process = _started([*command, str(resolution)], requests, errors)
        drawn = 0
        try:
            while len(data := process.stdout.read(size)) == size and drawn < count:
                yield np.frombuffer(data, np.uint8).reshape(resolution, resolution, 3)
                drawn += 1
            ended = len(data) < size and process.wait() == 0
            if ended and not data and drawn == count:
                return
        finally:  # also when the caller closes the generator
            process.kill()
            process.stdout.close()
            process.wait()
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"it did not write {size} bytes for each"
        raise UserError(f"`{' '.join(command)}` failed after {drawn} of {count} faces: {reason}")


def _started(command: list[str], requests: Any, errors: Any) -> Any:
    try:
        return subprocess.Popen(command, stdin=requests, stdout=subprocess.PIPE, stderr=errors)
    except FileNotFoundError as error:
        raise UserError(f"{command[0]} is not installed: install Node.js 18 or newer") from error


def draw(command: Sequence[str], faces: Faces, folder: Path) -> list[Path]:
    """Draw the faces that are missing in `folder`.

    The number of faces in a file does not depend on `faces.count`, so that a larger data set reuses
    the files of a smaller one, and an interrupted drawing resumes. Files are not deleted; a
    prepared data set does not need them.

    Args:
        command: the program, as in `render`.
        faces: which faces.
        folder: of the raw drawings.

    Returns:
        The files in order, each with an array 'images' uint8 [n h w 3].
    """
    share = max(1, min(FILE_FACES, FILE_BYTES // (3 * faces.resolution**2)))
    files = [folder / f"{number:06d}.npz" for number in range(-(-faces.count // share))]
    missing = [number for number, file in enumerate(files) if not file.exists()]
    rows = (row for number in missing for row in range(number * share, (number + 1) * share))
    drawn = sample(len(files) * share, faces.seed)
    pictures = render(command, (attributes_of(drawn, row) for row in rows), faces.resolution)
    folder.mkdir(parents=True, exist_ok=True)
    title = f"drawing {faces.name}"
    bar = tqdm(total=len(missing) * share, desc=title, unit="image", mininterval=0.5)
    with bar, contextlib.closing(pictures):
        for number in missing:
            images = []
            for image in itertools.islice(pictures, share):
                images.append(image)
                bar.update()
            _save(files[number], np.stack(images))
    return files


def _save(file: Path, images: np.ndarray) -> None:
    """Write a file atomically."""
    temporary = file.with_suffix(f".{os.getpid()}")
    with temporary.open("wb") as out:
        np.savez_compressed(out, images=images)
    temporary.replace(file)


def _load(file: Path) -> np.ndarray:
    try:
        with file.open("rb") as data, np.load(data) as archive:
            return archive["images"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{file} is damaged: delete it and run the same command again") from error


def _splits(faces: Faces, raw: Path) -> Mapping[str, Split]:
    folder = f"{origin().package}_{faces.resolution}px_seed{faces.seed}"
    command = ("node", str(raw / PROGRAM))
    files = draw(command, faces, cache_dir() / "downloads" / folder)
    drawn = sample(faces.count, faces.seed)

    def pictures() -> Iterator[tuple[int, np.ndarray]]:
        images = (image for file in files for image in _load(file))
        return enumerate(itertools.islice(images, faces.count))

    test = np.array([avatars.in_test_split(image, TEST_SHARE) for _, image in pictures()])

    def examples(in_test: bool) -> Iterator[Example]:
        for row, image in pictures():
            if test[row] == in_test:
                attributes = attributes_of(drawn, row)
                label = {"label": attributes["face"]}
                yield f"{row:08d}", {"image": as_image(image)} | label | attributes

    counts = {"train": int((~test).sum()), "test": int(test.sum())}
    empty = next((name for name, count in counts.items() if not count), None)
    if empty is not None:
        raise UserError(f"{faces.name} has no face for {empty!r}: a larger count is needed")
    return {
        "train": Split(counts["train"], lambda: examples(False)),
        "test": Split(counts["test"], lambda: examples(True)),
    }
