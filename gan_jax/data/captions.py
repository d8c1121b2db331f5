"""Folders and zips of captioned images, with caption embeddings that need no model.

The embeddings use the hashing trick (Weinberger et al., arXiv:0902.2206).
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float32

from gan_jax.data.decoding import BadImageError, Preprocessing
from gan_jax.data.images import FolderLayout, Item, open_items
from gan_jax.data.listing import Listing, Stamp, find_images, group_by_split, read_file
from gan_jax.data.source import Records, Source, fingerprint
from gan_jax.errors import UserError

EMBEDDING_SIZE = 384
"""Size of a caption embedding, that of the emoji data sets, so that networks fit both."""

Entry = tuple[str, str, str]
"""Location of a caption (for messages), relative path of its image, caption."""


def open_captioned(
    path: str | None, *, split: str, preprocessing: Preprocessing, on_bad_image: str
) -> Source:
    """Open the images below `path` as 'image' and 'text', the embedding of the image's caption.

    Captions are read from `captions.jsonl` (lines of {"file": "a.png", "caption": "a red apple"})
    or `captions.csv` (header: file,caption), with paths relative to its folder; without these
    files, the caption of `a.png` is read from `a.txt`. Runs of white space become one space.

    Args:
        path: folder or zip; top-level folders named train, test or validation are splits.
        split: 'train', 'test', ... as in `images.open_folder`.
        preprocessing: resolution, channels, filter, crop.
        on_bad_image: 'fail' or 'skip'.

    Returns:
        A source of 'image' and 'text', with `captions`.

    Raises:
        UserError: nothing at `path`, an image with no or two captions, an empty caption, a caption
            of a missing file, an unreadable caption file, a bad image, an unknown split or option.
    """
    import tensorflow_datasets as tfds

    root, listing = find_images("captioned", path, on_bad_image)
    captions, extra_files = find_captions(root, listing)
    items = {
        split: tuple(Item(name, (name,), _features(captions[name])) for name in group.names)
        for split, group in group_by_split(listing.names).items()
    }
    features = {
        "text": tfds.features.Tensor(shape=(EMBEDDING_SIZE,), dtype=np.float32),
        "caption": tfds.features.Text(),
    }
    source = open_items(
        FolderLayout("captioned"),
        root,
        listing,
        items,
        features,
        split=split,
        preprocessing=preprocessing,
        on_bad_image=on_bad_image,
        extra_files=extra_files,
    )
    return source._replace(encode=hash_caption)


def with_class_names(source: Source) -> Source:
    """Use the name of each image's class as its caption.

    '001.Black_footed_Albatross' becomes 'Black footed Albatross'.

    Raises:
        UserError: the data set has no classes.
    """
    if source.class_names is None:
        raise UserError(f"data set {source.name!r} has neither captions nor classes to name")
    names = tuple(re.sub(r"[\W\d_]+", " ", name).strip() or name for name in source.class_names)
    table, records = np.stack([hash_caption(name) for name in names]), source.records

    def take(rows: np.ndarray) -> dict[str, np.ndarray]:
        columns = records.take(rows)
        return {**columns, "text": table[columns["label"]]}

    def captions() -> tuple[str, ...]:
        rows = np.arange(len(records))
        return tuple(names[label] for label in records.take(rows)["label"])

    key = fingerprint({"of": source.fingerprint, "captions": names})
    return source._replace(
        records=Records(records.count, take),
        captions=captions,
        fingerprint=key,
        encode=hash_caption,
    )


def _features(caption: str) -> Mapping[str, str | np.ndarray]:
    return {"caption": caption, "text": hash_caption(caption)}


def hash_caption(caption: str) -> Float32[np.ndarray, "384"]:
    """Embed a caption as a hashed bag of words and character trigrams of unit length.

    Each word, in lower case, adds 1 or -1 to the component that its hash selects. The n trigrams of
    '^word$' do the same with weight 1 / sqrt(n), so that 'apple' and 'apples' are close. A caption
    without letters and digits is split at white space. The embedding is a pure function of the text
    and has no semantics.

    References:
        Weinberger et al., arXiv:0902.2206.
    """
    vector = np.zeros(EMBEDDING_SIZE, np.float32)
    text = caption.casefold()
    for word in re.findall(r"\w+", text) or text.split():
        marked = f"^{word}$"
        trigrams = [marked[start : start + 3] for start in range(len(marked) - 2)]
        _add(vector, f"word {word}", 1.0)
        for trigram in trigrams:
            _add(vector, f"trigram {trigram}", len(trigrams) ** -0.5)
    if not vector.any():  # the word and trigram of a single letter can cancel
        _add(vector, f"caption {text}", 1.0)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _add(vector: np.ndarray, feature: str, weight: float) -> None:
    index, sign = _hash(feature)
    vector[index] += sign * weight


@functools.lru_cache(maxsize=2**16)
def _hash(feature: str) -> tuple[int, int]:
    """Hash a feature to a component and a sign, the same on every machine."""
    word = int.from_bytes(hashlib.sha256(feature.encode()).digest()[:8], "big")
    return (word >> 1) % EMBEDDING_SIZE, 1 if word & 1 else -1


def find_captions(root: Path, listing: Listing) -> tuple[dict[str, str], tuple[Stamp, ...]]:
    """Read the caption of every image.

    Returns:
        Relative path of each image -> caption, and the files that were read.

    Raises:
        UserError: as in `open_captioned`.
    """
    tables = tuple(one for one in listing.others if PurePosixPath(one[0]).name in TABLES)
    if tables:
        extra_files = tables
        entries = [entry for name, _, _ in tables for entry in _table(root, listing, name)]
    else:
        extra_files, entries = _sidecar_files(root, listing)
    captions = _collect(root, frozenset(listing.names), entries)
    without = [name for name in listing.names if name not in captions]
    if without:
        count = f"{len(without)} of {len(listing.names)} images in {root} have no caption"
        raise UserError(f"{count}, the first: {without[0]!r}")
    return captions, extra_files


def _collect(root: Path, names: frozenset[str], entries: list[Entry]) -> dict[str, str]:
    captions: dict[str, str] = {}
    for where, name, caption in entries:
        if name not in names:
            raise UserError(f"{root / where}: there is no image {name!r}")
        if name in captions:
            raise UserError(f"{root / where}: image {name!r} has a caption already")
        captions[name] = " ".join(caption.split())
        if not captions[name]:
            raise UserError(f"{root / where}: the caption of {name!r} is empty")
        if not _is_text(captions[name]):
            raise UserError(
                f"{root / where}: the caption of {name!r} has half a character (a lone surrogate)"
            )
    return captions


def _is_text(caption: str) -> bool:
    """Return whether UTF-8 can encode the caption: JSON also allows lone surrogates."""
    try:
        return bool(caption.encode())
    except UnicodeEncodeError:
        return False


def _sidecar_files(root: Path, listing: Listing) -> tuple[tuple[Stamp, ...], list[Entry]]:
    """Read `a.txt` for each `a.png` where it exists."""
    texts = {name: stamp for stamp in listing.others if (name := stamp[0]).endswith(".txt")}
    owners = {name: PurePosixPath(name).with_suffix(".txt").as_posix() for name in listing.names}
    entries = [
        (text, name, _text(root, listing, text)) for name, text in owners.items() if text in texts
    ]
    used = sorted({text for text, _, _ in entries})
    return tuple(texts[text] for text in used), entries


def _table(root: Path, listing: Listing, name: str) -> Iterator[Entry]:
    """Yield the entries of one caption file, with paths relative to the root."""
    text = _text(root, listing, name)
    folder, read = PurePosixPath(name).parent, TABLES[PurePosixPath(name).name]
    for number, file, caption in read(f"{root / name}", text):
        yield f"{name}, line {number}", (folder / file).as_posix(), caption


def _json_lines(where: str, text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            match json.loads(line):
                case {"file": str(file), "caption": str(caption)}:
                    yield number, file, caption
                    continue
        except (ValueError, RecursionError):
            pass  # invalid JSON gets the same message as JSON of another form
        form = '{"file": "...", "caption": "..."}'
        raise UserError(f"{where}, line {number} is not {form}: {line[:60]!r}")


def _csv_lines(where: str, text: str) -> Iterator[tuple[int, str, str]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if not {"file", "caption"} <= set(rows.fieldnames or ()):
            header = ",".join(rows.fieldnames or ())
            raise UserError(f"{where}: the first line must be 'file,caption', not {header!r}")
        for row in rows:
            yield rows.line_num, row["file"] or "", row["caption"] or ""
    except csv.Error as error:
        raise UserError(f"{where}, line {rows.line_num}: {error}") from error


TABLES: Mapping[str, Callable[[str, str], Iterator[tuple[int, str, str]]]] = {
    "captions.jsonl": _json_lines,
    "captions.csv": _csv_lines,
}
"""Name of a caption file -> its reader, which yields line number, image file, caption."""


def _text(root: Path, listing: Listing, name: str) -> str:
    try:
        return read_file(listing, name).decode("utf-8-sig")
    except (BadImageError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {root / name}: {error}") from error
