"""PyTorch checkpoints as numpy arrays, without torch and without running anything they contain.

A checkpoint is a pickle beside raw storages, in one stream (before torch 1.6) or in a zip (since).
The reader builds tensors, dictionaries and plain values; every other name in the pickle is refused.
In a plain pickle of tensors each carries its storage as a checkpoint of its own.
"""

import math
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from gan_jax.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES: Mapping[str, Any] = {
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


_DAMAGE = (  # all that unpickling altered bytes was seen or is documented to raise
    *(pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, EOFError, AttributeError),
    *(ImportError, IndexError, KeyError, TypeError, ValueError, OverflowError, MemoryError),
    RecursionError,
)


class _Type(NamedTuple):
    """Stands for torch.FloatStorage and its relatives; not callable, unlike a numpy dtype."""

    dtype: np.dtype


@dataclass
class _Storage:
    """A storage whose bytes come after the pickle that names it."""

    dtype: np.dtype
    count: int
    values: np.ndarray = field(default_factory=lambda: np.empty(0))


class _Tensor(NamedTuple):
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: Any, *_: Any) -> Any:
    return data


Builders = Mapping[tuple[str, str], Callable]
"""What stands for a name in a pickle, by module and name. It is called with whatever the file says,
so it must do nothing but put that in a container."""

_BUILDERS: Builders = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _Reader(pickle.Unpickler):
    """Knows tensors and dictionaries; `storages` collects what the pickle refers to."""

    def __init__(self, stream: BinaryIO, more: Builders | None = None) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}
        self.builders = {**_BUILDERS, **(more or {})}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _Type(np.dtype(_DTYPES[name]))
        if (module, name) in self.builders:
            return self.builders[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, count, *view = pid
        if kind != "storage" or not isinstance(storage, _Type) or any(view):
            raise pickle.UnpicklingError(f"it refers to {kind!r}, which is no tensor's storage")
        return self.storages.setdefault(key, _Storage(storage.dtype, count))


def read_torch(path: Path) -> dict[str, Any]:
    """The dictionary saved in a PyTorch checkpoint, its tensors as numpy arrays of their own type.

    Raises UserError, naming the file and the reason, when it holds anything but tensors, plain
    values and containers of them, or is damaged.
    """
    return _read(path, lambda: _read_zip(path) if zipfile.is_zipfile(path) else _read_stream(path))


def read_pickle(path: Path, more: Builders) -> dict[str, Any]:
    """The dictionary in a plain pickle, its tensors as numpy arrays; `more` names are built too.

    Raises UserError as `read_torch`.
    """
    carried = {
        ("torch.storage", "_load_from_bytes"): _carried,
        ("_codecs", "encode"): _bytes,
        ("builtins", "set"): set,
        ("__builtin__", "set"): set,
    }

    def load() -> Any:
        with path.open("rb") as stream:
            return _Reader(stream, {**carried, **more}).load()

    return _read(path, load)


def _bytes(text: str, encoding: str) -> bytes:
    """Bytes as the second protocol writes them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it has text in {encoding!r}")
    return text.encode(encoding)


def _carried(data: bytes) -> _Storage:
    """The storage that a tensor of a plain pickle brings along."""
    found = _load_stream(BytesIO(data))
    if not isinstance(found, _Storage):
        raise pickle.UnpicklingError("it has something else where a tensor's numbers should be")
    return found


def _read(path: Path, load: Callable[[], Any]) -> dict[str, Any]:
    try:
        tree = _arrays(load(), {})
    except _DAMAGE as error:
        raise UserError(f"{path} is not a checkpoint of tensors: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path} holds a {type(tree).__name__}, not a dictionary of tensors")
    return tree


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("the zip has no single data.pkl")
        root = names[0].removesuffix("data.pkl")
        order = f"{root}byteorder"
        if order in archive.namelist() and archive.read(order).strip() != b"little":
            raise ValueError("its numbers are not little-endian")
        reader = _Reader(BytesIO(archive.read(names[0])))
        content = reader.load()
        for key, storage in reader.storages.items():
            _fill(storage, archive.read(f"{root}data/{key}"))
    return content


def _read_stream(path: Path) -> Any:
    with path.open("rb") as stream:
        return _load_stream(stream)


def _load_stream(stream: BinaryIO) -> Any:
    if _Reader(stream).load() != _MAGIC:
        raise ValueError("it does not begin as PyTorch files do")
    for _ in ("protocol", "system"):
        _Reader(stream).load()
    reader = _Reader(stream)
    content = reader.load()
    for key in _Reader(stream).load():
        storage = reader.storages[key]
        count = int.from_bytes(stream.read(8), "little")
        if count != storage.count:
            raise ValueError(f"storage {key} has {count} numbers instead of {storage.count}")
        _fill(storage, stream.read(count * storage.dtype.itemsize))
    return content


def _fill(storage: _Storage, data: bytes) -> None:
    if len(data) != storage.count * storage.dtype.itemsize:
        raise ValueError("it ends before its numbers do")
    storage.values = np.frombuffer(data, storage.dtype)


def _arrays(node: Any, done: dict[int, Any]) -> Any:
    """The tree with arrays for tensors; each part once, however often the file refers to it."""
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
