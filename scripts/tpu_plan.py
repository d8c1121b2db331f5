"""Which recipe fits which slice of TPUs or GPUs, and how long a round takes at the least.

python scripts/tpu_plan.py experiments/stylegan2.py:ffhq1024 --topology v5e:4x4
python scripts/tpu_plan.py experiments/stylegan2.py:ffhq1024 --topology v5e:4x4 --compile True
python scripts/tpu_plan.py experiments/*.py --topology v5e:2x2 --compile True --table TABLE.md

No accelerator is needed, nor data. Without --compile the round is lowered: parameters, the memory
of the state, products, exchanges. With it, the compiler of the chip says the memory of the whole
round, or that it does not fit, in ten seconds to four minutes a recipe (--effort full: four times
as long and 5 % more memory for dcgan.py:celeba64). It comes as a package that is best kept in an
environment of its own, beside the project's:

python3 -m venv .venv-plan
.venv-plan/bin/python -m pip install -c scripts/constraints.txt -e '.[plan]'

then `.venv-plan/bin/python scripts/tpu_plan.py ...`. Topologies: v2:2x2, v3:2x2, v4:2x2x1, v5e:2x2,
v5e:4x4, v5p:2x2x1, v6e:2x2, tpu7x:2x2x1 and larger, cuda:a100x4, cuda:a100-80x8, cuda:h100x8.
"""

import dataclasses
import datetime
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cli

from gan_jax import config
from gan_jax.errors import UserError

ALONE = {  # for compilers that would look for their devices
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",  # there is no TPU to ask
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",  # any: the topology says which chips
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # nor are there chips that processes could quarrel over
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

INSTALL = (
    "install it into an environment of its own: python3 -m venv .venv-plan && "
    ".venv-plan/bin/python -m pip install -c scripts/constraints.txt -e '.[plan]', "
    "then run this script with .venv-plan/bin/python"
)
PACKAGES = {"tpu": "libtpu", "cuda": "jax_plugins.xla_cuda12"}
DOUBLINGS = 8  # of the search for the largest batch


@dataclasses.dataclass(frozen=True)
class Options:
    """What to plan for."""

    topology: tuple[str, ...] = ("v5e:2x2",)
    """The slices: v5e:4x4 (TPU), cuda:h100x4 (GPU)."""
    compile: bool = False
    """Compile for the chip, to know the memory and the traffic."""
    stage: Literal["last", "all"] = "last"
    """Of a recipe that grows: its last and largest stage, or every one."""
    rows: int = 0
    """Pictures a device; by default its part of the recipe's batch."""
    precision: Literal["", "float32", "bfloat16"] = ""
    """By default the recipe's."""
    effort: Literal["least", "full"] = "least"
    """How hard the compiler looks for a faster program."""
    largest: Literal["extrapolate", "search", "skip"] = "extrapolate"
    """The largest batch that fits: from a second compilation of twice the batch, along a line; or
    by doubling, a compilation each, until it does not fit."""
    tiny: bool = False
    """The recipes' smallest relatives: does it run here?"""
    json: bool = False
    """Print JSON instead of lines."""
    table: str = ""
    """Plan every recipe in a process of its own and write a Markdown table there, and its numbers
    beside it as JSON; rows that are there already stay."""
    minutes: float = 10.0
    """Of a table: how long one row may take."""


def main() -> None:
    """Reads recipes, then flags."""
    words = sys.argv[1:] or ["--help"]
    names = [w for w in words[: next((i for i, w in enumerate(words) if w[:1] == "-"), None)]]
    if not names:
        print(__doc__)
    options = cli.parse(Options, Options(), words[len(names) :], "tpu_plan.py RECIPE...")
    os.environ |= ALONE
    from gan_jax.planning import plan

    recipes = list(expand(names))
    slices = [plan.read_slice(text) for text in options.topology]
    if options.compile:
        for where in slices:
            require(where.platform)
    if options.rows < 0:
        raise UserError(f"rows = {options.rows}: at least 0 is needed")
    if options.table:
        tabulate(recipes, options)
        return
    found = []
    for recipe in recipes:
        for where in slices:
            for one in plans(recipe, where, options):
                found.append(one)
                if not options.json:
                    print(describe(one), flush=True)
    if options.json:
        print(json.dumps([dataclasses.asdict(one) for one in found]))


def expand(names: Iterable[str]) -> Iterable[str]:
    """FILE.py:RECIPE as it is, FILE.py as all of its recipes."""
    for name in names:
        if ":" in name:
            yield name
        else:
            yield from (f"{name}:{recipe}" for recipe in config.recipes(name))


def require(platform: str) -> None:
    """Raises UserError where the compiler of a platform is not installed."""
    package = PACKAGES[platform]
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        raise UserError(f"--compile needs the package {package} for {platform}: {INSTALL}")


def plans(recipe: str, where: Any, options: Options) -> Iterable[Any]:
    """The plans of a recipe on a slice, by stage."""
    from gan_jax.planning import plan

    experiment = config.recipe(recipe)
    if options.tiny:
        experiment = config.tiny(experiment)
    if config.counts_classes(experiment):  # there is no data here: any number does
        experiment = config.change(experiment, {"game.classes": 10})
    if options.precision:
        experiment = config.change(experiment, {"precision": options.precision})
    stages = plan.stages(experiment)
    for stage in stages if options.stage == "all" else stages[-1:]:
        rows = options.rows or plan.share(stage, where.devices)
        one = attempt(recipe, experiment, where, stage, rows, options)
        if options.compile and options.largest != "skip":
            one = enlarge(one, recipe, experiment, where, stage, options)
        yield one


def attempt(
    recipe: str, experiment: config.Experiment, where: Any, stage: Any, rows: int, options: Options
) -> Any:
    """The plan of one batch size."""
    from gan_jax import parallel
    from gan_jax.planning import plan

    mesh = parallel.mesh_of(devices(where)) if options.compile else None
    mesh = mesh or parallel.abstract_mesh(where.devices)
    begin = time.monotonic()
    program = plan.lower(experiment, mesh, where.platform, stage=stage, rows=rows)
    compiled = build(program.lowered, options.effort) if options.compile else None
    found = plan.summarise(recipe, experiment, where, stage, program, compiled)
    seconds = time.monotonic() - begin if options.compile else None
    return dataclasses.replace(found, compile_seconds=seconds)


def build(lowered: Any, effort: str) -> Any:
    """The compiled program, or the compiler's message that memory is not enough."""
    import jax

    wanted = {"exec_time_optimization_effort": -1.0} if effort == "least" else {}
    try:
        return lowered.compile(compiler_options=wanted)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return str(error)


def enlarge(
    one: Any,
    recipe: str,
    experiment: config.Experiment,
    where: Any,
    stage: Any,
    options: Options,
) -> Any:
    """The plan with the largest batch a device that fits."""
    from gan_jax.planning import plan

    if not one.fits:
        return dataclasses.replace(one, how_largest="the batch does not fit")
    reached = one.rows
    for _ in range(DOUBLINGS if options.largest == "search" else 1):
        more = attempt(recipe, experiment, where, stage, 2 * reached, options)
        if not more.fits:
            how = f"{more.rows} do not fit"
            return dataclasses.replace(one, largest=reached, how_largest=how)
        reached = more.rows
        if options.largest == "extrapolate":
            how = f"extrapolated from {one.rows} and {reached}"
            return dataclasses.replace(one, largest=plan.more_rows(one, more), how_largest=how)
    how = "at least: the search ended there"
    return dataclasses.replace(one, largest=reached, how_largest=how)


def devices(where: Any) -> Any:
    """The devices of a slice that is not here, for the compiler."""
    from jax.experimental import topologies

    if where.platform == "cuda":
        found = topologies.get_topology_desc(
            platform="cuda", target_config=target(where.name), topology=f"1x1x{where.chips}"
        )
    else:
        try:
            found = topologies.get_topology_desc(platform="tpu", topology_name=where.text)
        except Exception as error:
            line = str(error).splitlines()[0]
            raise UserError(f"topology {where.text!r}: the compiler says {line}") from error
    return found.devices


class Gpu(NamedTuple):
    """What the compiler asks of a GPU, from NVIDIA's white papers of the A100 and the H100.

    Shared memory is of a processor, in KiB, of which a block may take all but one; `cache` in MiB.
    """

    name: str
    capability: int
    processors: int
    lanes: int
    shared: int
    cache: int
    ghz: float


AMPERE, HOPPER = (8, 108, 64, 164, 40, 1.41), (9, 132, 128, 228, 50, 1.98)
GPUS = {
    "a100": Gpu("NVIDIA A100-SXM4-40GB", *AMPERE),
    "a100-80": Gpu("NVIDIA A100-SXM4-80GB", *AMPERE),
    "h100": Gpu("NVIDIA H100 80GB HBM3", *HOPPER),
}
LIMITS = {  # of every GPU since 2012 or, the registers, 2017 (CUDA programming guide, table 15)
    "threads_per_warp": 32,
    "threads_per_block_limit": 1024,
    "threads_per_core_limit": 2048,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "shared_memory_per_block": 48 * 1024,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}


def target(name: str) -> str:
    """A GPU in the words of XLA's GpuTargetConfigProto."""
    from gan_jax.planning.plan import CHIPS

    gpu, chip = GPUS[name], CHIPS[name]
    numbers = LIMITS | {
        "core_count": gpu.processors,
        "fpus_per_core": gpu.lanes,
        "shared_memory_per_core": gpu.shared * 1024,
        "shared_memory_per_block_optin": (gpu.shared - 1) * 1024,
        "l2_cache_size": gpu.cache * 2**20,
        "clock_rate_ghz": gpu.ghz,
        "memory_bandwidth": int(chip.bandwidth * 1e9),
        "device_memory_size": int(chip.memory * 2**30),
    }
    body = " ".join(f"{field}: {value}" for field, value in numbers.items())
    return (
        f"gpu_device_info {{ {body} cuda_compute_capability {{ major: {gpu.capability} }} }} "
        'platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 } '
        f'runtime_version {{ major: 12 minor: 8 }} device_description_str: "{gpu.name}"'
    )


def describe(one: Any) -> str:
    """A plan in lines."""
    from gan_jax.planning.plan import read_slice

    chip = read_slice(one.topology).chip
    many = chip.devices
    each = "chip" if many == 1 else f"core ({many} a chip)"
    grown = f", stage {one.stage} of 0 to {one.stages - 1}" if one.stages > 1 else ""
    side = f" at {one.resolution} px" if one.resolution else ""
    other = "" if one.batch_size == one.asked else f"; the recipe's is {one.asked}"
    kind = "compiled" if one.compiled else "lowered, not compiled"
    if one.compiled:
        verdict = "fits" if one.fits else "does not fit"
        memory = f"{verdict}: {gib(one.memory)} of {gib(one.capacity)} GiB at the peak"
    elif one.needs or one.fits is False:
        memory = f"does not fit: {one.needs or gib(one.memory) + ' GiB of state and batch'}"
    else:
        memory = (
            f"state and batch {gib(one.memory)} of {gib(one.capacity)} GiB, without activations"
        )
    moved = "unknown" if one.moved is None else f"{one.moved / 2**30:.2f} GiB"
    bound = f"at least {1000 * one.seconds:.3g} ms a round, bound by {one.bound} (estimate)"
    exchanged = ", ".join(
        f"{count} {kind} of {total / 2**20:.1f} MiB"
        for kind, (count, total) in one.collectives.items()
    )
    lines = [
        f"{one.recipe}{side}{grown}, {one.precision}, on {one.topology} ({kind})",
        f"  batch        {one.rows} a {each}, {one.batch_size} in all{other}",
        f"  parameters   {one.parameters / 1e6:.2f} million, state {one.state / 2**20:.1f} MiB",
        f"  memory       {memory}",
        f"  products     {one.flops / 1e9:.1f} Gflop a {each}; memory traffic {moved}",
        f"  exchanges    {exchanged or 'none'}",
        f"  time         {bound}; peaks: {chip.source}",
    ]
    if one.largest is not None or one.how_largest:
        lines.append(f"  largest      {one.largest or '-'} a {each} ({one.how_largest})")
    if one.padding is not None:
        worst = "; ".join(f"{name} {a / max(b, 1):.1f} x" for name, a, b in one.padded[:3])
        lines.append(
            f"  padding      {one.padding:.2f} x the numbers{': ' if worst else ''}{worst}"
        )
    return "\n".join(lines)


def gib(count: float) -> str:
    """Bytes as GiB, three digits."""
    return f"{count / 2**30:.3g}"


def tabulate(recipes: list[str], options: Options) -> None:
    """Plans every recipe on every slice, each in its own process, and rewrites the table."""
    path = Path(options.table)
    numbers = path.with_suffix(".json")
    rows = json.loads(numbers.read_text()) if numbers.exists() else {}
    used = versions() | ({"effort": options.effort} if options.compile else {})
    for recipe in recipes:
        for topology in options.topology:
            print(f"{recipe} on {topology} ...", flush=True)
            begin = time.monotonic()
            found = in_its_own_process(recipe, topology, options)
            if found.get("failed") and options.compile:
                lowered = dataclasses.replace(options, compile=False)
                found["plans"] = in_its_own_process(recipe, topology, lowered)["plans"]
            print(f"  {time.monotonic() - begin:.0f} s {found.get('failed', '')}", flush=True)
            key = f"{recipe} {topology} {options.precision} {options.rows or ''}".strip()
            rows[key] = found | {"when": str(datetime.date.today()), "with": used}
            numbers.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
            path.write_text(markdown(rows))


def in_its_own_process(recipe: str, topology: str, options: Options) -> dict[str, Any]:
    """The plans as plain values, or why there are none; a compiler may take a process with it."""
    flags = [recipe, "--topology", topology, "--json", "True"]
    for field in dataclasses.fields(Options):
        if field.name not in ("topology", "json", "table", "minutes"):
            value = getattr(options, field.name)
            flags += [f"--{field.name}", str(value)] if value != "" else []
    plain = {"recipe": recipe, "topology": topology, "plans": []}
    try:
        done = subprocess.run(
            [sys.executable, __file__, *flags],
            capture_output=True,
            text=True,
            timeout=60 * options.minutes,
        )
    except subprocess.TimeoutExpired:
        return plain | {"failed": f"not compiled within {options.minutes:g} minutes"}
    if done.returncode:
        return plain | {"failed": reason(done)}
    return plain | {"plans": json.loads(done.stdout.splitlines()[-1])}


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Why a process failed, in a line that a table can hold; compilers log much else."""
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    lines = [line for line in done.stderr.splitlines() if re.match(r"error:|[\w.]*Error\b", line)]
    text = lines[-1] if lines else f"exit code {done.returncode}"
    return text[:200].replace("|", "/")


def versions() -> dict[str, str]:
    """Of the packages that decide the numbers."""
    found = {}
    for name in ("jax", "jaxlib", "libtpu", "jax-cuda12-plugin"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


COLUMNS = (
    ("recipe", "topology", "px", "arithmetic", "batch a chip", "memory GiB", "fits", "largest"),
    ("Tflop", "traffic GiB", "exchanged MiB", "ms a round", "bound by", "padding"),
)


def markdown(rows: dict[str, Any]) -> str:
    """The digest and the table of all rows that there are."""
    columns = [name for part in COLUMNS for name in part]
    lines = head(columns)
    dates = sorted({row["when"] for row in rows.values()})
    used = sorted({f"{n} {v}" for row in rows.values() for n, v in row["with"].items()})
    for _, row in sorted(rows.items()):
        failed = row.get("failed", "")
        if not row["plans"]:
            cells = [short(row["recipe"]), row["topology"], failed]
            lines.append("| " + " | ".join(cells + [""] * (len(columns) - 3)) + " |")
        lines += ["| " + " | ".join(cells_of(one, failed)) + " |" for one in row["plans"]]
    return (
        f"""# Which recipe fits which slice

Written by `scripts/tpu_plan.py --table` on {dates[0] if dates else ""}{
            " to " + dates[-1] if len(dates) > 1 else ""
        } with {", ".join(used)}: compiled ahead of
time, without an accelerator; nothing here was measured on one. All numbers are of one device (a
core, where a chip has two), of a round in which every move is played. The memory is the compiler's
peak; of what was not compiled, that of state and batch alone. "Largest" is the batch a device that
fits, along a line through two compilations unless marked: a guess far from them, as other sizes get
other layouts; "—" where none is told. "ms a round" is the roofline's bound from the chip's
published peaks: an estimate, and the least there could be. "Traffic" counts every access that the
compiler sees, those that caches serve as well. "Padding" is how much larger arrays are than their
numbers, filled up to the chip's tiles.

"""
        + "\n".join([*digest(rows), "", *lines])
        + "\n"
    )


def head(columns: Iterable[str]) -> list[str]:
    """The first two lines of a Markdown table."""
    columns = list(columns)
    return ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]


def digest(rows: dict[str, Any]) -> list[str]:
    """A table of memory and time a round, a line each recipe and a column each slice."""
    slices = sorted({row["topology"] for row in rows.values()})
    found: dict[tuple[str, str], dict[str, str]] = {}
    for _, row in sorted(rows.items()):
        for one in row["plans"][-1:]:
            size = gib(one["memory"])
            says = f"{size if one['fits'] else f'over {size}'} GiB, {1000 * one['seconds']:.3g} ms"
            if one["fits"] is False:
                says = f"does not fit: {one['needs'] or f'over {size} GiB'}"
            line = found.setdefault((short(row["recipe"]), str(one["resolution"] or "—")), {})
            line[row["topology"]] = f"{one['rows']} a chip: {says}"
    lines = head(["recipe", "px", *slices])
    for name, cells in sorted(found.items()):
        lines.append("| " + " | ".join([*name, *(cells.get(s, "—") for s in slices)]) + " |")
    return lines


def short(recipe: str) -> str:
    """experiments/dcgan.py:celeba64 as dcgan:celeba64."""
    path, _, name = recipe.rpartition(":")
    return f"{Path(path).stem}:{name}"


def cells_of(one: dict[str, Any], failed: str) -> list[str]:
    """A plan as cells; `failed` says why it is not of a compiled program."""
    exchanged = sum(total for _, total in one["collectives"].values()) / 2**20
    fits = {True: "yes", False: "no", None: "?"}[one["fits"]]
    known = one["compiled"]
    other = "" if one["batch_size"] == one["asked"] else f" (of {one['asked']} in all)"
    memory = gib(one["memory"]) if known else one["needs"] or f"over {gib(one['memory'])}"
    largest = str(one["largest"]) if one["largest"] else "—"
    return [
        short(one["recipe"]),
        one["topology"],
        str(one["resolution"] or "—"),
        one["precision"],
        f"{one['rows']}{other}",
        f"{memory} of {gib(one['capacity'])}",
        fits,
        largest
        if "extrapolated" in one["how_largest"]
        else f"{largest} {one['how_largest'] or failed}".strip(),
        f"{one['flops'] / 1e12:.3g}",
        f"{one['moved'] / 2**30:.3g}" if one["moved"] else "—",
        f"{exchanged:.3g}",
        f"{1000 * one['seconds']:.3g}",
        one["bound"],
        f"{one['padding']:.2f}" if one["padding"] else "—",
    ]


if __name__ == "__main__":
    cli.run(main)
