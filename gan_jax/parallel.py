"""Data parallelism: the only file that names devices, pmap or shard_map.

One step `(state, batch, key) -> (state, metrics)`, written over the named axis `AXIS`, is mapped
over the devices: the batch is split, the state is replicated and donated.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

AXIS = "data"
HEARTBEAT = 30  # seconds after which a process that says nothing counts as gone

Backend = Literal["pmap", "shard_map"]
Step = Callable[[Any, PyTree, Any], tuple[Any, PyTree]]


def join(hosts: str) -> None:
    """Makes this process one of several that train together; to be called before anything else.

    `hosts` is "auto" where the environment says who they are (TPU pods, Slurm, MPI), else
    "ADDRESS:PORT,COUNT,INDEX": where process 0 listens, how many there are, which this one is.
    Raises ValueError for what is neither, and where the environment does not say.
    """
    if hosts == "auto":
        return jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT)
    address, *numbers = hosts.split(",")
    if ":" not in address or len(numbers) != 2 or not all(n.isdigit() for n in numbers):
        raise ValueError(f"hosts = {hosts!r}: 'auto' or 'ADDRESS:PORT,COUNT,INDEX' is needed")
    count, index = map(int, numbers)
    if index >= count:
        raise ValueError(f"hosts = {hosts!r}: INDEX is 0 to {count - 1}")
    jax.distributed.initialize(
        address, num_processes=count, process_id=index, heartbeat_timeout_seconds=HEARTBEAT
    )


def together() -> bool:
    """Whether several processes train together."""
    return jax.process_count() > 1


def leads() -> bool:
    """Whether this process is the one that writes records and draws samples."""
    return jax.process_index() == 0


def local(state: PyTree) -> PyTree:
    """A replicated state as this process's first device holds it: to be read without the others."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), state)


def make_mesh(devices: int | None = None) -> Mesh:
    """A mesh of the first `devices` devices (all when None) along `AXIS`.

    Raises ValueError when there are fewer, and where several processes would not all take part.
    """
    have = jax.devices()
    if together() and devices not in (None, len(have)):
        raise ValueError(f"{devices} of the {len(have)} devices of several processes; take all")
    count = len(have) if devices is None else devices
    if not 0 < count <= len(have):
        raise ValueError(f"{count} devices asked for, {len(have)} present")
    return mesh_of(have[:count])


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """A mesh of the given devices, which may be those of a topology that is not here."""
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def imagined(devices: int) -> AbstractMesh:
    """A mesh of as many devices of no kind: programs are lowered for it, not compiled."""
    return AbstractMesh((devices,), (AXIS,), axis_types=(AxisType.Auto,))


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
    backends give the same bits. Several processes get shard_map whatever is asked for: pmap returns
    arrays local to a process, which a shared checkpoint refuses.
    """
    if backend not in ("pmap", "shard_map"):
        raise ValueError(f"no backend {backend!r}; did you mean 'pmap' or 'shard_map'?")
    if backend == "shard_map" or together():
        return _shard_map(step, mesh)
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


def _shard_map(step: Step, mesh: Mesh | AbstractMesh) -> Step:
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(AXIS), PartitionSpec()),
        out_specs=(PartitionSpec(), PartitionSpec()),
        check_vma=False,  # True multiplies gradients that the step averages by the device count
    )
    return jax.jit(mapped, donate_argnums=0)


def lower(
    step: Step, mesh: Mesh | AbstractMesh, state: PyTree, batch: PyTree, key: Any, *, platform: str
) -> jax.stages.Lowered:
    """The step over the mesh's devices as a program for `platform`, from shapes alone.

    It is the mapping of several processes; pmap is the same program under another name.
    """

    def placed(tree: PyTree, spec: PartitionSpec) -> PyTree:
        where = NamedSharding(mesh, spec)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), tree)

    whole, split = PartitionSpec(), PartitionSpec(AXIS)
    mapped: Any = _shard_map(step, mesh)
    traced = mapped.trace(placed(state, whole), placed(batch, split), placed(key, whole))
    return traced.lower(lowering_platforms=(platform,))


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
