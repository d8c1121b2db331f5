"""The plan of a program: memory, FLOPs, exchanges and a bound of the time of a round.

The time is the roofline's bound (Williams, Waterman & Patterson 2009): an estimate, never measured.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from gan_jax.build import schedule
from gan_jax.build.data import data_shape
from gan_jax.build.schedule import Stage
from gan_jax.config import Experiment
from gan_jax.planning import hlo
from gan_jax.planning.chips import Chip, Slice
from gan_jax.planning.compiler import Compilation
from gan_jax.planning.lowering import Program, batch_shapes, size


class Target(NamedTuple):
    """A stage of a recipe on a slice: what a plan is made for.

    Attributes:
        recipe: as `gan-jax train` takes it.
        experiment: the recipe.
        slice: the chips.
        stage: the stage of a growing recipe, the only stage of any other.
    """

    recipe: str
    experiment: Experiment
    slice: Slice
    stage: Stage


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one device holds and does in a round in which every move is played.

    Attributes:
        recipe: as `gan-jax train` takes it.
        topology: the slice, as "v5e:4x4".
        stage: number of the stage of a growing recipe.
        stages: how many stages the recipe has.
        resolution: px of the images in this stage; None where the data are no images.
        precision: "float32" or "bfloat16".
        rows: rows of the batch on one device.
        batch_size: rows of the whole batch.
        asked: the recipe's own batch size.
        parameters: how many there are.
        state: bytes of the state.
        compiled: whether the program was compiled; otherwise `moved` is unknown.
        fits: whether the memory is enough; None where that is unknown.
        memory: bytes at the peak; of a program that was not compiled, of state and batch alone.
        capacity: bytes of the device.
        needs: the compiler's message where the memory is not enough.
        flops: FLOPs of a round.
        moved: bytes moved to and from memory.
        collectives: exchanges between devices by kind: how many, bytes.
        seconds: lower bound of the time of a round, from the chip's published peaks.
        bound: what limits it, "products" or "memory".
        padding: bytes of the buffers over those of their numbers.
        padded: the buffers with the most padding: shape with layout, bytes, bytes without padding.
        largest: rows on one device of the largest batch that fits.
        how_largest: how `largest` was found.
        compile_seconds: how long lowering and compilation took.
    """

    recipe: str
    topology: str
    stage: int
    stages: int
    resolution: int | None
    precision: str
    rows: int
    batch_size: int
    asked: int
    parameters: int
    state: int
    compiled: bool
    fits: bool | None
    memory: int | None
    capacity: int
    needs: str
    flops: float
    moved: float | None
    collectives: dict[str, tuple[int, int]]
    seconds: float
    bound: str
    padding: float | None
    padded: tuple[tuple[str, int, int], ...]
    largest: int | None = None
    how_largest: str = ""
    compile_seconds: float | None = None


def summarise(target: Target, program: Program, compilation: Compilation) -> Plan:
    """Make the plan of a program; an empty `Compilation` is of one that was not compiled."""
    experiment, where, stage = target.experiment, target.slice, target.stage
    executable, overflow = compilation
    memory, ratio, padded = None, None, ()
    costs: Mapping[str, float] = {}
    if executable is None:
        text = program.lowered.as_text("hlo")
    else:
        text, costs = executable.as_text() or "", _costs(executable)
        memory = peak_memory(executable)
        ratio, padded = hlo.padding(text)
    state = size(program.state)
    fixed = state + size(batch_shapes(experiment, program.rows))
    flops = float(costs.get("flops") or program.flops)
    moved = float(costs["bytes accessed"]) if costs.get("bytes accessed") else None
    seconds, bound = roofline(where.chip, experiment.precision, flops, moved)
    stages = schedule.stages(experiment)
    return Plan(
        recipe=target.recipe,
        topology=where.text,
        stage=stages.index(stage),
        stages=len(stages),
        resolution=_resolution(experiment, stage),
        precision=experiment.precision,
        rows=program.rows,
        batch_size=program.rows * where.devices,
        asked=stage.batch_size,
        parameters=sum(math.prod(x.shape) for x in jax.tree.leaves(program.state.params)),
        state=state,
        compiled=executable is not None,
        fits=_fits(memory, fixed, where.memory, overflow),
        memory=fixed if memory is None else memory,
        capacity=int(where.memory),
        needs=hlo.needs(overflow),
        flops=flops,
        moved=moved,
        collectives=hlo.collectives(text),
        seconds=seconds,
        bound=bound,
        padding=ratio,
        padded=padded,
    )


def peak_memory(executable: jax.stages.Compiled) -> int:
    """Bytes that the compiler plans for at a program's peak."""
    used: Any = executable.memory_analysis()
    return int(used.peak_memory_in_bytes)


def _costs(executable: jax.stages.Compiled) -> Mapping[str, float]:
    """The compiler's cost analysis, {} where it has none."""
    costs = executable.cost_analysis() or {}
    return costs[0] if isinstance(costs, list) else costs  # a list by device in some backends


def _fits(memory: int | None, fixed: int, capacity: float, overflow: str) -> bool | None:
    """Whether a device's memory is enough; None where the peak is unknown and may fit."""
    if memory is not None:
        return memory <= capacity
    return False if overflow or fixed > capacity else None


def _resolution(experiment: Experiment, stage: Stage) -> int | None:
    """Pixels of a side in a stage; None where the data are no images."""
    if len(data_shape(experiment.data)) < 3:
        return None
    if stage.number is None:
        return experiment.data.resolution
    return schedule.SMALLEST * 2**stage.number


def roofline(chip: Chip, precision: str, flops: float, moved: float | None) -> tuple[float, str]:
    """The roofline's bound of the time of a round.

    Args:
        chip: the chip that the device is part of.
        precision: "float32" or "bfloat16".
        flops: FLOPs of the device.
        moved: bytes that the device moves to and from its memory; None where unknown.

    Returns:
        Seconds that the device needs at least, and what bounds it: "products" or "memory".
    """
    peak = chip.bfloat16 if precision == "bfloat16" else chip.float32
    products = flops * chip.devices / (peak * 1e12)
    traffic = (moved or 0.0) * chip.devices / (chip.bandwidth * 1e9)
    return max(products, traffic), "memory" if traffic > products else "products"


def more_rows(small: Plan, large: Plan) -> int:
    """Rows on one device that fill its memory, along a line through two plans."""
    a, b = small.memory or 0, large.memory or 0
    each = (b - a) / (large.rows - small.rows)
    if each <= 0:
        return large.rows
    return max(0, math.floor(small.rows + (small.capacity - a) / each))
