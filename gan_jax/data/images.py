"""Folders and zips of images of any kind: prepared once, at one resolution, as an array_record."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from PIL import Image, ImageOps
from tqdm import tqdm

from gan_jax.data import held_out
from gan_jax.data.builders import base
from gan_jax.data.source import (
    Source,
    cache_dir,
    default_threads,
    fingerprint,
    in_order,
    open_built,
    warn_once,
)
from gan_jax.errors import UserError, nearest

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

T = TypeVar("T")


class BadImageError(Exception):
    """One file could not be read as an image; the message says why."""


Stamp = tuple[str, int, int]


class _BadFile(NamedTuple):
    name: str
    why: str


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
    """The files below a root; [name, size, time or checksum] identifies each.

    `stamps` are the images, `others` the rest; `read` gives the bytes of either.
    """

    stamps: tuple[Stamp, ...]
    others: tuple[Stamp, ...]
    read: Callable[[str], bytes]

    @property
    def names(self) -> tuple[str, ...]:
        """The images' names, in a fixed order."""
        return tuple(name for name, _, _ in self.stamps)


class Item(NamedTuple):
    """One example to be: the files that its pictures are read from, and its other features."""

    key: str
    files: tuple[str, ...]
    more: Mapping[str, Any] = MappingProxyType({})


def whole(image: Image.Image) -> tuple[Image.Image, ...]:
    """Take a file's image as one picture."""
    return (image,)


class Kind(NamedTuple):
    """A kind of folder: which pictures are in a file, and what they are called.

    `cut` makes one picture or several of the upright image in one file; the pictures of an item's
    files in their order are its `columns`. The first one's pixels decide whether it is held out.
    """

    name: str
    cut: Callable[[Image.Image], tuple[Image.Image, ...]] = whole
    columns: tuple[str, ...] = ("image",)


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
    return read_image(data, lambda image: to_square(image, look))


def read_image(data: bytes, make: Callable[[Image.Image], T]) -> T:
    """Decode an encoded image, turn it upright and opaque, and make something of it.

    Raises:
        BadImageError: the bytes are no whole image; with the reason.
    """
    if not data:
        raise BadImageError("it is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return make(plain(image))
    except BadImageError:
        raise
    except Image.UnidentifiedImageError as error:
        raise BadImageError("it is not an image") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise BadImageError(f"it has more than {limit} million pixels") from error
    except Exception as error:  # decoders raise anything on damaged bytes
        raise BadImageError(_in_one_line(error)) from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


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
    others = tuple(sorted(stamp for stamp in stamps if not _is_image(stamp[0])))
    return Listing(wanted, others, read)


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in EXTENSIONS


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _list_folder(root: Path) -> tuple[list[Stamp], Callable[[str], bytes]]:
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


def _list_zip(path: Path) -> tuple[list[Stamp], Callable[[str], bytes]]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise UserError(f"{path} is neither a folder nor a zip: {error}") from error
    files = [one for one in archive.infolist() if not one.is_dir() and not _hidden(one.filename)]
    for name in (one.filename for one in files):
        if PurePosixPath(name).is_absolute():
            raise UserError(f"{path} has an entry of absolute name, {name!r}: pack it anew")
    return [(one.filename, one.file_size, one.CRC) for one in files], archive.read


def group(names: tuple[str, ...]) -> dict[str, Group]:
    """Find splits and labels in relative names.

    Folders that hold everything are looked through. Then top folders that are all called train,
    test or validation are splits; and where every image of all splits lies in a sub-folder, the
    first sub-folder is its label.
    """
    parts, split_at, label_at = _levels(names)
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


def _levels(names: tuple[str, ...]) -> tuple[list[tuple[str, ...]], int | None, int]:
    """Split names into folders, and say at which level splits, if any, and labels are."""
    parts = [PurePosixPath(name).parts for name in names]
    depth = common_depth(parts)
    tops = {one[depth] if len(one) > depth + 1 else "" for one in parts}
    split_at = depth if tops <= SPLITS else None
    return parts, split_at, depth if split_at is None else depth + 1


def without_class(path: str) -> str | None:
    """Name the first image below `path` that lies in no class's sub-folder, if there is one."""
    names = list_images(Path(path).expanduser()).names
    parts, _, label_at = _levels(names)
    return next((n for n, one in zip(names, parts, strict=True) if len(one) <= label_at + 1), None)


def common_depth(parts: list[tuple[str, ...]]) -> int:
    """Count the folders that hold all the files."""
    depth = 0
    while all(len(one) > depth + 1 for one in parts) and len({one[depth] for one in parts}) == 1:
        depth += 1
    return depth


def open_folder(path: str | None, *, split: str, look: Look, on_bad_image: str) -> Source:
    """Open the images below `path`: prepared at the first use and when a file or the look changes.

    Args:
        path: folder or zip; sub-folder names become labels when every image lies in one.
        split: 'train', 'test', a top folder called 'validation', a slice ('train[:90%]') or a sum:
            'train+test' is all. Where there is no folder 'test', it is the validation folder, or
            else pictures that `prepare` holds out.
        look: resolution, channels, filter, crop.
        on_bad_image: 'fail' at a file that is not a whole image, or 'skip' it with a warning.

    Raises:
        UserError: nothing at `path`, no images, a bad image, an unknown split or option.
    """
    root, listing = find_images("folder", path, on_bad_image)
    groups = group(listing.names)
    labels = [one.labels for one in groups.values() if one.labels is not None]
    classes = sorted({label for some in labels for label in some})
    label = {"label": tfds.features.ClassLabel(names=classes)} if classes else {}
    items = {split: _labelled(one) for split, one in groups.items()}
    kind = Kind("folder")
    made = prepare(kind, root, listing, items, label, look=look, on_bad_image=on_bad_image)
    tell(root, listing.stamps, listing.others, made.info.metadata)
    split = held_out.find_split(split, made.info.splits, str(root))
    decoder = square(look, "folder")
    return open_built(made, name="folder", split=split, look=look._asdict(), square=decoder)


def _labelled(one: Group) -> tuple[Item, ...]:
    if one.labels is None:
        return tuple(Item(name, (name,)) for name in one.names)
    pairs = zip(one.names, one.labels, strict=True)
    return tuple(Item(name, (name,), {"label": label}) for name, label in pairs)


def find_images(name: str, path: str | None, on_bad_image: str) -> tuple[Path, Listing]:
    """List the images of the data set `name`, which reads the folder or zip at `path`.

    Raises:
        UserError: no path, nothing there, no images, or an unknown `on_bad_image`.
    """
    if path is None:
        raise UserError(f"data set {name!r} needs the path of a folder or a zip of images")
    if on_bad_image not in ("fail", "skip"):
        raise UserError(f"on_bad_image must be 'fail' or 'skip', not {on_bad_image!r}")
    root = Path(path).expanduser()
    return root, list_images(root)


def prepare(
    kind: Kind,
    root: Path,
    listing: Listing,
    items: Mapping[str, tuple[Item, ...]],
    features: Mapping[str, Any],
    *,
    look: Look,
    on_bad_image: str,
    read_too: tuple[Stamp, ...] = (),
) -> Any:
    """Write the items of each split as squares, once for these files and this look.

    Where the folders name training splits only, and each has at least `held_out.FEWEST` items, a
    tenth of each becomes a test split, chosen by the pixels of each item's first picture as the
    file has it: at every look the same ones. All files are decoded twice then.

    Args:
        kind: name, pictures of a file, columns.
        root: where the files lie, for messages.
        listing: of `root`.
        items: by split.
        features: TFDS features beside the pictures; each item's `more` has their values.
        look: of every picture.
        on_bad_image: 'fail' or 'skip'; an item is left out when one of its files is bad.
        read_too: files beside the images that the items depend on.

    Raises:
        UserError: a bad image, or no good one in a split.
    """
    facts = {"files": listing.stamps, "look": look, "bad": on_bad_image, "version": 1}
    if kind.name != "folder":  # folders of images came first, and keep their fingerprints
        facts |= {"kind": kind.name, "read_too": read_too}
    alone = all(one.startswith("train") for one in items)
    divided = alone and min(map(len, items.values())) >= held_out.FEWEST
    if divided:
        facts |= {"held_out": (held_out.SHARE, held_out.MOST, held_out.FEWEST)}
    bad = {} if on_bad_image == "skip" else None

    def splits() -> Mapping[str, tuple[Item, ...]]:
        found = _divide(kind, root, listing, items, bad) if divided else items
        if alone:
            _tell_held_out(root, found)
        _tell_unseen(root, found)
        return found

    declared = _declare(kind, root, listing, splits, features, look, bad)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return base.prepare(declared, data_dir=cache_dir() / "folders" / fingerprint(facts))


def square(look: Look, name: str) -> Callable[[bytes], np.ndarray]:
    """Make the function that decodes the images of data set `name` to squares of this look."""

    def read(data: bytes) -> np.ndarray:
        try:
            return decode(data, look)
        except BadImageError as error:
            raise UserError(f"data set {name!r} holds a damaged image: {error}") from error

    return read


def tell(
    root: Path, files: tuple[Stamp, ...], ignored: tuple[Stamp, ...], notes: Mapping[str, Any]
) -> None:
    """Warn of images that were skipped and of files that were not read, each in one line."""
    if notes["skipped"]:
        count, first = notes["skipped"], notes["first_skipped"]
        warn_once(f"{root}: skipped {count} of {len(files)} images: {first}")
    if ignored:
        warn_once(f"{root}: ignored {len(ignored)} files that are not images by name")


def _declare(
    kind: Kind,
    root: Path,
    listing: Listing,
    splits: Callable[[], Mapping[str, tuple[Item, ...]]],
    features: Mapping[str, Any],
    look: Look,
    bad: dict[str, str] | None,
) -> base.ImageSet:
    """Declare the folder. Bad images are noted in `bad`; when that is None they are fatal."""
    shape = (look.resolution, look.resolution, look.channels)

    def pictures() -> Mapping[str, Any]:
        image = tfds.features.Image
        return {one: image(shape=shape, encoding_format="png") for one in kind.columns}

    def examples(some: tuple[Item, ...]) -> Iterator[base.Example]:
        found = 0
        for item, squares in _in_threads(
            kind, root, some, listing, bad, lambda picture: to_square(picture, look)
        ):
            found += 1
            made = (base.as_image(one) for one in squares)
            yield item.key, dict(zip(kind.columns, made, strict=True)) | dict(item.more)
        if not found:
            raise UserError(f"no image in {root} could be read; the first: {_first(bad or {})}")

    return base.ImageSet(
        name=kind.name,
        version="1.0.0",
        description=f"images in {root.name}, {look.resolution} px, {look.resize}",
        licence="that of the images",
        citation="",
        homepage="",
        features=lambda: {**pictures(), **features},
        splits=lambda _: {
            name: base.Split(len(some), lambda some=some: examples(some))
            for name, some in splits().items()
        },
        notes=lambda: {"skipped": len(bad or {}), "first_skipped": _first(bad or {})},
    )


def _first(bad: Mapping[str, str]) -> str:
    return next((f"{name} ({why})" for name, why in bad.items()), "")


def _divide(
    kind: Kind,
    root: Path,
    listing: Listing,
    items: Mapping[str, tuple[Item, ...]],
    bad: dict[str, str] | None,
) -> dict[str, tuple[Item, ...]]:
    """Move what is held out from each training split to a test split."""
    divided = {}
    for split, some in items.items():
        hashed = _in_threads(kind, root, some, listing, bad, held_out.digest)
        bar = tqdm(
            hashed, total=len(some), desc=f"comparing {split}", unit="image", mininterval=0.5
        )
        known = [(item, digests[0]) for item, digests in bar]
        chosen = held_out.are_held_out([digest for _, digest in known])
        test = split.replace("train", "test", 1)
        for name, side in ((split, False), (test, True)):
            found = zip(known, chosen, strict=True)
            divided[name] = tuple(item for (item, _), held in found if held == side)
        if not divided[test]:
            del divided[test]
    return divided


def _tell_held_out(root: Path, splits: Mapping[str, tuple[Item, ...]]) -> None:
    """Tell, when a set without a test split is prepared, how much of it is held out."""
    sizes = {split: len(some) for split, some in splits.items() if split.startswith("test")}
    if sizes:
        held = " and ".join(f"{size} are held out as {split!r}" for split, size in sizes.items())
        warn_once(f"{root} has no test split: {held}")
    else:
        warn_once(f"{root} has no test split, and {held_out.TOO_FEW}")


def _tell_unseen(root: Path, splits: Mapping[str, tuple[Item, ...]]) -> None:
    """Tell which classes have no picture to train on."""
    known = {
        split: {str(item.more["label"]) for item in some if "label" in item.more}
        for split, some in splits.items()
    }
    unseen = sorted(set().union(*known.values()) - known["train"]) if "train" in known else []
    if unseen:
        warn_once(f"{root}: no picture to train on of class {', '.join(map(repr, unseen))}")


def _in_threads(
    kind: Kind,
    root: Path,
    items: tuple[Item, ...],
    listing: Listing,
    bad: dict[str, str] | None,
    make: Callable[[Image.Image], T],
) -> Iterator[tuple[Item, tuple[T, ...]]]:
    """Yield each item with what is made of its pictures, in order, without those of bad files."""

    def read(image: Image.Image) -> tuple[T, ...]:
        return tuple(make(picture) for picture in kind.cut(image))

    def one(item: Item) -> tuple[T, ...] | _BadFile:
        found: tuple[T, ...] = ()
        for name in item.files:
            try:
                found += read_image(read_file(listing, name), read)
            except BadImageError as error:
                return _BadFile(name, str(error))
        return found

    with ThreadPoolExecutor(default_threads()) as pool:
        for item, result in zip(items, in_order(pool, one, iter(items)), strict=True):
            if not isinstance(result, _BadFile):
                yield item, result
                continue
            if bad is None:
                skip = "on_bad_image 'skip' leaves such files out"
                raise UserError(
                    f"cannot read the image {root / result.name}: {result.why} ({skip})"
                )
            bad[result.name] = result.why


def read_file(listing: Listing, name: str) -> bytes:
    """Read one file of a folder or a zip.

    Raises:
        BadImageError: the file system or the zip does not give it; with the reason.
    """
    try:
        return listing.read(name)
    except Exception as error:  # each of a zip's ways to compress has errors of its own
        raise BadImageError(_in_one_line(error)) from error
