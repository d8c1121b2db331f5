"""Data sets of a user's own: opened by a function, or given as arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from gan_jax.config import Data
from gan_jax.data.source import Source, fingerprint, in_memory
from gan_jax.errors import UserError


class DatasetSpec(NamedTuple):
    """A data set.

    Attributes:
        name: what `data.name` calls it; a slash keeps names of one origin together: "mine/rings".
        open: `(data, split, seed) -> Source`, for instance by `from_arrays`. It raises NoSplit for
            a split that the set does not have.
        shape: of one real sample, from the configuration of the data; None: square images,
            [resolution resolution channels].
        column: what games from noise imitate: "image", or "x" for points.
    """

    name: str
    open: Callable[[Data, str, int], Source]
    shape: Callable[[Data], tuple[int, ...]] | None = None
    column: str = "image"


DATASETS: dict[str, DatasetSpec] = {}
ARRAYS = "arrays/"  # begins the names of data that is given as arrays, followed by its fingerprint


def register_dataset(spec: DatasetSpec) -> None:
    """Make a data set known to experiments by its name."""
    DATASETS[spec.name] = spec


def find_dataset(name: str) -> DatasetSpec | None:
    """The registered data set of that name; None if it is not registered.

    Raises:
        UserError: if it was given as arrays, and is not given now.
    """
    if name.startswith(ARRAYS) and name not in DATASETS:
        raise UserError(f"{name!r} was given in Python: give it again, as in load(run, data=...)")
    return DATASETS.get(name)


def from_arrays(
    name: str,
    columns: Mapping[str, np.ndarray],
    *,
    class_names: tuple[str, ...] | None = None,
    description: str = "",
) -> Source:
    """A data set that lies in memory.

    Args:
        name: of the set.
        columns: arrays [n ...] with one row a sample: 'image' uint8 [n h w c], or 'x' and 'y' for
            translation, or 'x' float32 [n d] of points; 'label' int [n] from 0; 'text' float32
            [n e], the embeddings of captions.
        class_names: the names of the labels.
        description: a sentence for the report.

    Raises:
        UserError: if there are no columns, or they differ in length.
    """
    sizes = {column: len(values) for column, values in columns.items()}
    if not sizes or len(set(sizes.values())) != 1 or not max(sizes.values()):
        raise UserError(f"data set {name!r} needs columns of one length above 0, not {sizes}")
    arrays = {column: np.asarray(values) for column, values in columns.items()}
    classes = None
    if "label" in arrays:
        arrays["label"] = arrays["label"].astype(np.int32)
        classes = len(class_names or ()) or int(arrays["label"].max()) + 1
    facts = {column: _digest(values) for column, values in arrays.items()}
    return Source(
        name,
        in_memory(arrays),
        fingerprint({"name": name, "columns": facts}),
        len(next(iter(arrays.values()))),
        classes,
        class_names,
        description or f"{len(next(iter(arrays.values()))):,} rows of {', '.join(arrays)}",
    )


def _digest(values: np.ndarray) -> tuple[str, list[int], str]:
    content = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    return str(values.dtype), list(values.shape), content
