"""Data parallelism: the only file that names devices, pmap or shard_map.

One step `(state, batch, key) -> (state, metrics)`, written over the named axis `AXIS`, is mapped
over the devices: the batch is split, the state is replicated and donated.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

AXIS = "data"
HEARTBEAT = 30  # seconds without a sign of life after which a process counts as gone

Backend = Literal["pmap", "shard_map"]
T = TypeVar("T")

Step = Callable[[PyTree, PyTree, PyTree], tuple[PyTree, PyTree]]
"""`(state, batch, key) -> (state, metrics)`."""


def join(hosts: str) -> None:
    """Connect this process to the others of a multi-process run, before any other use of jax.

    Args:
        hosts: "auto" where the environment knows the processes (TPU pods, Slurm, MPI), else
            "ADDRESS:PORT,COUNT,INDEX": the address of process 0, the number of processes, and the
            number of this process.

    Raises:
        ValueError: `hosts` has another form, or the environment does not know the processes.
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


def multi_process() -> bool:
    """Whether the run has several processes."""
    return jax.process_count() > 1


def is_main_process() -> bool:
    """Whether this is process 0, which writes records and draws samples."""
    return jax.process_index() == 0


def first_replica(state: PyTree) -> PyTree:
    """Return a replicated state as this process's first device holds it, without communication."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), state)


def make_mesh(devices: int | None = None) -> Mesh:
    """Make a mesh of the first `devices` devices (all if None) along `AXIS`.

    Raises ValueError if there are fewer, or if some of several processes would have no part.
    """
    have = jax.devices()
    if multi_process() and devices not in (None, len(have)):
        raise ValueError(f"{devices} of the {len(have)} devices of several processes; take all")
    count = len(have) if devices is None else devices
    if not 0 < count <= len(have):
        raise ValueError(f"{count} devices asked for, {len(have)} present")
    return mesh_of(have[:count])


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Make a mesh of the given devices, also those of a topology to compile for."""
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def abstract_mesh(devices: int) -> AbstractMesh:
    """Make a mesh of as many devices of no kind, to lower programs without compiling them."""
    return AbstractMesh((devices,), (AXIS,), axis_types=(AxisType.Auto,))


def place(state: PyTree, mesh: Mesh) -> PyTree:
    """Copy a host or device tree to every device of the mesh.

    Without it, the first step compiles twice.
    """
    everywhere = NamedSharding(mesh, PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(state, everywhere)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(everywhere, np.asarray(leaf)), state
    )


def initialise(make: Callable[[], PyTree], mesh: Mesh) -> PyTree:
    """Compile and run `make`, and place its result.

    Initialisers, many small arrays, compile ten times faster with less optimisation, to the same
    bits.
    """
    return place(jax.jit(make, compiler_options={"xla_backend_optimization_level": 1})(), mesh)


def shard(batch: PyTree, mesh: Mesh) -> PyTree:
    """Split this process's rows of a host batch over its devices of the mesh.

    Raises ValueError if the number of devices does not divide the number of rows.
    """
    local = mesh.local_mesh.size
    for leaf in jax.tree.leaves(batch):
        if leaf.shape[0] % local:
            raise ValueError(f"a batch of {leaf.shape[0]} does not divide among {local} devices")
    split = NamedSharding(mesh, PartitionSpec(AXIS))
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(split, leaf), batch)


class ParallelStep(NamedTuple):
    """A step over the devices of a mesh, on a placed state, a batch from `shard`, and a key.

    The state is donated: do not use it again.
    """

    mapped: Any
    arranged: Callable[[PyTree], PyTree] | None = None

    def __call__(self, state: PyTree, batch: PyTree, key: PyTree) -> tuple[PyTree, PyTree]:
        """Compile the step in the first call, and run it."""
        return self.mapped(state, self.arranged(batch) if self.arranged else batch, key)

    def compile(self, state: PyTree, batch: PyTree, key: PyTree) -> Step:
        """Compile the step for arguments of these shapes, types and placements; run nothing."""
        if self.arranged:
            batch = jax.eval_shape(self.arranged, batch)
        compiled = self.mapped.lower(state, batch, key).compile()
        return ParallelStep(compiled, self.arranged)


def data_parallel(step: Step, mesh: Mesh, *, backend: Backend = "pmap") -> ParallelStep:
    """Map a step over all devices of the mesh.

    Args:
        step: `(state, batch, key) -> (state, metrics)`, which averages over `AXIS` itself.
        mesh: the devices.
        backend: both give the same bits. Several processes always use shard_map: pmap returns
            arrays local to a process, which a shared checkpoint refuses.

    """
    if backend not in ("pmap", "shard_map"):
        raise ValueError(f"no backend {backend!r}; did you mean 'pmap' or 'shard_map'?")
    if backend == "shard_map" or multi_process():
        return ParallelStep(_shard_map(step, mesh))
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
    return ParallelStep(mapped, rows)


def _shard_map(step: Step, mesh: Mesh | AbstractMesh) -> Any:
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(AXIS), PartitionSpec()),
        out_specs=(PartitionSpec(), PartitionSpec()),
        check_vma=False,  # True multiplies gradients that the step averages by the device count
    )
    return jax.jit(mapped, donate_argnums=0)


def lower(
    step: Step,
    mesh: Mesh | AbstractMesh,
    state: PyTree,
    batch: PyTree,
    key: PyTree,
    *,
    platform: str,
) -> jax.stages.Lowered:
    """Lower the step over the mesh's devices to a program for `platform`, from shapes alone.

    The mapping is shard_map's; pmap's program is the same.
    """

    def placed(tree: PyTree, spec: PartitionSpec) -> PyTree:
        where = NamedSharding(mesh, spec)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), tree)

    whole, split = PartitionSpec(), PartitionSpec(AXIS)
    traced = _shard_map(step, mesh).trace(
        placed(state, whole), placed(batch, split), placed(key, whole)
    )
    return traced.lower(lowering_platforms=(platform,))


def batch_like(batch: PyTree, size: int) -> PyTree:
    """Return the shapes, types and placement of a placed batch of another size."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype, sharding=x.sharding), batch
    )


def snapshot(state: PyTree) -> PyTree:
    """Return a state for an asynchronous writer, safe from the next step's reuse of its buffers.

    On the CPU a host view aliases the device's memory, so the state is copied; accelerators copy to
    the host anyway.
    """
    if jax.default_backend() != "cpu":
        return state
    return jax.tree.map(jnp.copy, state)


def abstract(state: PyTree, mesh: Mesh) -> PyTree:
    """Return a state's shapes, types and replicated placement, to restore a checkpoint into."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), state
    )


def on_one_device(function: Callable[..., T]) -> Callable[..., T]:
    """Bind `AXIS`, over which `function` is written, to a single device."""

    def run(*args: PyTree) -> T:
        mapped = jax.vmap(function, in_axes=None, axis_name=AXIS, axis_size=1)
        return jax.tree.map(lambda leaf: leaf[0], mapped(*args))

    return run
