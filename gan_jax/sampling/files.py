"""Translation of the pictures in a file, folder or zip, of any sizes, by a trained run."""

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

MIN_SIDE = 8  # pixels: what the smallest networks take

Translate = Callable[[Float[np.ndarray, "n h w c"]], Float[np.ndarray, "n h w c"]]
"""Pictures in [-1, 1] to their translations."""


def translate_files(
    translate: Translate, path: Path, out: Path, *, channels: int, multiple: int
) -> Iterator[str]:
    """Translate pictures one by one; they keep their sizes.

    A file that cannot be read does not keep the others from being translated.

    Args:
        translate: translates a batch.
        path: a picture, or a folder or zip of pictures.
        out: the folder to write to; each translation is a PNG with the picture's name.
        channels: of the pictures, 1 or 3.
        multiple: what the sides must be divisible by: pictures are padded, and cropped again.

    Yields:
        The name of each file that was written, below `out`.

    Raises:
        UserError: when there is nothing to read, when two pictures would have the same name, when a
            translation would replace a picture, and at the end for the files that cannot be read.
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
        grids.save_png(out / target, translate_padded(translate, picture, multiple))
        yield target
    if bad:
        counts = f"{len(bad)} of {len(names)} pictures in {path} could not be read"
        raise UserError(f"{counts}, the others are translated; {'; '.join(bad[:5])}")


def translate_padded(
    translate: Translate, picture: UInt8[np.ndarray, "h w c"], multiple: int
) -> UInt8[np.ndarray, "h w c"]:
    """Translate a picture of any size: mirror its edges up to a multiple, then crop."""
    height, width = picture.shape[:2]
    whole = padded_sides((height, width), multiple)
    extras = [of - side for of, side in zip(whole, (height, width), strict=True)]
    pads = [(extra // 2, extra - extra // 2) for extra in extras]
    padded = np.pad(picture, (*pads, (0, 0)), mode="symmetric")
    (top, _), (left, _) = pads
    translated = to_uint8(translate(signed(padded[None])))[0]
    return translated[top : top + height, left : left + width]


def padded_sides(sides: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The sides [h w] of the padded picture that the network translates."""
    height, width = (max(-(-side // multiple) * multiple, MIN_SIDE) for side in sides)
    return height, width


def _targets(names: tuple[str, ...], path: Path) -> dict[str, str]:
    """The name of each file's translation. Raises UserError where two share a name."""
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


def read_picture(content: bytes, channels: int) -> UInt8[np.ndarray, "h w c"]:
    """Decode a picture as `translate_files` does: upright by its EXIF orientation, opaque, 8 bits.

    Raises:
        UserError: the bytes are no picture.
    """
    try:
        return read_image(content, lambda image: _array(image, channels))
    except BadImageError as error:
        raise UserError(f"this file is no picture: {error}") from error
