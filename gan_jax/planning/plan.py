"""What a chip will hold and do in one round, known before there is a chip: from shapes alone.

The round is the very one that trains, mapped by `parallel` over the devices of a slice that nobody
has here, and lowered or compiled for them (ahead-of-time compilation; no array is ever made). The
time is the roofline's bound (Williams, Waterman & Patterson 2009): an estimate, never measured.
"""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh

from gan_jax import config, game, parallel
from gan_jax.build.data import data_shape
from gan_jax.build.experiment import build
from gan_jax.build.parts import Built
from gan_jax.build.schedule import Stage
from gan_jax.config import Experiment
from gan_jax.errors import UserError, nearest


class Chip(NamedTuple):
    """A chip's published peaks: memory in GiB, GB/s, Tflop/s of bfloat16 and of float32 products.

    `devices` are what jax sees of one chip. float32 products are by default one pass of bfloat16 on
    a TPU and TF32 on a GPU, and counted as such.
    """

    memory: float
    bandwidth: float
    bfloat16: float
    float32: float
    devices: int
    source: str


_CLOUD = "https://cloud.google.com/tpu/docs/"
_NVIDIA = "https://www.nvidia.com/en-us/data-center/"
CHIPS = {
    "v2": Chip(16, 700, 46, 46, 2, _CLOUD + "v2"),
    "v3": Chip(32, 900, 123, 123, 2, _CLOUD + "v3"),
    "v4": Chip(32, 1228, 275, 275, 1, _CLOUD + "v4"),
    "v5e": Chip(16, 819, 197, 197, 1, _CLOUD + "v5e"),
    "v5p": Chip(95, 2765, 459, 459, 1, _CLOUD + "v5p"),
    "v6e": Chip(32, 1638, 918, 918, 1, _CLOUD + "v6e"),
    "tpu7x": Chip(192, 7380, 2307, 2307, 2, _CLOUD + "tpu7x"),
    "a100": Chip(40, 1555, 312, 156, 1, _NVIDIA + "a100"),
    "a100-80": Chip(80, 2039, 312, 156, 1, _NVIDIA + "a100"),
    "h100": Chip(80, 3350, 989, 495, 1, _NVIDIA + "h100"),
}


class Slice(NamedTuple):
    """Chips that train together: "v5e:4x4" is 16 `chips` of `name` v5e; "cuda:h100x4" is four."""

    text: str
    name: str
    chips: int

    @property
    def chip(self) -> Chip:
        return CHIPS[self.name]

    @property
    def devices(self) -> int:
        return self.chips * self.chip.devices

    @property
    def platform(self) -> str:
        return "cuda" if self.text.startswith("cuda:") else "tpu"

    @property
    def memory(self) -> float:
        """Bytes of one device."""
        return self.chip.memory * 2**30 / self.chip.devices


def read_slice(text: str) -> Slice:
    """Raises UserError for what is no slice, naming the nearest kind of chip."""
    cuda = re.fullmatch(r"cuda:([a-z0-9-]+?)(?:x(\d+))?", text)
    tpu = re.fullmatch(r"([a-z0-9]+):(\d+(?:x\d+)+)", text)
    found = cuda or tpu
    kinds = [n for n, chip in CHIPS.items() if chip.source.startswith(_NVIDIA) == bool(cuda)]
    if found is None or "0" in (found[2] or "1").split("x"):
        raise UserError(f"topology {text!r}: say one like 'v5e:4x4' or 'cuda:h100x4'")
    if found[1] not in kinds:
        near = nearest(found[1], kinds)
        raise UserError(f"topology {text!r}: no chip {found[1]!r}; did you mean {near}?")
    sides = found[2] or "1"
    return Slice(text, found[1], math.prod(int(side) for side in sides.split("x")))


class Program(NamedTuple):
    """A round for the devices of a slice: lowered, with the rows each of them gets."""

    lowered: Any  # jax.stages.Lowered
    rows: int
    state: Any
    flops: float  # before the compiler's simplifications


def batch_shapes(experiment: Experiment, size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """What the pipeline gives this experiment's game, of `size` rows: from configuration alone."""
    shape, played = data_shape(experiment.data), experiment.game
    dtype = jnp.uint8 if len(shape) == 3 else jnp.float32
    real = jax.ShapeDtypeStruct((size, *shape), dtype)
    if isinstance(played, config.Pix2Pix | config.Cyclegan):
        return {"x": real, "y": real}
    found = {"x" if len(shape) == 1 else "image": real}
    if isinstance(played, config.TextToImage):
        found["text"] = jax.ShapeDtypeStruct((size, played.text), jnp.float32)
    if getattr(played, "classes", 0):
        found["label"] = jax.ShapeDtypeStruct((size,), jnp.int32)
    return found


def stages(experiment: Experiment) -> tuple[Stage, ...]:
    """The stages of a growing recipe, the only one of another."""
    return _built(experiment).stages


def share(stage: Stage, devices: int) -> int:
    """The rows of a device: its part of the recipe's batch, at least one."""
    return max(1, stage.batch_size // devices)


def lower(
    experiment: Experiment, mesh: Mesh | AbstractMesh, platform: str, *, stage: Stage, rows: int
) -> Program:
    """The round of `stage`, with `rows` a device, as a program for the devices of `mesh`."""
    built = _built(experiment).at(stage.last)
    state = jax.eval_shape(lambda: game.init(built.game, built.key))
    batch = batch_shapes(experiment, rows * mesh.size)
    key = jax.eval_shape(lambda: built.key)
    shapes = (state, batch, key)
    lowered = parallel.lower(built.round, mesh, *shapes, platform=platform)
    counted = lowered
    if isinstance(mesh, Mesh):  # not every compiler counts; that of the machine at hand does
        nowhere = parallel.abstract_mesh(mesh.size)
        counted = parallel.lower(built.round, nowhere, *shapes, platform=platform)
    return Program(lowered, rows, state, float((counted.cost_analysis() or {})["flops"]))


def _built(experiment: Experiment) -> Built:
    return build(config.change(experiment, {"run.devices": 1}))


def size(tree: Any) -> int:
    """Bytes of a tree of arrays or shapes; a key counts as the two numbers it is."""
    leaves = [x for x in jax.tree.leaves(tree) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one device does in a round in which every move is played; bytes, flops, seconds.

    Without `compiled` only the program is known: `memory` is then the state and the batch alone,
    without activations, and `moved` is unknown. `needs` and `limit` are the compiler's words where
    the memory is not enough. `seconds` is a bound from the chip's published peaks, an estimate.
    """

    recipe: str
    topology: str
    stage: int
    stages: int
    resolution: int | None
    precision: str
    rows: int
    batch_size: int
    asked: int  # the recipe's own batch size
    parameters: int
    state: int
    compiled: bool
    fits: bool | None
    memory: int | None
    capacity: int
    needs: str
    flops: float
    moved: float | None
    collectives: dict[str, tuple[int, int]]  # by kind: how many, bytes
    seconds: float
    bound: str
    padding: float | None
    padded: tuple[tuple[str, int, int], ...]  # the worst: shape with layout, bytes, bytes if dense
    largest: int | None = None  # rows a device
    how_largest: str = ""
    compile_seconds: float | None = None


def summarise(
    recipe: str, experiment: Experiment, where: Slice, stage: Stage, program: Program, compiled: Any
) -> Plan:
    """The plan of a program; `compiled` is a jax.stages.Compiled, an overflow's text, or None."""
    count = len(stages(experiment))
    number = stages(experiment).index(stage)
    overflow = compiled if isinstance(compiled, str) else ""
    found: Any = None if overflow else compiled
    done = found is not None
    params = sum(math.prod(x.shape) for x in jax.tree.leaves(program.state.params))
    batch = batch_shapes(experiment, program.rows)
    fixed = size(program.state) + size(batch)
    costs = (found.cost_analysis() if done else None) or {}
    if isinstance(costs, list):
        costs = costs[0]
    flops = float(costs.get("flops") or program.flops)
    moved = float(costs["bytes accessed"]) if costs.get("bytes accessed") else None
    text = found.as_text() if done else program.lowered.as_text("hlo")
    seconds, bound = roofline(where.chip, experiment.precision, flops, moved)
    memory = int(found.memory_analysis().peak_memory_in_bytes) if done else None
    fits = memory <= where.memory if memory is not None else (False if overflow else None)
    ratio, worst = padding(text) if done else (None, ())
    shape = data_shape(experiment.data)
    return Plan(
        recipe=recipe,
        topology=where.text,
        stage=number,
        stages=count,
        resolution=_resolution(experiment, stage) if len(shape) == 3 else None,
        precision=experiment.precision,
        rows=program.rows,
        batch_size=program.rows * where.devices,
        asked=stage.batch_size,
        parameters=params,
        state=size(program.state),
        compiled=done,
        fits=fits if fits is not None or fixed <= where.memory else False,
        memory=memory if done else fixed,
        capacity=int(where.memory),
        needs=needs(overflow),
        flops=flops,
        moved=moved,
        collectives=collectives(text),
        seconds=seconds,
        bound=bound,
        padding=ratio,
        padded=worst,
    )


def _resolution(experiment: Experiment, stage: Stage) -> int:
    return experiment.data.resolution if stage.number is None else 4 * 2**stage.number


def roofline(chip: Chip, precision: str, flops: float, moved: float | None) -> tuple[float, str]:
    """Seconds that a device needs at the least, and whether for its products or its memory."""
    peak = chip.bfloat16 if precision == "bfloat16" else chip.float32
    products = flops * chip.devices / (peak * 1e12)
    traffic = (moved or 0.0) * chip.devices / (chip.bandwidth * 1e9)
    return max(products, traffic), "memory" if traffic > products else "products"


def needs(overflow: str) -> str:
    """'needs X of Y' out of the compiler's message that memory is not enough; '' for ''."""
    if not overflow:
        return ""
    found = re.search(r"Used ([\d.]+\w) of ([\d.]+\w) hbm", overflow)
    found = found or re.search(r"\(([\d.]+\w)\) exceeds available HBM \(([\d.]+\w)\)", overflow)
    return f"needs {found[1]} of {found[2]}" if found else "needs more than there is"


def more_rows(small: Plan, large: Plan) -> int:
    """The rows of a device that its memory holds if it grows linearly, from two plans."""
    a, b = small.memory or 0, large.memory or 0
    each = (b - a) / (large.rows - small.rows)
    if each <= 0:
        return large.rows
    return max(0, math.floor(small.rows + (small.capacity - a) / each))


# The compiler's text.

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
_BYTES |= {"f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8, "u64": 8, "c64": 8}
_SHAPE = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](?:\{([\d,]*)(?::([^{}]*))?\})?")
_COLLECTIVE = re.compile(
    r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?\("
)


def collectives(text: str) -> dict[str, tuple[int, int]]:
    """Of each kind of exchange between devices in HLO text: how many there are, their bytes."""
    found: dict[str, tuple[int, int]] = {}
    for line in text.splitlines():
        match = _COLLECTIVE.search(line)
        if not match:
            continue
        sizes = [_dense(kind, dims) for kind, dims, *_ in _SHAPE.findall(match[1])]
        # What starts a gather or an exchange also returns what it was given.
        whole = max(sizes, default=0) if match[3] and match[2] != "all-reduce" else sum(sizes)
        count, total = found.get(match[2], (0, 0))
        found[match[2]] = (count + 1, total + whole)
    return found


def _dense(kind: str, dims: str) -> int:
    return _BYTES.get(kind, 0) * math.prod(int(n) for n in dims.split(",") if n)


def tiled(kind: str, dims: str, order: str, tiles: str) -> int:
    """Bytes of an array whose last axes are filled up to tiles: f32[3,64]{1,0:T(8,128)} is 4096."""
    shape = [int(n) for n in dims.split(",") if n]
    major = [shape[int(axis)] for axis in reversed(order.split(",")) if axis]
    tile = re.match(r"T\(([\d,]+)\)", tiles)
    if tile:
        sides = [int(n) for n in tile[1].split(",")]
        major = [1] * (len(sides) - len(major)) + major
        start = len(major) - len(sides)
        filled = [-(-n // t) * t for n, t in zip(major[start:], sides, strict=True)]
        major = [*major[:start], *filled]
    return _BYTES.get(kind, 0) * math.prod(major)


def padding(text: str, worst: int = 5) -> tuple[float, tuple[tuple[str, int, int], ...]]:
    """How much larger the arrays in a chip's memory are than their numbers, and the worst of them.

    Counted are the results of instructions outside fusions, of which each is a buffer at some time.
    """
    wide = dense = 0
    found: dict[str, tuple[int, int]] = {}
    for kind, dims, order, tiles in _buffers(text):
        a, b = tiled(kind, dims, order, tiles), _dense(kind, dims)
        wide, dense = wide + a, dense + b
        found[f"{kind}[{dims}]{{{order}:{tiles}}}"] = (a, b)
    ranked = sorted(found.items(), key=lambda item: item[1][1] - item[1][0])[:worst]
    return wide / max(dense, 1), tuple((name, a, b) for name, (a, b) in ranked if a > b)


def _buffers(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Type, sides, order of axes and tiles of every array that a top-level instruction makes."""
    inside = False
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            inside = line.startswith("ENTRY") or "branch" in line.split("(")[0]
        made = re.match(r"\s+(?:ROOT )?%?[\w.-]+ = (\S+) ([\w-]+)\(", line) if inside else None
        if made and made[2] not in ("bitcast", "get-tuple-element", "constant"):
            match = _SHAPE.fullmatch(made[1])
            if match and match[3] and match[4] and "S(" not in match[4]:
                yield match[1], match[2], match[3], match[4]
