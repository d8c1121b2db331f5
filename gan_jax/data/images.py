"""Folders and zips of images of any kind: prepared once, at one resolution, as an array_record."""

from __future__ import annotations

import io
import logging
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from PIL import Image, ImageOps

from gan_jax.config import UserError, nearest
from gan_jax.data.builders import base
from gan_jax.data.source import (
    Source,
    cache_dir,
    default_threads,
    fingerprint,
    in_order,
    open_built,
)

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
"""Pillow's resampling filters; all but 'nearest' are antialiased when they shrink."""

EXTENSIONS = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".avif", ".jp2", ".tga"),
    )
)
SPLITS = frozenset({"train", "test", "val", "valid", "validation"})
"""Top folders of these names are splits, not classes."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's name for each number of channels."""

log = logging.getLogger("gan_jax")


class BadImageError(Exception):
    """One file could not be read as an image; the message says why."""


class Look(NamedTuple):
    """How images of any size and kind become squares: part of every fingerprint."""

    resolution: int
    channels: int
    resize: str
    crop: str

    def checked(self) -> Look:
        """Return itself, or raise a UserError that names the value out of range."""
        if self.resize not in FILTERS:
            guess = nearest(self.resize, FILTERS)
            raise UserError(f"unknown resize filter {self.resize!r}; did you mean {guess}?")
        if self.crop not in CROPS:
            guess = nearest(self.crop, CROPS)
            raise UserError(f"unknown crop {self.crop!r}; did you mean {guess}?")
        if self.channels not in MODES:
            raise UserError(f"channels must be 1 (grey) or 3 (RGB), not {self.channels}")
        if self.resolution < 1:
            raise UserError(f"resolution must be at least 1, not {self.resolution}")
        return self


class Listing(NamedTuple):
    """The image files below a root: `stamps` [name, size, time or checksum] identify them."""

    stamps: tuple[tuple[str, int, int], ...]
    ignored: int
    read: Callable[[str], bytes]


class Group(NamedTuple):
    """Files of one split, with a label each where sub-folders name classes."""

    names: tuple[str, ...]
    labels: tuple[str, ...] | None


def _center(image: Image.Image) -> Image.Image:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


CROPS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "center": _center,
    "none": lambda image: image,
}
"""What happens before the resize to a square: the middle is cut out, or the whole is squeezed."""


def to_square(image: Image.Image, look: Look) -> UInt8[np.ndarray, "h w c"]:
    """Crop, then resize with the named filter: uint8 [resolution, resolution, channels]."""
    mode = MODES[look.channels]
    image = image if image.mode == mode else image.convert(mode)
    image = CROPS[look.crop](image)
    size = (look.resolution, look.resolution)
    if image.size != size:
        image = image.resize(size, FILTERS[look.resize])
    return np.asarray(image).reshape(*size, look.channels)


def plain(image: Image.Image) -> Image.Image:
    """Turn upright, 8-bit and opaque (over white): a grey or RGB image.

    Raises:
        BadImageError: floating point or 32-bit pixels, whose range nobody knows.
    """
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    return image if image.mode in ("L", "RGB") else image.convert(_nearest_mode(image.mode))


def _nearest_mode(mode: str) -> str:
    return "L" if mode in ("1", "L", "LA", "La") else "RGB"


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 65535:
        raise BadImageError(f"its pixels ({image.mode}) are neither 8 nor 16 bits")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def decode(data: bytes, look: Look) -> UInt8[np.ndarray, "h w c"]:
    """Decode an encoded image to a square.

    Raises:
        BadImageError: the bytes are no whole image; with the reason.
    """
    if not data:
        raise BadImageError("it is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return to_square(plain(image), look)
    except BadImageError:
        raise
    except Image.UnidentifiedImageError as error:
        raise BadImageError("it is not an image") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise BadImageError(f"it has more than {limit} million pixels") from error
    except Exception as error:  # decoders raise anything on damaged bytes
        raise BadImageError(str(error) or type(error).__name__) from error


def list_images(path: Path) -> Listing:
    """List all image files of a folder or a zip, in a fixed order.

    Raises:
        UserError: no such path, not a zip, or no image in it.
    """
    if path.is_dir():
        stamps, read = _list_folder(path)
    elif path.is_file():
        stamps, read = _list_zip(path)
    else:
        raise UserError(f"no folder or zip of images at {path}")
    wanted = tuple(sorted(stamp for stamp in stamps if _is_image(stamp[0])))
    if not wanted:
        held = f"its {len(stamps)} files have other endings" if stamps else "it is empty"
        raise UserError(f"no images in {path}: {held}")
    return Listing(wanted, len(stamps) - len(wanted), read)


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in EXTENSIONS


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _list_folder(root: Path) -> tuple[list[tuple[str, int, int]], Callable[[str], bytes]]:
    stamps, seen = [], set()
    for folder, below, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back up
            below.clear()
            continue
        seen.add(real)
        for file in files:
            path = Path(folder, file)
            name = path.relative_to(root).as_posix()
            if not _hidden(name) and path.is_file():
                stat = path.stat()
                stamps.append((name, stat.st_size, stat.st_mtime_ns))
    return stamps, lambda name: (root / name).read_bytes()


def _list_zip(path: Path) -> tuple[list[tuple[str, int, int]], Callable[[str], bytes]]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise UserError(f"{path} is neither a folder nor a zip: {error}") from error
    files = [one for one in archive.infolist() if not one.is_dir() and not _hidden(one.filename)]
    return [(one.filename, one.file_size, one.CRC) for one in files], archive.read


def group(names: tuple[str, ...]) -> dict[str, Group]:
    """Find splits and labels in relative names.

    Folders that hold everything are looked through. Then top folders that are all called train,
    test or validation are splits; and where every image of all splits lies in a sub-folder, the
    first sub-folder is its label.
    """
    parts = [PurePosixPath(name).parts for name in names]
    depth = 0
    while all(len(one) > depth + 1 for one in parts) and len({one[depth] for one in parts}) == 1:
        depth += 1
    tops = {one[depth] if len(one) > depth + 1 else "" for one in parts}
    split_at = depth if tops <= SPLITS else None
    label_at = depth + 1 if split_at is not None else depth
    labelled = all(len(one) > label_at + 1 for one in parts)
    members: dict[str, list[int]] = {}
    for index, one in enumerate(parts):
        members.setdefault(one[split_at] if split_at is not None else "train", []).append(index)
    return {
        split: Group(
            tuple(names[i] for i in rows),
            tuple(parts[i][label_at] for i in rows) if labelled else None,
        )
        for split, rows in members.items()
    }


def open_folder(path: str | None, *, split: str, look: Look, on_bad_image: str) -> Source:
    """Open the images below `path`: prepared at the first use and when a file or the look changes.

    Args:
        path: folder or zip; sub-folder names become labels when every image lies in one.
        split: 'train', a top folder called 'test' or 'validation', or a slice: 'train[:90%]'.
        look: resolution, channels, filter, crop.
        on_bad_image: 'fail' at a file that is not a whole image, or 'skip' it with a warning.

    Raises:
        UserError: nothing at `path`, no images, a bad image, an unknown split or option.
    """
    if path is None:
        raise UserError("data set 'folder' needs the path of a folder or a zip of images")
    if on_bad_image not in ("fail", "skip"):
        raise UserError(f"on_bad_image must be 'fail' or 'skip', not {on_bad_image!r}")
    root = Path(path).expanduser()
    listing = list_images(root)
    key = fingerprint({"files": listing.stamps, "look": look, "bad": on_bad_image, "version": 1})
    bad: dict[str, str] = {}
    declared = _declare(root, listing, look, bad if on_bad_image == "skip" else None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        made = base.prepare(declared, data_dir=cache_dir() / "folders" / key)
    _tell(root, listing, made.info.metadata)
    decoder = square(look, "folder")
    return open_built(made, name="folder", split=split, look=look._asdict(), square=decoder)


def square(look: Look, name: str) -> Callable[[bytes], np.ndarray]:
    """Make the function that decodes the images of data set `name` to squares of this look."""

    def read(data: bytes) -> np.ndarray:
        try:
            return decode(data, look)
        except BadImageError as error:
            raise UserError(f"data set {name!r} holds a damaged image: {error}") from error

    return read


def _tell(root: Path, listing: Listing, notes: Mapping[str, Any]) -> None:
    if notes["skipped"]:
        count, first = notes["skipped"], notes["first_skipped"]
        log.warning("%s: skipped %d of %d images: %s", root, count, len(listing.stamps), first)
    if listing.ignored:
        log.warning("%s: ignored %d files that are not images by name", root, listing.ignored)


def _declare(root: Path, listing: Listing, look: Look, bad: dict[str, str] | None) -> base.ImageSet:
    """Declare the folder. Bad images are noted in `bad`; when that is None they are fatal."""
    groups = group(tuple(name for name, _, _ in listing.stamps))
    labels = [one.labels for one in groups.values() if one.labels is not None]
    classes = sorted({label for some in labels for label in some})

    def features() -> Mapping[str, Any]:
        shape = (look.resolution, look.resolution, look.channels)
        image = {"image": tfds.features.Image(shape=shape, encoding_format="png")}
        return image | ({"label": tfds.features.ClassLabel(names=classes)} if classes else {})

    def examples(one: Group) -> Iterator[base.Example]:
        found = 0
        for index, pixels in enumerate(_decode_in_threads(root, one.names, listing, look, bad)):
            if pixels is not None:
                found += 1
                label = {"label": one.labels[index]} if one.labels is not None else {}
                yield one.names[index], {"image": base.as_image(pixels), **label}
        if not found:
            raise UserError(f"no image in {root} could be read; the first: {_first(bad or {})}")

    return base.ImageSet(
        name="folder",
        version="1.0.0",
        description=f"images in {root.name}, {look.resolution} px, {look.resize}",
        licence="that of the images",
        citation="",
        homepage="",
        features=features,
        splits=lambda _: {
            name: base.Split(len(one.names), lambda one=one: examples(one))
            for name, one in groups.items()
        },
        notes=lambda: {"skipped": len(bad or {}), "first_skipped": _first(bad or {})},
    )


def _first(bad: Mapping[str, str]) -> str:
    return next((f"{name} ({why})" for name, why in bad.items()), "")


def _decode_in_threads(
    root: Path, names: tuple[str, ...], listing: Listing, look: Look, bad: dict[str, str] | None
) -> Iterator[np.ndarray | None]:
    """Yield squares in the order of the names, None for a bad image."""

    def one(name: str) -> np.ndarray | BadImageError:
        try:
            return decode(_read(listing, name), look)
        except BadImageError as error:
            return error

    with ThreadPoolExecutor(default_threads()) as pool:
        for name, result in zip(names, in_order(pool, one, iter(names)), strict=True):
            if isinstance(result, np.ndarray):
                yield result
                continue
            if bad is None:
                skip = "on_bad_image 'skip' leaves such files out"
                raise UserError(f"cannot read the image {root / name}: {result} ({skip})")
            bad[name] = str(result)
            yield None


def _read(listing: Listing, name: str) -> bytes:
    try:
        return listing.read(name)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise BadImageError(str(error)) from error
