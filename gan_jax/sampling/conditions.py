"""What samples are conditioned on: labels, captions and pictures, as columns of arrays."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.errors import UserError, nearest

READ_BATCH = 256  # rows that are read from a data set at once

A = TypeVar("A", Array, np.ndarray)

Conditions = dict[str, np.ndarray]
"""The conditions of n samples by name, [n ...] each; "index" [n] numbers the samples' noise."""


def from_data(source: Source, count: int, names: tuple[str, ...]) -> Conditions:
    """Read columns of the first rows of a data set.

    Args:
        source: the data set; if it has fewer than `count` rows, they are repeated.
        count: the number of samples, n.
        names: the columns to read; those that the data set does not have are left out.

    Returns:
        The columns, [n ...] each, and "index".
    """
    rows_read = min(count, source.size or count)
    batches = list(eval_batches(source, READ_BATCH, count=rows_read))
    rows = np.arange(count) % rows_read
    columns = {n: np.concatenate([b[n] for b in batches])[rows] for n in names if n in batches[0]}
    return {"index": np.arange(count), **columns}


def as_in_data(conditions: Conditions, source: Source) -> Conditions:
    """Replace the labels by as many labels of the data set, in random order.

    Metrics that compare distributions need the classes as frequent as in the data; grids show
    equally many samples of each class, class after class. Conditions without labels, and those for
    data without labels, are returned unchanged.
    """
    if "label" not in conditions or not source.size or "label" not in source.records[0]:
        return conditions
    rows = np.random.RandomState(0).permutation(source.size)
    rows = np.resize(rows, len(conditions["label"]))
    parts = np.array_split(rows, -(-len(rows) // READ_BATCH))
    labels = np.concatenate([source.records.take(part)["label"] for part in parts])
    return {**conditions, "label": labels.astype(np.int32)}


def of_classes(
    conditions: Conditions, source: Source, labels: Sequence[str], columns: int
) -> Conditions:
    """Condition each row of a grid on the class that a user chose for it.

    Args:
        conditions: what the sampler's conditions are otherwise: they tell whether it takes labels.
        source: the data set that names the classes.
        labels: the class of each row of the grid, by name or number.
        columns: the number of samples in a row.

    Returns:
        "label" and "index", `len(labels) * columns` each.

    Raises:
        UserError: for an unknown class, with the nearest name, or a generator without labels.
    """
    if "label" not in conditions:
        raise UserError("this generator has no classes: --labels needs game.condition")
    names = source.class_names or ()
    numbers = [_class_number(label, names, source.num_classes or 0) for label in labels]
    repeated = np.repeat(numbers, columns)
    return {"index": np.arange(len(repeated)), "label": repeated.astype(np.int32)}


def _class_number(label: str, names: Sequence[str], count: int) -> int:
    if label in names:
        return list(names).index(label)
    if label.isdigit() and int(label) < count:
        return int(label)
    raise UserError(f"no class {label!r} of {count}; did you mean {nearest(label, names)}?")


def between_captions(source: Source, rows: Sequence[int], columns: int) -> Conditions:
    """Interpolate linearly between the embeddings of captions, at a fixed latent.

    Args:
        source: a data set with captions.
        rows: the data set's rows whose captions are the ends, k of them.
        columns: the number of samples on the line from a caption to the next.

    Returns:
        "text" [(k - 1) * columns, d], and "index", which is 0 for all: they share their noise.

    Raises:
        UserError: for a row that the data set does not have, or data without captions.
    """
    if len(rows) < 2 or "text" not in source.records[0]:
        raise UserError("--captions needs at least two rows of data with captions")
    count = source.size or 0
    for row in rows:
        if not 0 <= row < count:
            raise UserError(f"no caption {row}: data set {source.name!r} has rows 0 to {count - 1}")
    text = source.records.take(np.asarray(rows))["text"]
    t = np.linspace(0.0, 1.0, columns, dtype=np.float32)[:, None]
    lines = [(1.0 - t) * a + t * b for a, b in itertools.pairwise(text)]
    mixed = np.concatenate(lines)
    return {"index": np.zeros(len(mixed), int), "text": mixed}


def batches(conditions: Conditions, size: int) -> Iterator[Conditions]:
    """Split conditions into batches of exactly `size` samples.

    The last batch is filled up with copies of the last sample: a batch of another size would be
    compiled again.
    """
    count = len(conditions["index"])
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        yield {name: column[rows] for name, column in conditions.items()}


def to_float(value: A) -> A:
    """Convert pictures from bytes to float32 in [-1, 1]; other arrays are returned unchanged."""
    return value.astype(jnp.float32) / 127.5 - 1.0 if value.dtype == jnp.uint8 else value
