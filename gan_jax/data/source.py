"""What a data set is to the rest of the project: random-access records with a name and a hash."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from gan_jax.errors import NoSplit, UserError, nearest

log = logging.getLogger("gan_jax")

MEMORY_LIMIT = 256 * 2**20
"""Bytes: a decoded data set up to this size is held in memory, a larger one decoded on the fly."""

Rule = Callable[[Mapping[str, Any]], bool]
"""Whether an example, its texts decoded, has an attribute."""

CHUNK = 256
"""Records decoded by one thread at a time when a data set is decoded once."""


@dataclass(frozen=True)
class Records:
    """`take(rows)` gathers rows into stacked columns; `records[i]` is one of them.

    `count` is None for a source without an end. Where rows are longer than what a network sees,
    `window(rows, words)` cuts a piece out of each, placed by 32 random bits.
    """

    count: int | None
    take: Callable[[np.ndarray], dict[str, np.ndarray]]
    window: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]] | None = None

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("an endless source has no length")
        return self.count

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if index < 0 or (self.count is not None and index >= self.count):
            raise IndexError(f"record {index} of {self.count}")
        return {name: column[0] for name, column in self.take(np.array([index])).items()}


class Source(NamedTuple):
    """An open data set.

    Records hold 'image' uint8 [h w c], or one such column for each picture ('x' and 'y' of a set
    for translation); 'label' int32 [] where `num_classes` is known; 'text' float32 [e] where the
    set has vectors of its captions. Toy sources hold 'x' float32 [2] and 'label'. `fingerprint`
    changes when what a model sees changes. `captions` reads the split's captions in row order.

    `sides` are the columns of a set whose pictures do not correspond, each with as many rows as
    it has: `batches` draws each side in an order of its own. `records` then only zips them, the
    shorter one beginning anew. `speakers` are the `speech.Speakers` of a set of voices.

    `attributes` reads which rows have each named attribute, bool [n]: glasses, a beard.
    """

    name: str
    records: Records
    fingerprint: str
    size: int | None
    num_classes: int | None
    class_names: tuple[str, ...] | None
    description: str
    captions: Callable[[], tuple[str, ...]] | None = None
    sides: tuple[Records, ...] = ()
    attributes: Callable[[], Mapping[str, np.ndarray]] | None = None
    speakers: Any = None


@functools.cache
def warn_once(line: str) -> None:
    """Log a warning, once in a process: a run opens its data set several times."""
    log.warning("%s", line)


def cache_dir() -> Path:
    """Say where prepared data lives: `$GAN_JAX_CACHE`, else `~/.cache/gan_jax`."""
    return Path(os.environ.get("GAN_JAX_CACHE") or Path.home() / ".cache" / "gan_jax")


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Hash plain facts (names, numbers, lists of them) to 16 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def default_threads() -> int:
    """Count threads that decode: one for each core, at least 2 and at most 16."""
    return min(16, max(2, os.cpu_count() or 1))


def in_memory(columns: dict[str, np.ndarray]) -> Records:
    """Make records of columns: arrays with a common first axis."""
    count = len(next(iter(columns.values())))
    return Records(count, lambda rows: {name: column[rows] for name, column in columns.items()})


def decoded(data: Any, read: Callable[[Any], dict[str, np.ndarray]]) -> Records:
    """Make records of a TFDS data source, each turned into arrays by `read` when asked for."""

    def take(rows: np.ndarray) -> dict[str, np.ndarray]:
        examples = [read(one) for one in data.__getitems__(rows.tolist())]
        return {name: np.stack([one[name] for one in examples]) for name in examples[0]}

    return Records(len(data), take)


def column(records: Records, name: str, *, rename: str | None = None) -> Records:
    """Keep one column only, under its own name or another."""
    return Records(records.count, lambda rows: {rename or name: records.take(rows)[name]})


def renamed(records: Records, names: Mapping[str, str]) -> Records:
    """Call columns by other names; those that `names` does not know keep theirs."""

    def take(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {names.get(name, name): values for name, values in records.take(rows).items()}

    cut = records.window

    def window(rows: np.ndarray, words: np.ndarray) -> dict[str, np.ndarray]:
        assert cut is not None
        return {names.get(name, name): values for name, values in cut(rows, words).items()}

    return Records(records.count, take, cut and window)


def apart(*sides: Records) -> Records:
    """Zip records that do not correspond; the shorter ones begin anew at their end."""

    def take(rows: np.ndarray) -> dict[str, np.ndarray]:
        parts = [side.take(rows % len(side)) for side in sides]
        return {name: values for part in parts for name, values in part.items()}

    return Records(max(len(side) for side in sides), take)


def open_built(
    made: Any,
    *,
    name: str,
    split: str,
    look: Mapping[str, Any],
    square: Callable[[bytes], np.ndarray],
    rules: Mapping[str, Rule] = {},
) -> Source:
    """Open a prepared TFDS builder; `square` decodes one image to uint8 [h w c].

    Every picture of 8 bits becomes a column of its name; 'label' and 'text' do as `Source` says.
    `look` says what `square` does, for the fingerprint; `rules` tell the attributes, where the set
    has no booleans 'attributes' of its own. TFDS itself would decode with OpenCV where that is
    installed and with Pillow elsewhere: other pixels on other machines.

    Raises:
        UserError: no such split, an empty one, or no 8-bit picture.
    """
    info = made.info
    count = _count(info.splits, split, name)
    features = dict(info.features.items())
    pictures = _pictures(features, name)
    label = features.get("label")
    names = tuple(label.names) if isinstance(label, tfds.features.ClassLabel) else None
    has_text = _is_vector(features.get("text"))
    encoded = {one: tfds.decode.SkipDecoding() for one in pictures}
    data = made.as_data_source(split=split, decoders=encoded)

    def read(example: Mapping[str, Any]) -> dict[str, np.ndarray]:
        record = {one: square(example[one]) for one in pictures}
        text = {"text": np.asarray(example["text"], np.float32)} if has_text else {}
        label = {"label": np.asarray(example["label"], np.int32)} if names else {}
        return record | text | label

    content = (info.metadata or {}).get("content") or {
        one: (part.num_examples, part.num_bytes) for one, part in info.splits.items()
    }
    facts = {"set": info.full_name, "content": content, "split": split, "look": look}
    more = [*pictures, "text"] if has_text else pictures
    key = fingerprint(facts if more == ["image"] else facts | {"columns": more})
    records = decoded(data, read)
    if count * len(pictures) * look["resolution"] ** 2 * look["channels"] <= MEMORY_LIMIT:
        records = decoded_once(records, key, describe=f"{name}/{split}")
    classes = len(names) if names else None
    has_captions = isinstance(features.get("caption"), tfds.features.Text)
    captions = _captions(data) if has_captions else None
    rules = rules or _told(features.get("attributes"))
    attributes = _attributes(data, rules, features) if rules else None
    return Source(
        *(name, records, key, count, classes, names, info.description, captions),
        attributes=attributes,
    )


def _pictures(features: Mapping[str, Any], name: str) -> list[str]:
    """Name the features that are pictures of bytes, in alphabetical order."""
    images = {
        one: feature
        for one, feature in sorted(features.items())
        if isinstance(feature, tfds.features.Image)
    }
    if not images:
        raise UserError(f"data set {name!r} has no pictures, only {', '.join(sorted(features))}")
    pictures = [one for one, feature in images.items() if feature.np_dtype == np.uint8]
    if not pictures:
        kinds = ", ".join(sorted({str(one.np_dtype) for one in images.values()}))
        raise UserError(f"data set {name!r} has images of {kinds}, not bytes")
    return pictures


def _is_vector(feature: Any) -> bool:
    if type(feature) is not tfds.features.Tensor:  # not a class that makes something else of it
        return False
    shape: Any = feature.shape
    return feature.np_dtype == np.float32 and len(shape) == 1 and shape[0] is not None


def _captions(data: Any) -> Callable[[], tuple[str, ...]]:
    """Make the function that reads the captions, and keeps them once they are read."""
    return functools.cache(lambda: tuple(one["caption"].decode() for one in data))


def _told(feature: Any) -> Mapping[str, Rule]:
    """Rules of a set that tells its attributes itself, as CelebA does: booleans by name."""
    if not isinstance(feature, tfds.features.FeaturesDict):
        return {}
    names = [one for one, part in feature.items() if part.np_dtype == np.bool_]
    return {name: lambda example, name=name: bool(example["attributes"][name]) for name in names}


def _attributes(
    data: Any, rules: Mapping[str, Rule], features: Mapping[str, Any]
) -> Callable[[], Mapping[str, np.ndarray]]:
    """Make the function that reads the attributes, and keeps them once they are read."""
    texts = [name for name, one in features.items() if isinstance(one, tfds.features.Text)]

    def read() -> Mapping[str, np.ndarray]:
        examples = ({**one, **{name: one[name].decode() for name in texts}} for one in data)
        found = [[rule(example) for rule in rules.values()] for example in examples]
        return dict(zip(rules, np.asarray(found, bool).T, strict=True))

    return functools.cache(read)


def _count(splits: Mapping[str, Any], split: str, name: str) -> int:
    try:
        count = splits[split].num_examples
    except (KeyError, ValueError, AssertionError) as error:
        guess = nearest(split, splits)
        raise NoSplit(f"{name!r} has no split {split!r}; did you mean {guess}?") from error
    if not count:
        raise NoSplit(f"split {split!r} of {name!r} holds no image")
    return count


def decoded_once(records: Records, key: str, *, describe: str) -> Records:
    """Hold records in memory: decoded at first use and kept in the cache under `key`."""
    folder = cache_dir() / "decoded" / key
    if not folder.exists():
        columns = _decode_all(records, describe)
        with preparing(folder) as temporary:
            for name, column in columns.items():
                np.save(temporary / f"{name}.npy", column)
    return in_memory({file.stem: np.load(file) for file in sorted(folder.glob("*.npy"))})


def sweep(folder: Path) -> None:
    """Remove what killed preparations left in `folder` and nobody touched for a day."""
    for leftover in folder.glob("incomplete.*"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
            if time.time() - leftover.stat().st_mtime > 24 * 3600:
                shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def preparing(folder: Path) -> Iterator[Path]:
    """Lend a temporary folder that becomes `folder` only when the block ends without an error.

    A killed program leaves a folder nobody reads, swept up a day later. When another process was
    faster its folder stays: both hold the same data.

    Raises:
        UserError: the place cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f"incomplete.{folder.name}."
        sweep(folder.parent)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix))
    except OSError as error:
        raise UserError(f"cannot write the cache (set GAN_JAX_CACHE): {error}") from error
    try:
        yield temporary
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode_all(records: Records, describe: str) -> dict[str, np.ndarray]:
    starts = range(0, len(records), CHUNK)
    chunks = (np.arange(start, min(start + CHUNK, len(records))) for start in starts)
    bar = tqdm(total=len(records), desc=f"decoding {describe}", unit="image", mininterval=0.5)
    with bar, ThreadPoolExecutor(default_threads()) as pool:
        parts = []
        for part in in_order(pool, records.take, chunks):
            parts.append(part)
            bar.update(len(next(iter(part.values()))))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def in_order(pool: ThreadPoolExecutor, f: Callable, items: Iterator) -> Iterator:
    """Map in threads, staying at most a few items ahead, so that memory stays bounded."""
    waiting = []
    for item in items:
        waiting.append(pool.submit(f, item))
        if len(waiting) > 2 * default_threads():
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()
