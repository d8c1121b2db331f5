"""Tables that map the names and layouts of weights between PyTorch and this package.

PyTorch stores images as NCHW and kernels as [out in h w] ([in out h w] for a transposed
convolution); this package uses NHWC and [h w in out] ([h w out in]). A `Layout` and its inverse
only permute entries, so that a round trip is exact.
"""

import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from gan_jax.config import Network
from gan_jax.errors import UserError

State = Mapping[str, np.ndarray]
"""A PyTorch state dict: dotted name -> tensor."""

Path = tuple[str, ...]
"""The path of a leaf of Flax variables: ("params", "in", "kernel")."""

Permute = Callable[[np.ndarray], np.ndarray]
"""Reorders the entries of a tensor, without computing with them."""


class Layout(NamedTuple):
    """Conversions of a tensor to this package's layout and to PyTorch's; inverse functions."""

    ours: Permute
    torch: Permute


def _swap_halves(axis: int) -> Permute:
    """Return a function that exchanges the two halves of an axis."""

    def swap(x: np.ndarray) -> np.ndarray:
        n, shape = x.shape[axis], x.shape
        halves = x.reshape(*shape[:axis], 2, n // 2, *shape[axis + 1 :])
        order = (slice(None),) * axis + (slice(None, None, -1),)
        return halves[order].reshape(shape)

    return swap


def _reordered(*axes: int) -> Permute:
    return lambda x: x.transpose(axes)


SAME = Layout(lambda x: x, lambda x: x)
DENSE = Layout(lambda x: x.T, lambda x: x.T)
CONV = Layout(_reordered(2, 3, 1, 0), _reordered(3, 2, 0, 1))


def swapped(layout: Layout, axis: int = 2) -> Layout:
    """Return the layout of a kernel whose input concatenates two arrays in the other order.

    Args:
        layout: of the kernel itself.
        axis: input axis in this package's layout; both halves have the same size.
    """
    swap = _swap_halves(axis)
    return Layout(lambda x: swap(layout.ours(x)), lambda x: layout.torch(swap(x)))


class Entry(NamedTuple):
    """A tensor: its name in PyTorch, its path in Flax variables, and its layout."""

    key: str
    path: Path
    layout: Layout = SAME


class Table(NamedTuple):
    """All tensors of a network.

    Attributes:
        entries: the tensors.
        ignored: names of unused tensors that a file may contain, such as running statistics of
            instance norm and batch counters.
        constants: name -> required value of tensors that are not parameters.
    """

    entries: tuple[Entry, ...]
    ignored: frozenset[str] = frozenset()
    constants: Mapping[str, np.ndarray] = {}


class Architecture(NamedTuple):
    """The network of a state dict.

    Attributes:
        role: 'generator' or 'discriminator'.
        network: configuration of the network.
        table: names of its tensors.
        overrides: dotted fields of an experiment that it determines, such as
            {"data.channels": 3, "game.z": 100}.
    """

    role: str
    network: Network
    table: Table
    overrides: Mapping[str, object]


def from_torch(table: Table, state: State, like: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Convert a state dict to Flax variables.

    Args:
        table: names and layouts.
        state: PyTorch state dict.
        like: shapes of the variables, as from `jax.eval_shape`.
        origin: name of the state dict in messages.

    Raises:
        UserError: lists all missing and unknown names, and all tensors of another shape.
    """
    import jax  # not at the top: a missing file is reported without waiting for it

    shapes = dict(leaves(like))
    known = {entry.key for entry in table.entries} | table.ignored | table.constants.keys()
    missing = [entry.key for entry in table.entries if entry.key not in state]
    errors = [f"missing {', '.join(missing)}"] if missing else []
    unknown = [key for key in state if key not in known]
    errors += [f"unknown {', '.join(unknown)}"] if unknown else []
    for entry in table.entries:
        if entry.key not in missing:
            needed = jax.eval_shape(entry.layout.torch, shapes[entry.path]).shape
            shape = np.shape(state[entry.key])
            if shape != needed:
                errors.append(f"{entry.key} of shape {shape} instead of {needed}")
    for key, value in table.constants.items():
        if key in state and not np.allclose(state[key], value, rtol=1e-5):
            errors.append(f"{key} of other values than this network has")
    if errors:
        raise UserError(f"{origin}: {'; '.join(errors)}")
    tree: dict[str, Any] = {}
    for entry in table.entries:
        value = np.asarray(state[entry.key]).astype(np.float32)
        _put(tree, entry.path, np.array(entry.layout.ours(value), order="C"))
    return tree


def to_torch(table: Table, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Convert Flax variables to a state dict, including constants."""
    values = dict(leaves(variables))
    state = {
        e.key: np.array(e.layout.torch(np.asarray(values[e.path])), order="C")
        for e in table.entries
    }
    return {**state, **table.constants}


def leaves(tree: Mapping[str, Any], prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every leaf of nested dictionaries with its path."""
    for name, value in tree.items():
        nested = isinstance(value, Mapping)
        yield from leaves(value, (*prefix, name)) if nested else [((*prefix, name), value)]


def _put(tree: dict[str, Any], path: Path, value: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def tensors(tree: Mapping[str, object]) -> dict[str, np.ndarray]:
    """Keep only the tensors of a state dict; strip a prefix `module.` that all names share."""
    state = {key: value for key, value in tree.items() if isinstance(value, np.ndarray)}
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Read the tensors of a safetensors file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return load_file(path)
    except (SafetensorError, KeyError) as error:
        raise UserError(f"{path} is not a safetensors file: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def batch_norm(key: str, name: str) -> list[Entry]:
    """Return the four tensors of a batch norm."""
    return [
        Entry(f"{key}.weight", ("params", name, "scale")),
        Entry(f"{key}.bias", ("params", name, "bias")),
        Entry(f"{key}.running_mean", ("batch_stats", name, "mean")),
        Entry(f"{key}.running_var", ("batch_stats", name, "var")),
    ]


def counters(keys: Iterable[str]) -> frozenset[str]:
    """Return the names of batch norms' counters, which are unused with a fixed momentum."""
    return frozenset(f"{key}.num_batches_tracked" for key in keys)


def statistics(keys: Iterable[str]) -> frozenset[str]:
    """Return the names of instance norms' statistics: stored before PyTorch 0.4, but unused."""
    kinds = ("running_mean", "running_var", "num_batches_tracked")
    return frozenset(f"{key}.{kind}" for key in keys for kind in kinds)


def shape_of(state: State, key: str, axes: int, origin: str) -> tuple[int, ...]:
    """Return the shape of a tensor that identifies a network.

    Raises:
        UserError: the tensor is missing or has another number of axes.
    """
    value = state.get(key)
    if not isinstance(value, np.ndarray) or value.ndim != axes:
        names = ", ".join(list(state)[:6]) or "nothing"
        raise UserError(f"{origin} has no {key!r} of {axes} axes; it has {names} ...")
    return value.shape
