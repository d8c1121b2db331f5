"""Open data sets as random-access records with metadata and a fingerprint."""

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
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from gan_jax.errors import NoSplit, UserError, nearest
from gan_jax.progress import clock

log = logging.getLogger("gan_jax")

MEMORY_LIMIT = 256 * 2**20
"""Bytes: decoded data sets up to this size are held in memory, larger ones decoded per batch."""

Rule = Callable[[Mapping[str, Any]], bool]
"""The texts of an example, or all its features -> whether it has an attribute."""

Texts = Mapping[str, tuple[str, ...]]
"""Text feature -> its texts, in row order."""

CHUNK = 256
"""Number of records that a thread decodes at a time when a whole data set is decoded."""


@dataclass(frozen=True)
class Records:
    """Random access to rows; `records[i]` is row i, a column without its first axis.

    Attributes:
        count: number of rows; None for an infinite source.
        take: row indices [b] -> columns stacked along a first axis b.
        window: for rows of variable length, (row indices [b], 32 random bits each [b]) -> columns
            with a random segment of each row.
    """

    count: int | None
    take: Callable[[np.ndarray], dict[str, np.ndarray]]
    window: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]] | None = None

    def __len__(self) -> int:
        if self.count is None:
            raise TypeError("an infinite source has no length")
        return self.count

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if index < 0 or (self.count is not None and index >= self.count):
            raise IndexError(f"record {index} of {self.count}")
        return {name: column[0] for name, column in self.take(np.array([index])).items()}


class Source(NamedTuple):
    """An open data set.

    Attributes:
        name: as given to `open_source`.
        records: rows with 'image' uint8 [h w c], or one such column per image ('x' and 'y' for
            translation); 'label' int32 [] if there are classes; 'text' float32 [e] if there are
            caption embeddings. Rows of toy distributions hold 'x' float32 [2] and 'label'.
        fingerprint: hash that changes when the arrays that a model receives change.
        size: number of rows; None for an infinite source.
        num_classes: None without classes.
        class_names: in the order of labels; None without classes.
        description: one sentence for people.
        captions: reads the captions in row order; None without captions.
        sides: the two columns of an unpaired data set, each with its own number of rows, which
            `batches` shuffles independently; `records` then zips them and repeats the shorter one.
        attributes: reads binary attributes such as glasses: name -> bool [n].
        texts: reads the text features in row order, other than captions: name -> n texts.
        described: reads what captions made from attributes say, as a `faces.Described`.
        encode: any caption to its embedding [e], where that needs no model and no table.
        speakers: `speech.Speakers` of a data set of voices.
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
    texts: Callable[[], Mapping[str, tuple[str, ...]]] | None = None
    described: Callable[[], Any] | None = None
    encode: Callable[[str], np.ndarray] | None = None


@functools.cache
def warn_once(line: str) -> None:
    """Log a warning once per process: a run opens its data set several times."""
    log.warning("%s", line)


def cache_dir() -> Path:
    """Return the folder of prepared data: `$GAN_JAX_CACHE`, else `~/.cache/gan_jax`."""
    return Path(os.environ.get("GAN_JAX_CACHE") or Path.home() / ".cache" / "gan_jax")


def fingerprint(facts: Mapping[str, object]) -> str:
    """Hash JSON-like values to 16 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def default_threads() -> int:
    """Return the number of decoding threads: one per core, at least 2 and at most 16."""
    return min(16, max(2, os.cpu_count() or 1))


def in_memory(columns: dict[str, np.ndarray]) -> Records:
    """Make records from arrays with a common first axis."""
    count = len(next(iter(columns.values())))
    return Records(count, lambda rows: {name: column[rows] for name, column in columns.items()})


def decoded(data: Any, read: Callable[[Any], dict[str, np.ndarray]]) -> Records:
    """Make records of a TFDS data source that `read` converts to arrays at each access."""

    def take(rows: np.ndarray) -> dict[str, np.ndarray]:
        examples = [read(one) for one in data.__getitems__(rows.tolist())]
        return {name: np.stack([one[name] for one in examples]) for name in examples[0]}

    return Records(len(data), take)


def column(records: Records, name: str, *, rename: str | None = None) -> Records:
    """Keep only one column, optionally renamed."""
    return Records(records.count, lambda rows: {rename or name: records.take(rows)[name]})


def renamed(records: Records, names: Mapping[str, str]) -> Records:
    """Rename columns; those that are not in `names` keep their name."""

    def take(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {names.get(name, name): values for name, values in records.take(rows).items()}

    cut = records.window

    def window(rows: np.ndarray, bits: np.ndarray) -> dict[str, np.ndarray]:
        assert cut is not None
        return {names.get(name, name): values for name, values in cut(rows, bits).items()}

    return Records(records.count, take, cut and window)


def zip_unpaired(*sides: Records) -> Records:
    """Zip unpaired records; the shorter ones repeat from their start."""

    def take(rows: np.ndarray) -> dict[str, np.ndarray]:
        parts = [side.take(rows % len(side)) for side in sides]
        return {name: values for part in parts for name, values in part.items()}

    return Records(max(len(side) for side in sides), take)


def open_built(
    prepared: Any,
    *,
    name: str,
    split: str,
    preprocessing: Mapping[str, Any],
    decode: Callable[[bytes], np.ndarray],
    rules: Mapping[str, Rule] = {},
) -> Source:
    """Open a split of a prepared TFDS builder.

    Images are not decoded by TFDS, which would use OpenCV where it is installed and Pillow
    elsewhere, with different pixels.

    Args:
        prepared: TFDS builder. Each 8-bit image feature becomes a column of the same name; 'label'
            and 'text' as in `Source`.
        name: of the data set.
        split: a split of the builder, a slice, or a sum.
        preprocessing: describes `decode` for the fingerprint; has 'resolution' and 'channels'.
        decode: encoded image -> uint8 [h w c].
        rules: attributes by the texts of a data set without boolean features 'attributes'.

    Raises:
        UserError: an unknown or empty split, or no 8-bit image feature.
    """
    import tensorflow_datasets as tfds

    info = prepared.info
    count = _count(info.splits, split, name)
    features = dict(info.features.items())
    pictures = _pictures(features, name)
    label = features.get("label")
    names = tuple(label.names) if isinstance(label, tfds.features.ClassLabel) else None
    has_text = _is_vector(features.get("text"))
    encoded = {one: tfds.decode.SkipDecoding() for one in pictures}
    data = prepared.as_data_source(split=split, decoders=encoded)

    def read(example: Mapping[str, Any]) -> dict[str, np.ndarray]:
        record = {one: decode(example[one]) for one in pictures}
        text = {"text": np.asarray(example["text"], np.float32)} if has_text else {}
        label = {"label": np.asarray(example["label"], np.int32)} if names else {}
        return record | text | label

    content = (info.metadata or {}).get("content") or {
        one: (part.num_examples, part.num_bytes) for one, part in info.splits.items()
    }
    facts = {"set": info.full_name, "content": content, "split": split, "look": preprocessing}
    columns = [*pictures, "text"] if has_text else pictures
    key = fingerprint(facts if columns == ["image"] else facts | {"columns": columns})
    records = decoded(data, read)
    if (
        count * len(pictures) * preprocessing["resolution"] ** 2 * preprocessing["channels"]
        <= MEMORY_LIMIT
    ):
        records = decoded_once(records, key, describe=f"{name}/{split}")
    classes = len(names) if names else None
    named = _texts(features)
    texts = _text_columns(data, named, key)
    attributes = None
    if rules:
        attributes = _attributes(rules, lambda: _rows(texts()))
    elif rules := _boolean_attributes(features.get("attributes")):
        attributes = _attributes(rules, lambda: data)
    return Source(
        *(name, records, key, count, classes, names, info.description),
        captions=(lambda: texts()["caption"]) if "caption" in named else None,
        attributes=attributes,
        texts=(lambda: _without_caption(texts())) if {*named} - {"caption"} else None,
    )


def _pictures(features: Mapping[str, object], name: str) -> list[str]:
    """Return the names of the 8-bit image features in alphabetical order."""
    import tensorflow_datasets as tfds

    images = {
        one: feature
        for one, feature in sorted(features.items())
        if isinstance(feature, tfds.features.Image)
    }
    if not images:
        raise UserError(f"data set {name!r} has no images, only {', '.join(sorted(features))}")
    pictures = [one for one, feature in images.items() if feature.np_dtype == np.uint8]
    if not pictures:
        kinds = ", ".join(sorted({str(one.np_dtype) for one in images.values()}))
        raise UserError(f"data set {name!r} has images of {kinds}, not uint8")
    return pictures


def _is_vector(feature: object) -> bool:
    import tensorflow_datasets as tfds

    if type(feature) is not tfds.features.Tensor:  # not a subclass with another encoding
        return False
    shape: Any = feature.shape
    return feature.np_dtype == np.float32 and len(shape) == 1 and shape[0] is not None


def _boolean_attributes(feature: object) -> Mapping[str, Rule]:
    """Return the rules of a data set with boolean features 'attributes', such as CelebA."""
    import tensorflow_datasets as tfds

    if not isinstance(feature, tfds.features.FeaturesDict):
        return {}
    names = [one for one, part in feature.items() if part.np_dtype == np.bool_]
    return {name: lambda example, name=name: bool(example["attributes"][name]) for name in names}


def _attributes(
    rules: Mapping[str, Rule], examples: Callable[[], Iterable[Mapping[str, Any]]]
) -> Callable[[], Mapping[str, np.ndarray]]:
    """Return a function that applies the rules to all examples once and caches the result."""

    def read() -> Mapping[str, np.ndarray]:
        with clock("reading attributes"):
            table = [[rule(one) for rule in rules.values()] for one in examples()]
        return dict(zip(rules, np.asarray(table, bool).T, strict=True))

    return functools.cache(read)


def _rows(columns: Texts) -> Iterator[Mapping[str, str]]:
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _without_caption(columns: Texts) -> Texts:
    return {name: texts for name, texts in columns.items() if name != "caption"}


def _texts(features: Mapping[str, object]) -> list[str]:
    import tensorflow_datasets as tfds

    return [name for name, one in features.items() if isinstance(one, tfds.features.Text)]


def _text_columns(data: Any, names: list[str], key: str) -> Callable[[], Texts]:
    """Return a function that reads text features once, and caches them on disk under `key`.

    Each row is parsed with its pictures: a minute for 60,000.
    """
    folder = cache_dir() / "columns" / key

    def read() -> Texts:
        if not folder.exists():
            with clock("reading texts"):
                rows = [[one[name].decode() for name in names] for one in data]
            columns = dict(zip(names, zip(*rows, strict=True), strict=True))
            with preparing(folder) as temporary:
                text = json.dumps(columns, ensure_ascii=False)
                (temporary / "columns.json").write_text(text, "utf-8")
        columns = json.loads((folder / "columns.json").read_text("utf-8"))
        return {name: tuple(texts) for name, texts in columns.items()}

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
    """Return records in memory, decoded at the first call and cached on disk under `key`."""
    folder = cache_dir() / "decoded" / key
    if not folder.exists():
        columns = _decode_all(records, describe)
        with preparing(folder) as temporary:
            for name, column in columns.items():
                np.save(temporary / f"{name}.npy", column)
    return in_memory({file.stem: np.load(file) for file in sorted(folder.glob("*.npy"))})


def sweep(folder: Path) -> None:
    """Remove incomplete folders of killed processes that are unchanged for a day."""
    for leftover in folder.glob("incomplete.*"):
        with contextlib.suppress(FileNotFoundError):  # another process may remove it first
            if time.time() - leftover.stat().st_mtime > 24 * 3600:
                shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def preparing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to `folder` if the block succeeds.

    A killed process leaves a folder that is never read, and that `sweep` removes a day later. If
    another process finishes first its folder is kept: both hold the same data.

    Raises:
        UserError: the parent folder cannot be written.
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
    """Map in threads and yield in order, with a bounded number of results in memory."""
    waiting = []
    for item in items:
        waiting.append(pool.submit(f, item))
        if len(waiting) > 2 * default_threads():
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()
