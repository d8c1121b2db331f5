"""Lower the round that trains for the devices of a slice, from shapes alone.

No array is made, and the configuration of JAX stays as it is: platform and devices are arguments.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from gan_jax import config, game, parallel
from gan_jax.build.data import columns, data_shape
from gan_jax.build.experiment import build
from gan_jax.build.schedule import Stage
from gan_jax.config import Experiment
from gan_jax.game import State


class Program(NamedTuple):
    """A lowered round.

    Attributes:
        lowered: the program of one device.
        rows: rows of the batch on one device.
        state: shapes of the game's state.
        flops: FLOPs on one device, before the compiler's simplifications.
    """

    lowered: jax.stages.Lowered
    rows: int
    state: State
    flops: float


def batch_shapes(experiment: Experiment, size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of a batch of `size` rows as the pipeline makes it, from the configuration alone."""
    sample = data_shape(experiment.data)
    images = len(sample) == 3
    kinds = {
        "text": ((getattr(experiment.game, "text", 0),), jnp.float32),
        "label": ((), jnp.int32),
    }
    real = (sample, jnp.uint8 if images else jnp.float32)
    found = {}
    for name in columns(experiment.game, experiment.data.name):
        shape, dtype = kinds.get(name, real)
        found[name] = jax.ShapeDtypeStruct((size, *shape), dtype)
    return found


def rows_per_device(stage: Stage, devices: int) -> int:
    """Rows of the recipe's batch on one of `devices` devices, at least one."""
    return max(1, stage.batch_size // devices)


def lower(
    experiment: Experiment,
    stage: Stage,
    rows: int,
    *,
    platform: str,
    count: int,
    devices: Sequence[Any] | None = None,
) -> Program:
    """Lower the round of a stage.

    Args:
        experiment: the recipe.
        stage: the stage to lower.
        rows: rows of the batch on one device.
        platform: "tpu", "cuda" or "cpu".
        count: how many devices play the round.
        devices: the devices of a compiler's topology; without them the program cannot be compiled.
    """
    one = config.change(experiment, {"run.devices": 1})
    built = build(one).at(stage.last)
    state = jax.eval_shape(lambda: game.init(built.game, built.key))
    batch = batch_shapes(experiment, rows * count)
    key = jax.eval_shape(lambda: built.key)
    nowhere = parallel.abstract_mesh(count)
    lowered = parallel.lower(built.round, nowhere, state, batch, key, platform=platform)
    # Not every chip's compiler counts FLOPs; without devices the one of this machine does.
    flops = float((lowered.cost_analysis() or {})["flops"])
    if devices is not None:
        mesh = parallel.mesh_of(devices)
        lowered = parallel.lower(built.round, mesh, state, batch, key, platform=platform)
    return Program(lowered, rows, state, flops)


def size(tree: PyTree) -> int:
    """Bytes of a tree of arrays or shapes, without random keys."""
    leaves = jax.tree.leaves(tree)
    arrays = [x for x in leaves if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in arrays)
