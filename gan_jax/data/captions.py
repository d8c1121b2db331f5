"""Folders and zips of images with a caption each, and vectors of captions that need no model.

The vectors are made by the hashing trick, Weinberger et al., arXiv:0902.2206.
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
import tensorflow_datasets as tfds
from jaxtyping import Float32

from gan_jax.data import held_out, images
from gan_jax.data.images import BadImageError, Item, Kind, Listing, Look
from gan_jax.data.source import Records, Source, fingerprint, open_built
from gan_jax.errors import UserError

VECTOR = 384
"""Numbers in a caption's vector: as many as in those of the emoji, so that networks fit both."""

Entry = tuple[str, str, str]
"""Where a caption stands, for messages; the image's file; the caption."""


def open_captioned(path: str | None, *, split: str, look: Look, on_bad_image: str) -> Source:
    """Open the images below `path` as 'image' and 'text', the vector of the image's caption.

    Captions stand in a `captions.jsonl` (a line: {"file": "a.png", "caption": "a red apple"}) or
    a `captions.csv` (first line: file,caption), with files named from the folder in which it
    lies; where there is none, in `a.txt` beside `a.png`. White space is made single.

    Args:
        path: folder or zip; top folders called train, test or validation are splits.
        split: 'train', 'test', ... as `images.open_folder` has them.
        look: resolution, channels, filter, crop.
        on_bad_image: 'fail' or 'skip'.

    Raises:
        UserError: nothing at `path`, an image without a caption or with two, an empty caption, a
            caption of a file that is not there, a caption file that cannot be read, a bad image,
            an unknown split or option.
    """
    root, listing = images.find_images("captioned", path, on_bad_image)
    captions, read_too = find_captions(root, listing)
    items = {
        split: tuple(Item(name, (name,), _more(captions[name])) for name in one.names)
        for split, one in images.group(listing.names).items()
    }
    features = {
        "text": tfds.features.Tensor(shape=(VECTOR,), dtype=np.float32),
        "caption": tfds.features.Text(),
    }
    made = images.prepare(
        Kind("captioned"),
        root,
        listing,
        items,
        features,
        look=look,
        on_bad_image=on_bad_image,
        read_too=read_too,
    )
    ignored = tuple(one for one in listing.others if one not in read_too)
    images.tell(root, listing.stamps, ignored, made.info.metadata)
    split = held_out.find_split(split, made.info.splits, str(root))
    decoder = images.square(look, "captioned")
    return open_built(made, name="captioned", split=split, look=look._asdict(), square=decoder)


def of_classes(source: Source) -> Source:
    """Caption every picture with the name of its class, for sets that have no better ones.

    '001.Black_footed_Albatross' is read as 'Black footed Albatross'.

    Raises:
        UserError: the set has no classes.
    """
    if source.class_names is None:
        raise UserError(f"data set {source.name!r} has neither captions nor classes to name")
    names = tuple(re.sub(r"[\W\d_]+", " ", name).strip() or name for name in source.class_names)
    table, records = np.stack([hashed(name) for name in names]), source.records

    def take(rows: np.ndarray) -> dict[str, np.ndarray]:
        columns = records.take(rows)
        return {**columns, "text": table[columns["label"]]}

    def captions() -> tuple[str, ...]:
        rows = np.arange(len(records))
        return tuple(names[label] for label in records.take(rows)["label"])

    key = fingerprint({"of": source.fingerprint, "captions": names})
    return source._replace(records=Records(records.count, take), captions=captions, fingerprint=key)


def _more(caption: str) -> Mapping[str, str | np.ndarray]:
    return {"caption": caption, "text": hashed(caption)}


def hashed(caption: str) -> Float32[np.ndarray, "384"]:
    """Make the vector of a caption, of length one: a hashed bag of words and of trigrams.

    Each word (lower case) adds 1 or -1 at a place that its hash says, and so do, weighed down to
    the word's own length together, the trigrams of its letters between '^' and '$', so that
    'apple' and 'apples' are near. A caption without letters and digits counts by its signs. The
    vector is a pure function of the text: it needs no model and knows no meaning.
    """
    vector = np.zeros(VECTOR, np.float32)
    text = caption.casefold()
    for word in re.findall(r"\w+", text) or text.split():
        marked = f"^{word}$"
        trigrams = [marked[start : start + 3] for start in range(len(marked) - 2)]
        _add(vector, f"word {word}", 1.0)
        for trigram in trigrams:
            _add(vector, f"trigram {trigram}", len(trigrams) ** -0.5)
    if not vector.any():  # a single letter whose word and trigram cancel out
        _add(vector, f"caption {text}", 1.0)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _add(vector: np.ndarray, feature: str, weight: float) -> None:
    place, sign = _hash(feature)
    vector[place] += sign * weight


@functools.lru_cache(maxsize=2**16)
def _hash(feature: str) -> tuple[int, int]:
    """Hash a feature to a place and a sign, the same in every process and on every machine."""
    word = int.from_bytes(hashlib.sha256(feature.encode()).digest()[:8], "big")
    return (word >> 1) % VECTOR, 1 if word & 1 else -1


def find_captions(root: Path, listing: Listing) -> tuple[dict[str, str], tuple[images.Stamp, ...]]:
    """Read the caption of every image, and say from which files.

    Raises:
        UserError: as `open_captioned` says.
    """
    tables = tuple(one for one in listing.others if PurePosixPath(one[0]).name in TABLES)
    if tables:
        read_too = tables
        entries = [entry for name, _, _ in tables for entry in _table(root, listing, name)]
    else:
        read_too, entries = _beside(root, listing)
    captions = _collect(root, frozenset(listing.names), entries)
    without = [name for name in listing.names if name not in captions]
    if without:
        count = f"{len(without)} of {len(listing.names)} images in {root} have no caption"
        raise UserError(f"{count}, the first: {without[0]!r}")
    return captions, read_too


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
            raise UserError(f"{root / where}: the caption of {name!r} has half a character")
    return captions


def _is_text(caption: str) -> bool:
    """Whether UTF-8 can say it; JSON can also say one half of a pair of surrogates."""
    try:
        return bool(caption.encode())
    except UnicodeEncodeError:
        return False


def _beside(root: Path, listing: Listing) -> tuple[tuple[images.Stamp, ...], list[Entry]]:
    """Read `a.txt` of each `a.png` that has one."""
    texts = {name: stamp for stamp in listing.others if (name := stamp[0]).endswith(".txt")}
    owners = {name: PurePosixPath(name).with_suffix(".txt").as_posix() for name in listing.names}
    entries = [
        (text, name, _text(root, listing, text)) for name, text in owners.items() if text in texts
    ]
    used = sorted({text for text, _, _ in entries})
    return tuple(texts[text] for text in used), entries


def _table(root: Path, listing: Listing, name: str) -> Iterator[Entry]:
    """Yield the entries of one caption file, their files named from the root."""
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
            pass  # what is no JSON at all gets the same line as what is another JSON
        wanted = '{"file": "...", "caption": "..."}'
        raise UserError(f"{where}, line {number} is not {wanted}: {line[:60]!r}")


def _csv_lines(where: str, text: str) -> Iterator[tuple[int, str, str]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if not {"file", "caption"} <= set(rows.fieldnames or ()):
            found = ",".join(rows.fieldnames or ())
            raise UserError(f"{where}: the first line must be 'file,caption', not {found!r}")
        for row in rows:
            yield rows.line_num, row["file"] or "", row["caption"] or ""
    except csv.Error as error:
        raise UserError(f"{where}, line {rows.line_num}: {error}") from error


TABLES: Mapping[str, Callable[[str, str], Iterator[tuple[int, str, str]]]] = {
    "captions.jsonl": _json_lines,
    "captions.csv": _csv_lines,
}
"""Files that hold captions, and what reads their text: line number, file, caption."""


def _text(root: Path, listing: Listing, name: str) -> str:
    try:
        return images.read_file(listing, name).decode("utf-8-sig")
    except (BadImageError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {root / name}: {error}") from error
