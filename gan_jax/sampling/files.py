"""Translates the pictures of a file, folder or zip, of any sizes, by a trained run."""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from gan_jax import grids
from gan_jax.data.decoding import MODES, BadImageError, read_image
from gan_jax.data.listing import EXTENSIONS, list_images
from gan_jax.errors import UserError
from gan_jax.metrics.features import to_uint8
from gan_jax.metrics.perceptual import signed

LEAST = 8  # pixels of a side: what the smallest networks take

Translate = Callable[[Float[np.ndarray, "n h w c"]], Float[np.ndarray, "n h w c"]]


def translate_files(
    translate: Translate, path: Path, out: Path, *, channels: int, multiple: int
) -> Iterator[str]:
    """Writes each picture's translation to `out`, under its own name as PNG; yields the names.

    Pictures are read one by one, with 1 or 3 `channels`, and keep their size. A file that is not a
    whole picture keeps no other from being translated. Raises UserError for nothing to read, two
    files of one name or in the place of one that is read, and at the end for what was unreadable.
    """
    if path.is_file() and path.suffix.lower() in EXTENSIONS:
        names, read = (path.name,), lambda _: path.read_bytes()
    else:
        listing = list_images(path)
        names, read = listing.names, listing.read
    targets = _targets(names, path)
    own = {path.resolve(), *((path / name).resolve() for name in names)}
    for target in targets.values():
        if (out / target).resolve() in own:
            raise UserError(f"--out {out}: {target} would replace what is read; choose another")
    bad = []
    for name, target in targets.items():
        try:
            picture = read_image(read(name), lambda image: _array(image, channels))
        except BadImageError as error:
            bad.append(f"{name}: {error}")
            continue
        whole = translate_whole(translate, picture, multiple)
        grids.save_png(out / target, whole)
        yield target
    if bad:
        counts = f"{len(bad)} of {len(names)} pictures in {path} could not be read"
        raise UserError(f"{counts}, the others are translated; {'; '.join(bad[:5])}")


def translate_whole(
    translate: Translate, picture: UInt8[np.ndarray, "h w c"], multiple: int
) -> UInt8[np.ndarray, "h w c"]:
    """A picture of any size through a network that takes multiples: mirrored, then cropped."""
    height, width = picture.shape[:2]
    pads = [(extra // 2, extra - extra // 2) for extra in _missing((height, width), multiple)]
    padded = np.pad(picture, (*pads, (0, 0)), mode="symmetric")
    (top, _), (left, _) = pads
    whole = to_uint8(translate(signed(padded[None])))[0]
    return whole[top : top + height, left : left + width]


def _missing(sides: tuple[int, int], multiple: int) -> list[int]:
    return [max(-(-side // multiple) * multiple, LEAST) - side for side in sides]


def _targets(names: tuple[str, ...], path: Path) -> dict[str, str]:
    """What each file's translation is called. Raises UserError where two share a name."""
    targets: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        target = PurePosixPath(name).with_suffix(".png").as_posix()
        if target in owners:
            both = f"{owners[target]!r} and {name!r}"
            raise UserError(f"{both} in {path} would both become {target!r}: rename one")
        owners[target], targets[name] = name, target
    return targets


def _array(image: Image.Image, channels: int) -> UInt8[np.ndarray, "h w c"]:
    width, height = image.size
    return np.asarray(image.convert(MODES[channels])).reshape(height, width, channels)
