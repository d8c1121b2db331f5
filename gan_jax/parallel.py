"""Data parallelism: the only file that names devices, pmap or shard_map.

One step `(state, batch, key) -> (state, metrics)`, written over the named axis `AXIS`, is mapped
over the devices: the batch is split, the state is replicated and donated.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

AXIS = "data"

Backend = Literal["pmap", "shard_map"]
Step = Callable[[Any, PyTree, Any], tuple[Any, PyTree]]


def make_mesh(devices: int | None = None) -> Mesh:
    """A mesh of the first `devices` devices (all when None) along `AXIS`.

    Raises ValueError when there are fewer.
    """
    have = jax.devices()
    count = len(have) if devices is None else devices
    if not 0 < count <= len(have):
        raise ValueError(f"{count} devices asked for, {len(have)} present")
    return Mesh(np.array(have[:count]), (AXIS,), axis_types=(AxisType.Auto,))


def place(state: PyTree, mesh: Mesh) -> PyTree:
    """Copies a host or device tree to every device of the mesh.

    A state that is not placed first makes the first step compile twice.
    """
    everywhere = NamedSharding(mesh, PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(state, everywhere)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(everywhere, np.asarray(leaf)), state
    )


def initialise(make: Callable[[], PyTree], mesh: Mesh) -> PyTree:
    """Runs `make`, compiled, and places what it returns.

    Drawing many small arrays compiles ten times faster with less optimisation, to the same bits.
    """
    return place(jax.jit(make, compiler_options={"xla_backend_optimization_level": 1})(), mesh)


def shard(batch: PyTree, mesh: Mesh) -> PyTree:
    """Splits this process's rows of a host batch over its devices of the mesh.

    Raises ValueError when the rows do not divide among the devices.
    """
    local = mesh.local_mesh.size
    for leaf in jax.tree.leaves(batch):
        if leaf.shape[0] % local:
            raise ValueError(f"a batch of {leaf.shape[0]} does not divide among {local} devices")
    split = NamedSharding(mesh, PartitionSpec(AXIS))
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(split, leaf), batch)


def data_parallel(step: Step, mesh: Mesh, *, backend: Backend = "pmap") -> Step:
    """The step over all devices of the mesh; `step` averages over `AXIS` itself.

    Takes a placed state (donated: do not use it again), a batch from `shard`, and a key. Both
    backends give the same bits; several hosts need shard_map, because pmap returns arrays local to
    a host, which a shared checkpoint refuses.
    """
    if backend not in ("pmap", "shard_map"):
        raise ValueError(f"no backend {backend!r}; did you mean 'pmap' or 'shard_map'?")
    if backend == "shard_map":
        mapped = jax.shard_map(
            step,
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(AXIS), PartitionSpec()),
            out_specs=(PartitionSpec(), PartitionSpec()),
            check_vma=False,  # True multiplies gradients that the step averages by the device count
        )
        return jax.jit(mapped, donate_argnums=0)
    mapped = jax.pmap(
        step,
        axis_name=AXIS,
        in_axes=(None, 0, None),
        out_axes=None,  # pyright: ignore[reportArgumentType]
        devices=list(mesh.devices.flat),
        donate_argnums=0,
    )
    rows = jax.jit(  # pmap wants [devices, rows, ...]
        lambda batch: jax.tree.map(lambda x: x.reshape(mesh.size, -1, *x.shape[1:]), batch),
        out_shardings=NamedSharding(mesh, PartitionSpec(AXIS)),
    )
    return lambda state, batch, key: mapped(state, rows(batch), key)


def snapshot(state: PyTree) -> PyTree:
    """The state as an asynchronous writer may hold it while the next step reuses its buffers.

    On the CPU a host view aliases the device's memory, so the state is copied; accelerators copy to
    the host anyway.
    """
    if jax.default_backend() != "cpu":
        return state
    return jax.tree.map(jnp.copy, state)


def abstract(state: PyTree, mesh: Mesh) -> PyTree:
    """Shapes, types and the replicated placement of a state: what a checkpoint is restored into."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), state
    )


def alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with `AXIS` bound to a single device, for code written over the axis."""

    def run(*args: Any) -> Any:
        mapped = jax.vmap(function, in_axes=None, axis_name=AXIS, axis_size=1)
        return jax.tree.map(lambda leaf: leaf[0], mapped(*args))

    return run
