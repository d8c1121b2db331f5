"""One table of names for a network's weights in PyTorch and here, read in both directions.

PyTorch has pictures as NCHW and kernels as [out in h w] ([in out h w] of a transposed convolution),
here they are NHWC and [h w in out] ([h w out in]). A `Layout` and its inverse only move numbers
about, so that a round trip gives the same bits.
"""

import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.config import Network
from gan_jax.errors import UserError

State = Mapping[str, Any]  # a state dict: dotted names to arrays
Path = tuple[str, ...]  # of a leaf in a network's variables: ("params", "in", "kernel")


class Layout(NamedTuple):
    """How a tensor is laid out here and in PyTorch: two functions, each the other's inverse."""

    ours: Callable[[Any], Any]
    torch: Callable[[Any], Any]


def _swap_halves(axis: int) -> Callable[[Any], Any]:
    """Exchanges the two halves of an axis: channels that are joined in the other order."""

    def swap(x: Any) -> Any:
        n, shape = x.shape[axis], x.shape
        halves = x.reshape(*shape[:axis], 2, n // 2, *shape[axis + 1 :])
        order = (slice(None),) * axis + (slice(None, None, -1),)
        return halves[order].reshape(shape)

    return swap


def _reordered(*axes: int) -> Callable[[Any], Any]:
    return lambda x: x.transpose(axes)


SAME = Layout(lambda x: x, lambda x: x)
DENSE = Layout(lambda x: x.T, lambda x: x.T)
CONV = Layout(_reordered(2, 3, 1, 0), _reordered(3, 2, 0, 1))


def swapped(layout: Layout, axis: int = 2) -> Layout:
    """The layout of a kernel whose input, its `axis`, is two pictures joined the other way round.

    They have as many channels each.
    """
    swap = _swap_halves(axis)
    return Layout(lambda x: swap(layout.ours(x)), lambda x: layout.torch(swap(x)))


class Entry(NamedTuple):
    """A tensor: its name in PyTorch, where it is in our variables, and its layouts."""

    key: str
    path: Path
    layout: Layout = SAME


class Table(NamedTuple):
    """All tensors of a network.

    `idle` are names that a file may also have, of numbers that nothing reads (running statistics of
    instance norm, a counter of batches); `fixed` those of constants, with the value they must have.
    """

    entries: tuple[Entry, ...]
    idle: frozenset[str] = frozenset()
    fixed: Mapping[str, np.ndarray] = {}


class Portrait(NamedTuple):
    """What a state dict says of its network.

    `role` is generator or discriminator; `facts` are dotted fields of an experiment that follow
    from it: {"data.channels": 3, "game.z": 100}.
    """

    role: str
    network: Network
    table: Table
    facts: Mapping[str, Any]


def from_torch(table: Table, state: State, like: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Our variables of a state dict; `like` has their shapes, as `jax.eval_shape` gives them.

    Raises UserError, after `what`, listing every name that is missing or unknown and every tensor
    of another shape, with both shapes.
    """
    shapes = dict(leaves(like))
    known = {entry.key for entry in table.entries} | table.idle | table.fixed.keys()
    missing = [entry.key for entry in table.entries if entry.key not in state]
    faults = [f"missing {', '.join(missing)}"] if missing else []
    unknown = [key for key in state if key not in known]
    faults += [f"unknown {', '.join(unknown)}"] if unknown else []
    for entry in table.entries:
        if entry.key not in missing:
            needed = jax.eval_shape(entry.layout.torch, shapes[entry.path]).shape
            found = np.shape(state[entry.key])
            if found != needed:
                faults.append(f"{entry.key} of shape {found} instead of {needed}")
    for key, value in table.fixed.items():
        if key in state and not np.allclose(state[key], value, rtol=1e-5):
            faults.append(f"{key} of other numbers than this network has")
    if faults:
        raise UserError(f"{what}: {'; '.join(faults)}")
    tree: dict[str, Any] = {}
    for entry in table.entries:
        value = np.asarray(state[entry.key]).astype(np.float32)
        _put(tree, entry.path, np.array(entry.layout.ours(value), order="C"))
    return tree


def to_torch(table: Table, variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The state dict of our variables, constants included."""
    found = dict(leaves(variables))
    state = {
        e.key: np.array(e.layout.torch(np.asarray(found[e.path])), order="C") for e in table.entries
    }
    return {**state, **table.fixed}


def leaves(tree: Mapping[str, Any], prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every leaf of nested dictionaries with its path."""
    for name, value in tree.items():
        nested = isinstance(value, Mapping)
        yield from leaves(value, (*prefix, name)) if nested else [((*prefix, name), value)]


def _put(tree: dict[str, Any], path: Path, value: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def tensors(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A state dict's own tensors; a prefix `module.` that all of them have is taken off."""
    state = {key: value for key, value in tree.items() if isinstance(value, np.ndarray)}
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file. Raises UserError when it is none."""
    try:
        from safetensors import SafetensorError, numpy
    except ImportError as error:
        raise UserError("a .safetensors file needs: pip install 'gan_jax[export]'") from error
    try:
        return numpy.load_file(path)
    except (SafetensorError, KeyError) as error:
        raise UserError(f"{path} is no safetensors file: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def batch_norm(key: str, name: str) -> list[Entry]:
    """A batch norm's four tensors."""
    return [
        Entry(f"{key}.weight", ("params", name, "scale")),
        Entry(f"{key}.bias", ("params", name, "bias")),
        Entry(f"{key}.running_mean", ("batch_stats", name, "mean")),
        Entry(f"{key}.running_var", ("batch_stats", name, "var")),
    ]


def counters(keys: Iterable[str]) -> frozenset[str]:
    """What batch norms count, which nothing reads where their momentum is a number."""
    return frozenset(f"{key}.num_batches_tracked" for key in keys)


def statistics(keys: Iterable[str]) -> frozenset[str]:
    """What PyTorch before 0.4 kept for instance norm and never read with batches of pictures."""
    kinds = ("running_mean", "running_var", "num_batches_tracked")
    return frozenset(f"{key}.{kind}" for key in keys for kind in kinds)


def shape_of(state: State, key: str, axes: int, what: str) -> tuple[int, ...]:
    """The shape of a tensor that a network is known by. Raises UserError when it is not there."""
    value = state.get(key)
    if not isinstance(value, np.ndarray) or value.ndim != axes:
        names = ", ".join(list(state)[:6]) or "nothing"
        raise UserError(f"{what} has no {key!r} of {axes} axes; it has {names} ...")
    return value.shape
