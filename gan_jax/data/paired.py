"""Folders and zips of two domains, x (A) and y (B): in pairs as pix2pix takes them, or without.

Pairs: Isola et al., arXiv:1611.07004; without pairs: Zhu et al., arXiv:1703.10593.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gan_jax.data import held_out, images
from gan_jax.data.images import BadImageError, Item, Kind, Look
from gan_jax.data.source import Source, apart, column, fingerprint, open_built, renamed
from gan_jax.errors import NoSplit, UserError

SIDES = {"A": "x", "B": "y"}
"""The domains as folders are called in the field, and as the columns are called here."""

ROLES: dict[str, tuple[str, str]] = {
    f"{split}{side}": (split, side)
    for split in ("", *images.SPLITS)
    for side in ("", *SIDES)
    if split or side
}
"""Folders with a meaning: 'train', 'A', 'trainA', ...: which split and which side."""

TWO_FOLDERS = "A/ and B/ (or trainA/ and trainB/, or train/A/ and train/B/)"
SIDE_BY_SIDE = "pictures side by side (at the top, or in train/, val/ and test/)"


class Place(NamedTuple):
    """Where a file belongs by its folders; `side` is '' where none says so."""

    name: str
    split: str
    side: str
    rest: tuple[str, ...]

    @property
    def key(self) -> str:
        """What the two files of a pair have in common: the path below the side, no ending."""
        return PurePosixPath(*self.rest).with_suffix("").as_posix()


def open_pairs(path: str | None, *, split: str, look: Look, on_bad_image: str) -> Source:
    """Open the pairs below `path` as columns 'x' and 'y'; a row's two pictures correspond.

    Two layouts are known: two folders, A (x) and B (y), whose files go together by their names
    (endings apart); or one file for each pair, x its left half and y its right. Crop and resize
    are the same for both; `on_bad_image` 'skip' leaves out pairs of which a file is bad. Whether a
    pair is held out is decided by its x: all pairs with one x are on one side.

    Args:
        path: folder or zip.
        split: 'train', 'val', 'test', a slice ('train[:90%]') or a sum ('train+test'); 'test' as
            `images.open_folder` has it.
        look: resolution, channels, filter, crop.
        on_bad_image: 'fail' or 'skip'.

    Raises:
        UserError: nothing at `path`, an unknown layout, a file without its counterpart, a bad
            image, a side-by-side picture of odd width, an unknown split or option.
    """
    root, listing = images.find_images("pairs", path, on_bad_image)
    places = _places(listing.names)
    if any(place.side for place in places):
        items, kind = _two_folders(root, places), Kind("pairs", columns=("x", "y"))
    else:
        items, kind = _side_by_side(root, places), Kind("pairs", halves, ("x", "y"))
    made = images.prepare(kind, root, listing, items, {}, look=look, on_bad_image=on_bad_image)
    images.tell(root, listing.stamps, listing.others, made.info.metadata)
    split = held_out.find_split(split, made.info.splits, str(root))
    decoder = images.square(look, "pairs")
    return open_built(made, name="pairs", split=split, look=look._asdict(), square=decoder)


def open_unpaired(path: str | None, *, split: str, look: Look, on_bad_image: str) -> Source:
    """Open two folders, A (x) and B (y), of any sizes, whose pictures do not correspond.

    `batches` draws x and y independently, each side in permutations of its own: in n batches of b
    every picture of a side of m comes n b / m times, give or take one. `size`, hence an epoch, is
    that of the larger side. In `records`, and so in `eval_batches`, row i holds the i-th picture
    of each side, the smaller side beginning anew at its end.

    Args:
        path: folder or zip with trainA, trainB, testA, testB (or train/A, ..., or A, B).
        split: 'train', 'val', 'test', a slice of each ('train[:90%]') or a sum; 'test' as
            `images.open_folder` has it, of each side by itself.
        look: resolution, channels, filter, crop.
        on_bad_image: 'fail' or 'skip'.

    Raises:
        UserError: nothing at `path`, an unknown layout, a side that is missing, a bad image, an
            unknown split or option.
    """
    root, listing = images.find_images("unpaired", path, on_bad_image)
    places = _places(listing.names)
    _refuse((one for one in places if not one.side), root, TWO_FOLDERS)
    items = {
        f"{split}{side}": tuple(Item(one.name, (one.name,)) for one in some)
        for split in _splits(places)
        for side, some in _by_side(root, places, split).items()
    }
    kind = Kind("unpaired")
    made = images.prepare(kind, root, listing, items, {}, look=look, on_bad_image=on_bad_image)
    images.tell(root, listing.stamps, listing.others, made.info.metadata)
    split = held_out.find_split(split, {one[:-1] for one in made.info.splits}, str(root))
    decoder = images.square(look, "unpaired")
    return open_domains(made, name="unpaired", split=split, look=look._asdict(), square=decoder)


def has_domains(splits: Container[str], split: str) -> bool:
    """Whether `split` is in two domains: 'train' (or a slice) of 'trainA' and 'trainB'."""
    parts = [part.partition("[")[0].strip() for part in split.split("+")]
    return all(
        part not in splits and all(f"{part}{side}" in splits for side in SIDES) for part in parts
    )


def open_domains(
    made: Any,
    *,
    name: str,
    split: str,
    look: Mapping[str, Any],
    square: Callable[[bytes], np.ndarray],
) -> Source:
    """Open splits such as 'trainA' and 'trainB' of a prepared builder as 'x' and 'y', unpaired.

    Args:
        made: builder whose splits end in A and B and hold an 'image'.
        name: of the data set.
        split: without A and B: 'train', 'test[:50%]', 'train+test'.
        look: as `source.open_built` has it.
        square: likewise.

    Raises:
        UserError: no such splits, an empty one, or no 'image' in them.
    """
    x, y = (
        open_built(made, name=name, split=on_side(split, side), look=look, square=square)
        for side in SIDES
    )
    if "image" not in x.records[0]:
        raise UserError(f"data set {name!r} has {', '.join(x.records[0])}, but no image")
    sides = tuple(
        column(side.records, "image", rename=one)
        for side, one in zip((x, y), SIDES.values(), strict=True)
    )
    records = apart(*sides)
    key = fingerprint({"x": x.fingerprint, "y": y.fingerprint})
    return Source(name, records, key, records.count, None, None, x.description, sides=sides)


def on_side(split: str, side: str) -> str:
    """Name one domain of a split: 'train[:90%]+test' -> 'trainA[:90%]+testA'."""
    parts = (part.partition("[") for part in split.split("+"))
    return "+".join(f"{name.strip()}{side}{bracket}{rest}" for name, bracket, rest in parts)


def turned(source: Source) -> Source:
    """Exchange the columns 'x' and 'y': what was the target becomes the input.

    Raises:
        UserError: there are no such columns.
    """
    columns = source.records[0]
    if not {"x", "y"} <= columns.keys():
        has = f"data set {source.name!r} has {', '.join(columns)}"
        raise UserError(f"data.direction 'y2x' exchanges x and y, but {has}: use 'x2y'")
    names = {"x": "y", "y": "x"}
    return source._replace(
        records=renamed(source.records, names),
        sides=tuple(renamed(side, names) for side in source.sides),
        fingerprint=fingerprint({"of": source.fingerprint, "direction": "y2x"}),
    )


def halves(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Cut an image in its middle into the left and the right picture.

    Raises:
        BadImageError: its width is odd.
    """
    width, height = image.size
    if width % 2:
        raise BadImageError(f"its width {width} is odd, so it is no two pictures side by side")
    left = image.crop((0, 0, width // 2, height))
    return left, image.crop((width // 2, 0, width, height))


def _places(names: tuple[str, ...]) -> tuple[Place, ...]:
    """Read splits and sides from the folders, looking through folders that hold everything."""
    parts = [PurePosixPath(name).parts for name in names]
    depth = 0
    while depth < images.common_depth(parts) and parts[0][depth] not in ROLES:
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


def _refuse(places: Iterable[Place], root: Path, layout: str) -> None:
    """Raise a UserError that names the first of the places that do not belong to the layout."""
    for place in places:
        raise UserError(f"unknown layout of {root}: {place.name!r} is not in {layout}")


def _by_side(root: Path, places: tuple[Place, ...], split: str) -> dict[str, list[Place]]:
    here = [place for place in places if place.split == split]
    sides = {side: [place for place in here if place.side == side] for side in SIDES}
    for side, some in sides.items():
        if not some:
            raise NoSplit(f"split {split!r} of {root} has no pictures on side {side}")
    return sides


def _two_folders(root: Path, places: tuple[Place, ...]) -> dict[str, tuple[Item, ...]]:
    _refuse((one for one in places if not one.side), root, TWO_FOLDERS)
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
            raise UserError(f"{first.name!r} and {place.name!r} in {root} have one name: which?")
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
    _refuse((one for one in places if len(one.rest) > 1), root, expected)
    return {
        split: tuple(Item(one.name, (one.name,)) for one in places if one.split == split)
        for split in _splits(places)
    }
