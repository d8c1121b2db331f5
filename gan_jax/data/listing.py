"""List the image files of a folder or zip, and derive splits and labels from their paths."""

from __future__ import annotations

import contextlib
import gc
import os
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gan_jax.data.decoding import BadImageError, one_line
from gan_jax.errors import UserError

EXTENSIONS = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".avif", ".jp2", ".tga"),
    )
)
SPLITS = frozenset({"train", "test", "val", "valid", "validation"})
"""Names of top-level folders that are splits, not classes."""

Stamp = tuple[str, int, int]
"""Identity of a file: relative path, size in bytes, and mtime in ns (folder) or CRC-32 (zip)."""


class Listing(NamedTuple):
    """The files below a root.

    Attributes:
        stamps: the image files, sorted.
        others: all other files, sorted.
        read: relative path -> bytes, for either kind.
    """

    stamps: tuple[Stamp, ...]
    others: tuple[Stamp, ...]
    read: Callable[[str], bytes]

    @property
    def names(self) -> tuple[str, ...]:
        """The relative paths of the images, sorted."""
        return tuple(name for name, _, _ in self.stamps)


class Group(NamedTuple):
    """The images of one split, with one label each where sub-folders are classes."""

    names: tuple[str, ...]
    labels: tuple[str, ...] | None


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector: it would go through a million new tuples again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


@uncollected()
def list_images(path: Path) -> Listing:
    """List all image files of a folder or zip in a fixed order.

    Raises:
        UserError: the path does not exist, is not a zip, or holds no image.
    """
    if path.is_dir():
        stamps, read = _list_folder(path)
    elif path.is_file():
        stamps, read = _list_zip(path)
    else:
        raise UserError(f"no folder or zip of images at {path}")
    images, others = [], []
    for stamp in sorted(stamps):
        (images if _is_image(stamp[0]) else others).append(stamp)
    if not images:
        reason = f"none of its {len(stamps)} files is an image by name" if stamps else "it is empty"
        raise UserError(f"no images in {path}: {reason}")
    return Listing(tuple(images), tuple(others), read)


def find_images(name: str, path: str | None, on_bad_image: str) -> tuple[Path, Listing]:
    """Check the options of data set `name` and list the images at `path`.

    Raises:
        UserError: no path is given, nothing is there, it holds no images, or `on_bad_image` is
            unknown.
    """
    root = find_root(name, path)
    if on_bad_image not in ("fail", "skip"):
        raise UserError(f"on_bad_image must be 'fail' or 'skip', not {on_bad_image!r}")
    return root, list_images(root)


def find_root(name: str, path: str | None) -> Path:
    """The folder or zip of data set `name`.

    Raises:
        UserError: no path is given, or nothing is there.
    """
    if path is None:
        raise UserError(f"data set {name!r} needs the path of a folder or a zip of images")
    root = Path(path).expanduser()
    if not root.exists():
        raise UserError(f"no folder or zip of images at {root}")
    return root


def read_file(listing: Listing, name: str) -> bytes:
    """Read one file of a folder or zip.

    Raises:
        BadImageError: the file system or the zip cannot deliver it.
    """
    try:
        return listing.read(name)
    except Exception as error:  # each compression method of zip raises its own exceptions
        raise BadImageError(one_line(error)) from error


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a relative path as pathlib has them, which takes ten times as long."""
    parts = tuple(name.split("/"))
    return PurePosixPath(name).parts if "" in parts or "." in parts else parts


def _hidden(name: str) -> bool:
    """Whether a part of a relative path begins with a dot or is Apple's folder in zips."""
    if "/." not in name and "__MACOSX" not in name and name[:1] != ".":
        return False
    return any(part.startswith((".", "__MACOSX")) for part in _parts(name))


def _list_folder(root: Path) -> tuple[list[Stamp], Callable[[str], bytes]]:
    stamps, visited = [], set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:  # a symbolic link to a parent
            subfolders.clear()
            continue
        visited.add(real)
        below = Path(folder).relative_to(root).as_posix()
        for file in files:
            name = file if below == "." else f"{below}/{file}"
            if _hidden(name):
                continue
            with contextlib.suppress(OSError):  # a link to nothing
                found = os.stat(os.path.join(folder, file))
                if stat.S_ISREG(found.st_mode):
                    stamps.append((name, found.st_size, found.st_mtime_ns))
    return stamps, lambda name: (root / name).read_bytes()


def _list_zip(path: Path) -> tuple[list[Stamp], Callable[[str], bytes]]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise UserError(f"{path} is neither a folder nor a zip: {error}") from error
    entries = [e for e in archive.infolist() if not e.is_dir() and not _hidden(e.filename)]
    for entry in entries:
        if entry.filename.startswith("/"):
            raise UserError(
                f"{path} has an entry with an absolute path, {entry.filename!r}: "
                "create the zip again with relative paths"
            )
    return [(entry.filename, entry.file_size, entry.CRC) for entry in entries], archive.read


@uncollected()
def group_by_split(names: tuple[str, ...]) -> dict[str, Group]:
    """Derive splits and labels from relative paths.

    Folders that contain all files are ignored. Top-level folders are splits if all of them are
    named train, test or validation (or val, valid). If every image of all splits lies in a
    sub-folder, the name of the first sub-folder is its label.

    Args:
        names: relative paths with forward slashes.

    Returns:
        The images of each split; all of 'train' where no folder names a split.
    """
    parts, split_level, label_level = _levels(names)
    labelled = all(len(path) > label_level + 1 for path in parts)
    members: dict[str, list[int]] = {}
    for index, path in enumerate(parts):
        split = path[split_level] if split_level is not None else "train"
        members.setdefault(split, []).append(index)
    return {
        split: Group(
            tuple(names[i] for i in rows),
            tuple(parts[i][label_level] for i in rows) if labelled else None,
        )
        for split, rows in members.items()
    }


def _levels(names: tuple[str, ...]) -> tuple[list[tuple[str, ...]], int | None, int]:
    """Return the parts of each path, the level of split folders (or None) and of label folders."""
    parts = [_parts(name) for name in names]
    depth = common_depth(parts)
    tops = {path[depth] if len(path) > depth + 1 else "" for path in parts}
    split_level = depth if tops <= SPLITS else None
    return parts, split_level, depth if split_level is None else depth + 1


def first_unlabelled(path: str) -> str | None:
    """Return the first image below `path` that lies in no class folder, or None."""
    names = list_images(Path(path).expanduser()).names
    parts, _, level = _levels(names)
    return next((n for n, path in zip(names, parts, strict=True) if len(path) <= level + 1), None)


def common_depth(parts: list[tuple[str, ...]]) -> int:
    """Count the leading folders that contain all files."""
    depth = 0
    while (
        all(len(path) > depth + 1 for path in parts) and len({path[depth] for path in parts}) == 1
    ):
        depth += 1
    return depth
