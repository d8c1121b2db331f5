"""Read PyTorch checkpoints as numpy arrays, without torch and without executing their code.

A checkpoint is a pickle with raw storages, in one stream (before torch 1.6) or in a zip (since
then). The reader builds only tensors, dictionaries and plain values, and rejects every other type.
In a plain pickle of tensors, each tensor contains its storage as a nested checkpoint.
"""

import math
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike

from gan_jax.errors import UserError

T = TypeVar("T")

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES: Mapping[str, DTypeLike] = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


_DAMAGE = (  # all exceptions that unpickling of damaged bytes can raise
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, EOFError, AttributeError),
    *(ImportError, IndexError, KeyError, TypeError, ValueError, OverflowError, MemoryError),
    RecursionError,
)


class _Type(NamedTuple):
    """Stand-in for storage types such as torch.FloatStorage; not callable, unlike a numpy dtype."""

    dtype: np.dtype


@dataclass
class _Storage:
    """A storage; its bytes follow the pickle that refers to it."""

    dtype: np.dtype
    count: int
    values: np.ndarray = field(default_factory=lambda: np.empty(0))


class _Tensor(NamedTuple):
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(
    storage: _Storage, offset: int, shape: Iterable[int], strides: Iterable[int], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: T, *_: object) -> T:
    return data


Builders = Mapping[tuple[str, str], Callable]
"""(module, name) in a pickle -> the callable that replaces it.

The file controls its arguments, so it must only store them in a container."""

_BUILDERS: Builders = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _Reader(pickle.Unpickler):
    """An unpickler of tensors and dictionaries; `storages` collects the referenced storages."""

    def __init__(self, stream: BinaryIO, extra: Builders | None = None) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}
        self.builders = {**_BUILDERS, **(extra or {})}

    def find_class(self, module: str, name: str) -> _Type | Callable:
        if module == "torch" and name in _DTYPES:
            return _Type(np.dtype(_DTYPES[name]))
        if (module, name) in self.builders:
            return self.builders[module, name]
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, count, *view = pid
        if kind != "storage" or not isinstance(storage, _Type) or any(view):
            raise pickle.UnpicklingError(f"it refers to {kind!r}, which is not a tensor's storage")
        return self.storages.setdefault(key, _Storage(storage.dtype, count))


def read_torch(path: Path) -> dict[str, Any]:
    """Read the dictionary in a PyTorch checkpoint, with tensors as numpy arrays of the same dtype.

    Raises:
        UserError: the file is damaged or unreadable, is not a dictionary, or contains anything but
            tensors, plain values and containers of them.
    """
    return _read(path, lambda: _read_zip(path) if zipfile.is_zipfile(path) else _read_stream(path))


def read_pickle(path: Path, extra: Builders) -> dict[str, Any]:
    """Read the dictionary in a plain pickle, with tensors as numpy arrays.

    Args:
        path: of the pickle.
        extra: further types to build.

    Raises:
        UserError: as in `read_torch`.
    """
    nested = {
        ("torch.storage", "_load_from_bytes"): _nested_storage,
        ("_codecs", "encode"): _bytes,
        ("builtins", "set"): set,
        ("__builtin__", "set"): set,
    }

    def load() -> object:
        with path.open("rb") as stream:
            return _Reader(stream, {**nested, **extra}).load()

    return _read(path, load)


def _bytes(text: str, encoding: str) -> bytes:
    """Decode bytes as pickle protocol 2 writes them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it has text in {encoding!r}")
    return text.encode(encoding)


def _nested_storage(data: bytes) -> _Storage:
    """Read the storage that a tensor in a plain pickle contains."""
    storage = _load_stream(BytesIO(data))
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a nested checkpoint in it is not a tensor's storage")
    return storage


def _read(path: Path, load: Callable[[], object]) -> dict[str, Any]:
    try:
        tree = _arrays(load(), {})
    except _DAMAGE as error:
        raise UserError(f"{path} is not a checkpoint of tensors: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path} holds a {type(tree).__name__}, not a dictionary of tensors")
    return tree


def _read_zip(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("the zip has no single data.pkl")
        root = names[0].removesuffix("data.pkl")
        order = f"{root}byteorder"
        if order in archive.namelist() and archive.read(order).strip() != b"little":
            raise ValueError("its values are not little-endian")
        reader = _Reader(BytesIO(archive.read(names[0])))
        content = reader.load()
        for key, storage in reader.storages.items():
            _fill(storage, archive.read(f"{root}data/{key}"))
    return content


def _read_stream(path: Path) -> object:
    with path.open("rb") as stream:
        return _load_stream(stream)


def _load_stream(stream: BinaryIO) -> object:
    if _Reader(stream).load() != _MAGIC:
        raise ValueError("it does not begin with PyTorch's magic number")
    for _ in ("protocol", "system"):
        _Reader(stream).load()
    reader = _Reader(stream)
    content = reader.load()
    for key in _Reader(stream).load():
        storage = reader.storages[key]
        count = int.from_bytes(stream.read(8), "little")
        if count != storage.count:
            raise ValueError(f"storage {key} has {count} values instead of {storage.count}")
        _fill(storage, stream.read(count * storage.dtype.itemsize))
    return content


def _fill(storage: _Storage, data: bytes) -> None:
    if len(data) != storage.count * storage.dtype.itemsize:
        raise ValueError("it is truncated")
    storage.values = np.frombuffer(data, storage.dtype)


def _arrays(node: object, done: dict[int, object]) -> object:
    """Convert tensors in a tree to arrays, each node once even if the file refers to it often."""
    if not isinstance(node, (dict, list, tuple)):
        return node
    if id(node) not in done:
        done[id(node)] = _PENDING
        if isinstance(node, _Tensor):
            done[id(node)] = _array(node)
        elif isinstance(node, dict):
            done[id(node)] = {key: _arrays(value, done) for key, value in node.items()}
        else:
            done[id(node)] = [_arrays(value, done) for value in node]
    if done[id(node)] is _PENDING:
        raise ValueError("a part of it contains itself")
    return done[id(node)]


_PENDING = object()


def _array(tensor: _Tensor) -> np.ndarray:
    values, shape, strides = tensor.storage.values, tensor.shape, tensor.strides
    steps = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    last = tensor.offset + sum(steps)
    if 0 in shape:
        return np.empty(shape, values.dtype)
    if min((tensor.offset, *shape, *strides)) < 0 or max(last, math.prod(shape) - 1) >= len(values):
        raise ValueError(f"a tensor of shape {shape} reaches outside its storage")
    part = values[tensor.offset :]
    return np.lib.stride_tricks.as_strided(part, shape, [s * part.itemsize for s in strides]).copy()
