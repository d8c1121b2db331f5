"""Data sets of images in a folder or zip: prepared once, at one resolution, as array_record."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tqdm import tqdm

from gan_jax.data import held_out
from gan_jax.data.builders import base
from gan_jax.data.decoding import BadImageError, Preprocessing, make_decoder, read_image, to_square
from gan_jax.data.listing import (
    Group,
    Listing,
    Stamp,
    find_images,
    group_by_split,
    read_file,
    uncollected,
)
from gan_jax.data.source import (
    Source,
    cache_dir,
    default_threads,
    fingerprint,
    in_order,
    open_built,
    warn_once,
)
from gan_jax.errors import UserError

T = TypeVar("T")


class Item(NamedTuple):
    """One example before decoding.

    Attributes:
        key: unique in its split.
        files: relative paths of the files with its images.
        features: values of its other TFDS features.
    """

    key: str
    files: tuple[str, ...]
    features: Mapping[str, object] = MappingProxyType({})


def single_image(image: Image.Image) -> tuple[Image.Image, ...]:
    """Return the image of a file as its only picture."""
    return (image,)


class FolderLayout(NamedTuple):
    """How the files of a data set hold its image columns.

    Attributes:
        name: of the data set.
        cut: image of a file -> the pictures in it.
        columns: names of an item's pictures, in the order of its files. The pixels of the first
            picture decide whether the item is held out.
    """

    name: str
    cut: Callable[[Image.Image], tuple[Image.Image, ...]] = single_image
    columns: tuple[str, ...] = ("image",)


class _BadFile(NamedTuple):
    name: str
    reason: str


def open_folder(
    path: str | None, *, split: str, preprocessing: Preprocessing, on_bad_image: str
) -> Source:
    """Open the images below `path`, preparing them when files or preprocessing have changed.

    Args:
        path: folder or zip; sub-folder names become labels when every image lies in one.
        split: 'train', 'test', a top-level folder 'validation', a slice ('train[:90%]') or a sum
            ('train+test' is all images). Without a folder 'test', 'test' is the validation folder,
            or else the images that `prepare` holds out.
        preprocessing: resolution, channels, filter, crop.
        on_bad_image: 'fail' at a file that is not a complete image, or 'skip' it with a warning.

    Returns:
        A source of 'image', with 'label' where sub-folders are classes.

    Raises:
        UserError: nothing at `path`, no images, a bad image, an unknown split or option.
    """
    import tensorflow_datasets as tfds

    root, listing = find_images("folder", path, on_bad_image)
    groups = group_by_split(listing.names)
    labels = [group.labels for group in groups.values() if group.labels is not None]
    classes = sorted({label for part in labels for label in part})
    features = {"label": tfds.features.ClassLabel(names=classes)} if classes else {}
    items = {split: _items(group) for split, group in groups.items()}
    return open_items(
        FolderLayout("folder"),
        root,
        listing,
        items,
        features,
        split=split,
        preprocessing=preprocessing,
        on_bad_image=on_bad_image,
    )


@uncollected()
def _items(group: Group) -> tuple[Item, ...]:
    if group.labels is None:
        return tuple(Item(name, (name,)) for name in group.names)
    pairs = zip(group.names, group.labels, strict=True)
    return tuple(Item(name, (name,), {"label": label}) for name, label in pairs)


def open_items(
    layout: FolderLayout,
    root: Path,
    listing: Listing,
    items: Mapping[str, tuple[Item, ...]],
    features: base.Features,
    *,
    split: str,
    preprocessing: Preprocessing,
    on_bad_image: str,
    extra_files: tuple[Stamp, ...] = (),
) -> Source:
    """Prepare items and open one of their splits; arguments as in `prepare` and `open_folder`."""
    prepared = prepare(
        layout,
        root,
        listing,
        items,
        features,
        preprocessing=preprocessing,
        on_bad_image=on_bad_image,
        extra_files=extra_files,
    )
    ignored = tuple(stamp for stamp in listing.others if stamp not in extra_files)
    warn_of_omissions(root, listing.stamps, ignored, prepared.info.metadata)
    return open_built(
        prepared,
        name=layout.name,
        split=held_out.find_split(split, prepared.info.splits, str(root)),
        preprocessing=preprocessing._asdict(),
        decode=make_decoder(preprocessing, layout.name),
    )


def prepare(
    layout: FolderLayout,
    root: Path,
    listing: Listing,
    items: Mapping[str, tuple[Item, ...]],
    features: base.Features,
    *,
    preprocessing: Preprocessing,
    on_bad_image: str,
    extra_files: tuple[Stamp, ...] = (),
) -> Any:
    """Write the items of each split as squares, once for these files and this preprocessing.

    If all splits are training splits with at least `held_out.MIN_PICTURES` items each, a tenth of
    each becomes a test split. The pixels of each item's first picture before preprocessing decide
    which, so the held-out items are the same at every resolution. All files are then decoded twice.

    Args:
        layout: name, pictures of a file, columns.
        root: path of the files, for messages.
        listing: of `root`.
        items: by split.
        features: TFDS features besides the pictures; `Item.features` has their values.
        preprocessing: of every picture.
        on_bad_image: 'fail' or 'skip'; an item is skipped when one of its files is bad.
        extra_files: non-image files that the items depend on.

    Returns:
        The prepared TFDS builder.

    Raises:
        UserError: a bad image, or a split without a readable image.
    """
    # The keys 'look', 'bad', 'kind' and 'read_too' are part of fingerprints of existing caches.
    facts = {"files": listing.stamps, "look": preprocessing, "bad": on_bad_image, "version": 1}
    if layout.name != "folder":
        facts |= {"kind": layout.name, "read_too": extra_files}
    train_only = all(split.startswith("train") for split in items)
    divided = train_only and min(map(len, items.values())) >= held_out.MIN_PICTURES
    if divided:
        facts |= {
            "held_out": (held_out.TEST_SHARE, held_out.MAX_HELD_OUT, held_out.MIN_PICTURES),
        }
    bad = {} if on_bad_image == "skip" else None

    def splits() -> Mapping[str, tuple[Item, ...]]:
        divided_items = _divide(layout, root, listing, items, bad) if divided else items
        if train_only:
            _warn_of_held_out(root, divided_items)
        _warn_of_untrained_classes(root, divided_items)
        return divided_items

    declared = _declare(layout, root, listing, splits, features, preprocessing, bad)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return base.prepare(declared, data_dir=cache_dir() / "folders" / fingerprint(facts))


def warn_of_omissions(
    root: Path, files: tuple[Stamp, ...], ignored: tuple[Stamp, ...], notes: Mapping[str, object]
) -> None:
    """Warn of skipped images and of files that are not images, one line each."""
    if notes["skipped"]:
        count, first = notes["skipped"], notes["first_skipped"]
        warn_once(f"{root}: skipped {count} of {len(files)} images: {first}")
    if ignored:
        warn_once(f"{root}: ignored {len(ignored)} files that are not images by name")


def _declare(
    layout: FolderLayout,
    root: Path,
    listing: Listing,
    splits: Callable[[], Mapping[str, tuple[Item, ...]]],
    features: base.Features,
    preprocessing: Preprocessing,
    bad: dict[str, str] | None,
) -> base.ImageSet:
    """Declare the data set. Bad images are collected in `bad`; if it is None they are errors."""
    side = preprocessing.resolution
    shape = (side, side, preprocessing.channels)

    def pictures() -> base.Features:
        import tensorflow_datasets as tfds

        image = tfds.features.Image
        return {name: image(shape=shape, encoding_format="png") for name in layout.columns}

    def square(picture: Image.Image) -> UInt8[np.ndarray, "h w c"]:
        return to_square(picture, preprocessing)

    def examples(items: tuple[Item, ...]) -> Iterator[base.Example]:
        count = 0
        for item, squares in _in_threads(layout, root, items, listing, bad, square):
            count += 1
            encodable = (base.as_image(pixels) for pixels in squares)
            columns = dict(zip(layout.columns, encodable, strict=True))
            yield item.key, columns | dict(item.features)
        if not count:
            raise UserError(f"no image in {root} could be read; the first: {_first(bad or {})}")

    return base.ImageSet(
        name=layout.name,
        version="1.0.0",
        description=f"images in {root.name}, {side} px, {preprocessing.resize}",
        licence="that of the images",
        citation="",
        homepage="",
        features=lambda: {**pictures(), **features},
        splits=lambda _: {
            name: base.Split(len(part), lambda part=part: examples(part))
            for name, part in splits().items()
        },
        notes=lambda: {"skipped": len(bad or {}), "first_skipped": _first(bad or {})},
    )


def _first(bad: Mapping[str, str]) -> str:
    return next((f"{name} ({reason})" for name, reason in bad.items()), "")


def _divide(
    layout: FolderLayout,
    root: Path,
    listing: Listing,
    items: Mapping[str, tuple[Item, ...]],
    bad: dict[str, str] | None,
) -> dict[str, tuple[Item, ...]]:
    """Move the held-out items of each training split to a test split."""
    divided = {}
    for split, part in items.items():
        digests = _in_threads(layout, root, part, listing, bad, held_out.digest)
        title = f"comparing {split}"
        bar = tqdm(digests, total=len(part), desc=title, unit="image", mininterval=0.5)
        readable = [(item, of_pictures[0]) for item, of_pictures in bar]
        flags = held_out.are_held_out([digest for _, digest in readable])
        test = split.replace("train", "test", 1)
        for name, wanted in ((split, False), (test, True)):
            pairs = zip(readable, flags, strict=True)
            divided[name] = tuple(item for (item, _), held in pairs if held == wanted)
        if not divided[test]:
            del divided[test]
    return divided


def _warn_of_held_out(root: Path, splits: Mapping[str, tuple[Item, ...]]) -> None:
    """Log how many items of a data set without a test split are held out."""
    sizes = {split: len(items) for split, items in splits.items() if split.startswith("test")}
    if sizes:
        held = " and ".join(f"{size} are held out as {split!r}" for split, size in sizes.items())
        warn_once(f"{root} has no test split: {held}")
    else:
        warn_once(f"{root} has no test split, and {held_out.TOO_FEW}")


def _warn_of_untrained_classes(root: Path, splits: Mapping[str, tuple[Item, ...]]) -> None:
    """Log the classes without a training image."""
    classes = {
        split: {str(item.features["label"]) for item in items if "label" in item.features}
        for split, items in splits.items()
    }
    if "train" not in classes:
        return
    missing = sorted(set().union(*classes.values()) - classes["train"])
    if missing:
        warn_once(f"{root}: no training image of class {', '.join(map(repr, missing))}")


def _in_threads(
    layout: FolderLayout,
    root: Path,
    items: tuple[Item, ...],
    listing: Listing,
    bad: dict[str, str] | None,
    transform: Callable[[Image.Image], T],
) -> Iterator[tuple[Item, tuple[T, ...]]]:
    """Yield each item with `transform` of its pictures, in order, without items of bad files."""

    def transform_all(image: Image.Image) -> tuple[T, ...]:
        return tuple(transform(picture) for picture in layout.cut(image))

    def read(item: Item) -> tuple[T, ...] | _BadFile:
        results: tuple[T, ...] = ()
        for name in item.files:
            try:
                results += read_image(read_file(listing, name), transform_all)
            except BadImageError as error:
                return _BadFile(name, str(error))
        return results

    with ThreadPoolExecutor(default_threads()) as pool:
        for item, result in zip(items, in_order(pool, read, iter(items)), strict=True):
            if not isinstance(result, _BadFile):
                yield item, result
                continue
            if bad is None:
                raise UserError(
                    f"cannot read the image {root / result.name}: {result.reason} "
                    "(on_bad_image 'skip' leaves such files out)"
                )
            bad[result.name] = result.reason
