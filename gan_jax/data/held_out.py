"""Choose the images that are held out where a folder has no test split.

A hash of the pixels decides, not names, times or order: copies of an image are in the same split,
and neither renaming an image nor adding others moves it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence

from PIL import Image

from gan_jax.errors import NoSplit

TEST_SHARE = 0.1
"""Share of the images that becomes the test split."""

MAX_HELD_OUT = 5000
"""The share is halved until it is at most this many images."""

MIN_PICTURES = 20
"""Below this number of distinct images none is held out."""

TOO_FEW = f"of fewer than {MIN_PICTURES} different images none is held out"

VALIDATION = ("val", "valid", "validation")
"""Splits opened as 'test' where there is no 'test'; the first that exists."""


def digest(image: Image.Image) -> str:
    """Hash the size and pixels of an 8-bit image, independent of file name and format.

    Grey images are hashed as RGB, so that a grey image saved as RGB has the same hash.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    hasher = hashlib.sha256(str(rgb.size).encode())
    hasher.update(rgb.tobytes())
    return hasher.hexdigest()


def are_held_out(digests: Sequence[str]) -> list[bool]:
    """Return which images are held out: those whose hash is in the first tenth of the hash range.

    Added images move no others to another split, with two exceptions. If no hash is in that tenth,
    the image with the smallest hash is held out. At 50,000 images, and at each doubling, half of
    the held-out images return to the training split.

    Args:
        digests: SHA-256 of each image in hexadecimal, as from `digest`.

    Returns:
        One flag per digest; all False for fewer than `MIN_PICTURES` distinct digests.
    """
    distinct = set(digests)
    if len(distinct) < MIN_PICTURES:
        return [False] * len(digests)
    share = TEST_SHARE
    while share * len(distinct) > MAX_HELD_OUT:
        share /= 2
    chosen = {hexa for hexa in distinct if int(hexa[:8], 16) < share * 2**32} or {min(distinct)}
    return [hexa in chosen for hexa in digests]


def find_split(split: str, splits: Container[str], where: str) -> str:
    """Replace 'test' by the validation split where there is no test split.

    Args:
        split: requested split: 'test', 'train+test[:50%]'.
        splits: existing splits, without the suffix A or B of a domain.
        where: path of the images, for the message.

    Raises:
        NoSplit: neither 'test' nor a validation split exists.
    """
    parts = [part.strip().partition("[") for part in split.split("+")]
    return "+".join(
        f"{_as_validation(name, splits, where)}{bracket}{rest}" for name, bracket, rest in parts
    )


def _as_validation(name: str, splits: Container[str], where: str) -> str:
    if name != "test" or name in splits:
        return name
    for other in VALIDATION:
        if other in splits:
            return other
    raise NoSplit(f"{where} has no split 'test': {TOO_FEW}; add images, or a folder of that name")
