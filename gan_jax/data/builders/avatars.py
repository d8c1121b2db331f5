"""2,000 drawn faces: Open Peeps by Pablo Stanley (CC0), combined by DiceBear's generator."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from gan_jax.data.builders.base import Example, Features, ImageSet, Split, as_image, picture

EMBEDDED = Path(__file__).parent.parent / "embedded" / "avatars_openPeeps_64.npz"

FACES = (
    *("angryWithFang", "awe", "blank", "calm", "cheeky", "concerned", "concernedFear"),
    *("contempt", "cute", "cyclops", "driven", "eatingHappy", "explaining", "eyesClosed"),
    *("fear", "hectic", "lovingGrin1", "lovingGrin2", "monster", "old", "rage", "serious"),
    *("smile", "smileBig", "smileLOL", "smileTeethGap", "solemn", "suspicious", "tired"),
    "veryAngry",
)
"""The thirty classes, with 48 to 87 images each."""

ATTRIBUTES = (
    *("face", "head", "facialHair", "accessories", "mask"),
    *("skinColor", "headContrastColor", "clothingColor"),
)
"""Attributes drawn at random by the generator; '' if absent, colours as '#rrggbb'."""

DARK = {"#694d3d", "#ae5d29"}  # the skin colours (of five) with lightness L* below 50
LONG = ("bangs", "long", "medium")  # prefixes of heads with hair to the neck or below

BINARY: Mapping[str, Callable[[Mapping[str, str]], bool]] = {
    "beard": lambda drawn: drawn["facialHair"] != "",
    "dark_skin": lambda drawn: drawn["skinColor"] in DARK,
    "glasses": lambda drawn: "glasses" in drawn["accessories"],
    "long_hair": lambda drawn: drawn["head"].startswith(LONG),
    "mask": lambda drawn: drawn["mask"] != "",
}
"""Binary attributes; the accessory without glasses is an eyepatch."""

TEST_SHARE = 10
"""One image in this many is in the test split."""


def in_test_split(pixels: np.ndarray, share: int = TEST_SHARE) -> bool:
    """Return whether an image is in the test split, by a hash of its pixels.

    Copies of an image are in the same split.
    """
    digest = hashlib.sha256(pixels.tobytes()).digest()
    return int.from_bytes(digest[:8], "big") % share == 0


def features(side: int) -> Features:
    """Return the TFDS features of faces of `side` x `side` pixels."""
    import tensorflow_datasets as tfds

    return {
        "image": picture(side),
        "label": tfds.features.ClassLabel(names=list(FACES)),
        **{name: tfds.features.Text() for name in ATTRIBUTES},
    }


def _splits(_: Path) -> Mapping[str, Split]:
    with np.load(EMBEDDED) as archive:
        images = archive["images"]
        drawn = {name: archive[f"attr_{name}"] for name in ATTRIBUTES}
    test = np.array([in_test_split(image) for image in images])

    def examples(rows: np.ndarray) -> Iterator[Example]:
        for row in rows:
            attributes = {name: str(column[row]) for name, column in drawn.items()}
            label = {"label": attributes["face"]}
            yield f"{row:04d}", {"image": as_image(images[row])} | label | attributes

    sides = {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)}
    return {
        name: Split(len(rows), lambda rows=rows: examples(rows)) for name, rows in sides.items()
    }


AVATARS = ImageSet(
    name="avatars",
    version="1.0.0",
    description="2,000 drawn faces, 64 px on white, aligned, with the face as label and every "
    "attribute as text; comes with the package. About one in ten is for testing.",
    licence="CC0 1.0: Open Peeps by Pablo Stanley",
    citation="",
    homepage="https://www.openpeeps.com",
    features=lambda: features(64),
    splits=_splits,
    attributes=BINARY,
)
