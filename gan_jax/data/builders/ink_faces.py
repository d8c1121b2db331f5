"""Drawn faces as ink drawings and in colour, for translation without pairs: Open Peeps (CC0).

Both domains show faces of `drawn_avatars.sample(4400, 11)`. As ink drawings (x) skin, clothes
(some headgear with them) and the hair and beards that have a colour are white; in colour (y) they
have the colours of `COLOURS`, the same on every face, so that each drawing has exactly one true
counterpart. All else (black hair, outlines, medical masks) is the same in both domains. No face is
in both training halves. Attributes that a drawing hides are sampled too, so that one picture in
twenty is a copy of another one on the same side; of the 205 held-out pairs 190 are distinct.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gan_jax.data.builders import avatars, drawn_avatars
from gan_jax.data.builders.base import (
    Example,
    ImageSet,
    Split,
    as_image,
    picture,
    zip_repeated,
)

EMBEDDED = Path(__file__).parent.parent / "embedded" / "faces_ink_colour_64.npz"

COUNT, SEED = 4400, 11

INK = {"skinColor": "#ffffff", "headContrastColor": "#ffffff", "clothingColor": "#ffffff"}
COLOURS = {"skinColor": "#edb98a", "headContrastColor": "#c93305", "clothingColor": "#8fa7df"}

TEST_SHARE = 20
"""One face in this many is in the test split, in both domains."""


def side_of(ink: UInt8[np.ndarray, "h w c"]) -> str:
    """Return where a face is shown: in the 'test' split, or in training domain 'x' or 'y'.

    Args:
        ink: the face as an ink drawing, uint8. Its hash decides.
    """
    if avatars.in_test_split(ink, TEST_SHARE):
        return "test"
    digest = hashlib.sha256(b"half" + ink.tobytes()).digest()
    return "xy"[digest[0] % 2]


def draw(command: Sequence[str], count: int = COUNT) -> dict[str, UInt8[np.ndarray, "n h w c"]]:
    """Draw the first `count` faces as the arrays of the embedded archive.

    The archive is the output of the program of `drawn_avatars.PROJECT` at 64 px.

    Args:
        command: the program, as in `drawn_avatars.render`.
        count: number of faces.

    Returns:
        uint8 [n 64 64 3]: 'x' and 'y', the training halves, and the pairs 'test_x' and 'test_y'.
    """
    drawn = drawn_avatars.sample(count, SEED)
    faces = [drawn_avatars.attributes_of(drawn, row) for row in range(count)]
    inks = list(drawn_avatars.render(command, (face | INK for face in faces), 64))
    coloured = list(drawn_avatars.render(command, (face | COLOURS for face in faces), 64))
    rows = {
        side: [n for n, ink in enumerate(inks) if side_of(ink) == side]
        for side in ("x", "y", "test")
    }
    return {
        "x": np.stack([inks[n] for n in rows["x"]]),
        "y": np.stack([coloured[n] for n in rows["y"]]),
        "test_x": np.stack([inks[n] for n in rows["test"]]),
        "test_y": np.stack([coloured[n] for n in rows["test"]]),
    }


def _splits(_: Path) -> Mapping[str, Split]:
    with np.load(EMBEDDED) as archive:
        halves = {
            "train": zip_repeated(list(archive["x"]), list(archive["y"])),
            "test": zip_repeated(list(archive["test_x"]), list(archive["test_y"])),
        }

    def examples(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Iterator[Example]:
        for row, (x, y) in enumerate(pairs):
            yield f"{row:04d}", {"x": as_image(x), "y": as_image(y)}

    return {
        name: Split(len(pairs), lambda pairs=pairs: examples(pairs))
        for name, pairs in halves.items()
    }


FACES_INK_COLOUR = ImageSet(
    name="faces_ink_colour",
    version="1.0.0",
    description="Drawn faces as ink drawings (x) and in colour (y) for translation without pairs, "
    "64 px on white; comes with the package. In 'train' no face is in both domains and the two "
    "pictures of a row have nothing to do with each other; in 'test' they show the same face.",
    licence=avatars.AVATARS.licence,
    citation="",
    homepage=avatars.AVATARS.homepage,
    features=lambda: {"x": picture(64), "y": picture(64)},
    splits=_splits,
    unpaired=("train",),
)
