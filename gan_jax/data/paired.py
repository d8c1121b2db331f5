"""Folders and zips of images of two domains, x (A) and y (B), paired or unpaired.

Paired as in pix2pix (Isola et al., arXiv:1611.07004), unpaired as in CycleGAN (Zhu et al.,
arXiv:1703.10593).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_jax.data import held_out, images
from gan_jax.data.decoding import BadImageError, Preprocessing, make_decoder
from gan_jax.data.images import FolderLayout, Item
from gan_jax.data.listing import SPLITS, common_depth, find_images
from gan_jax.data.source import Source, column, fingerprint, open_built, renamed, zip_unpaired
from gan_jax.errors import NoSplit, UserError

SIDES = {"A": "x", "B": "y"}
"""Letter of each domain in folder names -> name of its column."""

ROLES: dict[str, tuple[str, str]] = {
    f"{split}{side}": (split, side)
    for split in ("", *SPLITS)
    for side in ("", *SIDES)
    if split or side
}
"""Folder names such as 'train', 'A' and 'trainA' -> (split, side), '' where not named."""

TWO_FOLDERS = "A/ and B/ (or trainA/ and trainB/, or train/A/ and train/B/)"
SIDE_BY_SIDE = "images side by side (at the top, or in train/, val/ and test/)"


class Place(NamedTuple):
    """Split and side of a file, from its folders; `side` is '' where no folder names one."""

    name: str
    split: str
    side: str
    rest: tuple[str, ...]

    @property
    def key(self) -> str:
        """The path below the side folder without suffix, equal for the two files of a pair."""
        return PurePosixPath(*self.rest).with_suffix("").as_posix()


def open_pairs(
    path: str | None, *, split: str, preprocessing: Preprocessing, on_bad_image: str
) -> Source:
    """Open the image pairs below `path` as columns 'x' and 'y'.

    Two layouts are supported: two folders, A (x) and B (y), whose files are matched by name without
    suffix; or one file per pair, x its left half and y its right half. Both images get the same
    crop and resize. The pixels of x decide whether a pair is held out, so all pairs with the same x
    are in the same split.

    Args:
        path: folder or zip.
        split: 'train', 'val', 'test', a slice ('train[:90%]') or a sum ('train+test'); 'test' as in
            `images.open_folder`.
        preprocessing: resolution, channels, filter, crop.
        on_bad_image: 'fail', or 'skip' pairs with a bad file.

    Returns:
        A source of corresponding 'x' and 'y'.

    Raises:
        UserError: nothing at `path`, an unknown layout, a file without its counterpart, a bad
            image, a side-by-side image of odd width, an unknown split or option.
    """
    root, listing = find_images("pairs", path, on_bad_image)
    places = _places(listing.names)
    if any(place.side for place in places):
        items, layout = _two_folders(root, places), FolderLayout("pairs", columns=("x", "y"))
    else:
        items, layout = _side_by_side(root, places), FolderLayout("pairs", halves, ("x", "y"))
    return images.open_items(
        layout,
        root,
        listing,
        items,
        {},
        split=split,
        preprocessing=preprocessing,
        on_bad_image=on_bad_image,
    )


def open_unpaired(
    path: str | None, *, split: str, preprocessing: Preprocessing, on_bad_image: str
) -> Source:
    """Open two folders, A (x) and B (y), of unpaired images; their sizes may differ.

    `batches` samples x and y independently, each from its own permutations: in n batches of b rows,
    each image of a side with m images appears n b / m times, rounded up or down. `size`, the length
    of an epoch, is that of the larger side. In `records`, and so in `eval_batches`, row i holds the
    i-th image of each side, and the smaller side repeats from its start.

    Args:
        path: folder or zip with trainA, trainB, testA, testB (or train/A, ..., or A, B).
        split: 'train', 'val', 'test', a slice of both sides ('train[:90%]') or a sum; 'test' as in
            `images.open_folder`, for each side separately.
        preprocessing: resolution, channels, filter, crop.
        on_bad_image: 'fail' or 'skip'.

    Returns:
        A source of 'x' and 'y' with two `sides`.

    Raises:
        UserError: nothing at `path`, an unknown layout, a missing side, a bad image, an unknown
            split or option.
    """
    root, listing = find_images("unpaired", path, on_bad_image)
    places = _places(listing.names)
    _reject((one for one in places if not one.side), root, TWO_FOLDERS)
    items = {
        f"{split}{side}": tuple(Item(one.name, (one.name,)) for one in some)
        for split in _splits(places)
        for side, some in _by_side(root, places, split).items()
    }
    prepared = images.prepare(
        FolderLayout("unpaired"),
        root,
        listing,
        items,
        {},
        preprocessing=preprocessing,
        on_bad_image=on_bad_image,
    )
    images.warn_of_omissions(root, listing.stamps, listing.others, prepared.info.metadata)
    known = {name[:-1] for name in prepared.info.splits}
    return open_domains(
        prepared,
        name="unpaired",
        split=held_out.find_split(split, known, str(root)),
        preprocessing=preprocessing._asdict(),
        decode=make_decoder(preprocessing, "unpaired"),
    )


def has_domains(splits: Container[str], split: str) -> bool:
    """Return whether `split` has two domains, as 'train[:90%]' has in 'trainA' and 'trainB'."""
    parts = [part.partition("[")[0].strip() for part in split.split("+")]
    return all(
        part not in splits and all(f"{part}{side}" in splits for side in SIDES) for part in parts
    )


def open_domains(
    prepared: Any,
    *,
    name: str,
    split: str,
    preprocessing: Mapping[str, Any],
    decode: Callable[[bytes], np.ndarray],
) -> Source:
    """Open splits such as 'trainA' and 'trainB' of a prepared builder as unpaired 'x' and 'y'.

    Args:
        prepared: builder whose splits end in A and B and hold an 'image'.
        name: of the data set.
        split: without A and B: 'train', 'test[:50%]', 'train+test'.
        preprocessing: as in `source.open_built`.
        decode: as in `source.open_built`.

    Raises:
        UserError: no such splits, an empty one, or no 'image' in them.
    """
    x, y = (
        open_built(
            prepared,
            name=name,
            split=on_side(split, side),
            preprocessing=preprocessing,
            decode=decode,
        )
        for side in SIDES
    )
    if "image" not in x.records[0]:
        raise UserError(f"data set {name!r} has {', '.join(x.records[0])}, but no image")
    sides = tuple(
        column(side.records, "image", rename=one)
        for side, one in zip((x, y), SIDES.values(), strict=True)
    )
    records = zip_unpaired(*sides)
    key = fingerprint({"x": x.fingerprint, "y": y.fingerprint})
    return Source(name, records, key, records.count, None, None, x.description, sides=sides)


def on_side(split: str, side: str) -> str:
    """Return the split of one domain: 'train[:90%]+test' -> 'trainA[:90%]+testA'."""
    parts = (part.partition("[") for part in split.split("+"))
    return "+".join(f"{name.strip()}{side}{bracket}{rest}" for name, bracket, rest in parts)


def swap_sides(source: Source) -> Source:
    """Exchange the columns 'x' and 'y', so that the target becomes the input.

    Raises:
        UserError: the source lacks these columns.
    """
    columns = source.records[0]
    if not {"x", "y"} <= columns.keys():
        raise UserError(
            "data.direction 'y2x' exchanges x and y, but data set "
            f"{source.name!r} has {', '.join(columns)}: use 'x2y'"
        )
    names = {"x": "y", "y": "x"}
    return source._replace(
        records=renamed(source.records, names),
        sides=tuple(renamed(side, names) for side in source.sides),
        fingerprint=fingerprint({"of": source.fingerprint, "direction": "y2x"}),
    )


def halves(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Split an image into its left and right half.

    Raises:
        BadImageError: its width is odd.
    """
    width, height = image.size
    if width % 2:
        raise BadImageError(f"its width {width} is odd, so it is not two images side by side")
    left = image.crop((0, 0, width // 2, height))
    return left, image.crop((width // 2, 0, width, height))


def _places(names: tuple[str, ...]) -> tuple[Place, ...]:
    """Read splits and sides from the folders, ignoring folders that contain all files."""
    parts = [PurePosixPath(name).parts for name in names]
    depth = 0
    while depth < common_depth(parts) and parts[0][depth] not in ROLES:
        depth += 1
    return tuple(_place(name, one[depth:]) for name, one in zip(names, parts, strict=True))


def _place(name: str, parts: tuple[str, ...]) -> Place:
    split, side, used = "", "", 0
    for folder in parts[:-1]:
        new_split, new_side = ROLES.get(folder, ("", ""))
        if not (new_split or new_side) or (split and new_split) or (side and new_side):
            break
        split, side, used = split or new_split, side or new_side, used + 1
    return Place(name, split or "train", side, parts[used:])


def _splits(places: tuple[Place, ...]) -> list[str]:
    return sorted({place.split for place in places})


def _reject(places: Iterable[Place], root: Path, layout: str) -> None:
    """Raise a UserError that names the first of `places`, if there is one."""
    for place in places:
        raise UserError(f"unknown layout of {root}: {place.name!r} is not in {layout}")


def _by_side(root: Path, places: tuple[Place, ...], split: str) -> dict[str, list[Place]]:
    here = [place for place in places if place.split == split]
    sides = {side: [place for place in here if place.side == side] for side in SIDES}
    for side, some in sides.items():
        if not some:
            raise NoSplit(f"split {split!r} of {root} has no images on side {side}")
    return sides


def _two_folders(root: Path, places: tuple[Place, ...]) -> dict[str, tuple[Item, ...]]:
    _reject((one for one in places if not one.side), root, TWO_FOLDERS)
    items = {}
    for split in _splits(places):
        sides = _by_side(root, places, split)
        a, b = (_by_key(root, some) for some in sides.values())
        _all_matched(root, split, a, b)
        items[split] = tuple(Item(key, (a[key].name, b[key].name)) for key in sorted(a))
    return items


def _by_key(root: Path, places: list[Place]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for place in places:
        first = found.setdefault(place.key, place)
        if first is not place:
            raise UserError(
                f"{first.name!r} and {place.name!r} in {root} have the same name: rename one"
            )
    return found


def _all_matched(root: Path, split: str, a: dict[str, Place], b: dict[str, Place]) -> None:
    for side, other, here, there in (("A", "B", a, b), ("B", "A", b, a)):
        alone = sorted(here.keys() - there.keys())
        if alone:
            counts = f"split {split!r} of {root} has {len(a)} files in A and {len(b)} in B"
            first = f"the first: {here[alone[0]].name!r}"
            raise UserError(f"{counts}; {len(alone)} of {side} have none in {other}, {first}")


def _side_by_side(root: Path, places: tuple[Place, ...]) -> dict[str, tuple[Item, ...]]:
    expected = f"{TWO_FOLDERS}, nor one of the {SIDE_BY_SIDE}"
    _reject((one for one in places if len(one.rest) > 1), root, expected)
    return {
        split: tuple(Item(one.name, (one.name,)) for one in places if one.split == split)
        for split in _splits(places)
    }
