"""TFDS's temporary files for sets of more than a gigabyte, without TensorFlow.

TFDS orders examples by a hash of their keys. Beyond a gigabyte it sorts them into a thousand files,
which tensorflow-datasets 4.9.10 writes and reads with TensorFlow, whatever the file format.
"""

import contextlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Bucket:
    """A file of keys and examples; what TFDS's `_Bucket` does.

    It is closed after each example: a thousand open files are more than a process may have.
    """

    def __init__(self, path: os.PathLike[str]) -> None:
        self._path = path
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, key: int, data: bytes) -> None:
        """Append an example."""
        with open(self._path, "ab") as file:
            pickle.dump((key, data), file)
        self._length += 1

    def read_values(self) -> Iterator[tuple[int, bytes]]:
        """Yield the examples in the order in which they were added."""
        if not self._length:
            return
        with open(self._path, "rb") as file:
            for _ in range(self._length):
                yield pickle.load(file)

    def del_file(self) -> None:
        """Remove the file."""
        Path(self._path).unlink(missing_ok=True)


@contextlib.contextmanager
def plain_files() -> Iterator[None]:
    """Let TFDS use `Bucket` while the block runs."""
    from tensorflow_datasets.core import shuffle

    module: Any = shuffle
    theirs, module._Bucket = module._Bucket, Bucket
    try:
        yield
    finally:
        module._Bucket = theirs
