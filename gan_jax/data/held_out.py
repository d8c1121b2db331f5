"""Which of one's own pictures are held out, where a folder has no test split of its own.

The pixels decide, by a hash, not names, times or order: a picture that is there twice is on one
side, and neither another name nor other pictures move it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence

from PIL import Image

from gan_jax.errors import NoSplit

SHARE = 0.1
"""The part of the pictures that becomes the test split."""

MOST = 5000
"""Where the share is more pictures than this it is halved, until it is not."""

FEWEST = 20
"""Of fewer different pictures none is held out."""

TOO_FEW = f"of fewer than {FEWEST} different pictures none is held out"

VALIDATION = ("val", "valid", "validation")
"""What is opened as 'test' where there is one of these and no 'test', first come first."""


def digest(image: Image.Image) -> str:
    """Hash an upright and opaque picture's size and pixels, whatever the file's name and format.

    Grey pictures are hashed as RGB: a copy that another program saved so is no other picture.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    hasher = hashlib.sha256(str(rgb.size).encode())
    hasher.update(rgb.tobytes())
    return hasher.hexdigest()


def are_held_out(digests: Sequence[str]) -> list[bool]:
    """Say which pictures are held out: those whose hash lies in the first tenth of all hashes.

    So pictures that are added move none that are there, but in two cases: where no hash lies in
    that tenth, the smallest is held out; and at 50,000 pictures, as at each doubling, half of those
    held out return to the training. Of fewer than `FEWEST` different pictures none is held out.
    """
    distinct = set(digests)
    if len(distinct) < FEWEST:
        return [False] * len(digests)
    share = SHARE
    while share * len(distinct) > MOST:
        share /= 2
    chosen = {one for one in distinct if int(one[:8], 16) < share * 2**32} or {min(distinct)}
    return [one in chosen for one in digests]


def find_split(split: str, splits: Container[str], where: str) -> str:
    """Read 'test', alone or in a sum or slice, as the validation split where there is no test.

    Args:
        split: what is asked for: 'test', 'train+test[:50%]'.
        splits: those that are there, without the sides of domains.
        where: of the pictures, for the message.

    Raises:
        NoSplit: 'test' is asked for, and neither it nor a validation split is there.
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
    raise NoSplit(f"{where} has no split 'test': {TOO_FEW}; add pictures, or a folder of that name")
