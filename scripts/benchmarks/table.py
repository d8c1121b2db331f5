"""The table of the benchmark: every case in processes of its own, then one Markdown page."""

import datetime
import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from gan_jax.errors import UserError
from gan_jax.json_types import JsonObject

SCRIPTS = Path(__file__).parents[1]
SCRIPT, ROWS = (str(SCRIPTS / "benchmark.py"),), ("-m", "benchmarks.rows")
SIDES = ("project", "eager", "compiled")
REMAT = ("dcgan", "stylegan2", "cyclegan")  # the cases whose activations are computed again
Found = JsonObject
"""What was measured, as JSON holds it between processes."""


def measure(names: tuple[str, ...], rounds: int, seconds: float, rows: bool = True) -> Found:
    """Measure the cases one after the other, and with `rows` also those without a twin."""
    limits = ("--rounds", str(rounds), "--seconds", str(seconds))
    found = {"machine": machine(), "cases": {name: measure_case(name, limits) for name in names}}
    if not rows:
        return found
    remat = {name: measure_remat(name, limits) for name in REMAT}
    return {**found, "remat": remat, **_run(*ROWS)}


def measure_case(name: str, limits: tuple[str, ...]) -> Found:
    """Measure a case in five processes.

    They are the project without and with a compilation cache, PyTorch eager and compiled, and all
    sides in turns, with the caches of the first ones.
    """
    with tempfile.TemporaryDirectory() as kept:
        run = functools.partial(_run, *SCRIPT, name, "--json", "True", cache=kept)
        alone = {side: run("--sides", side) for side in SIDES}
        warm = run("--sides", "project")
        beside = run(*limits, "--sides", *SIDES)
    first = {side: facts["first_seconds"] for side, facts in alone.items()}
    return {
        **beside,
        "first_seconds": {**first, "project with its cache": warm["first_seconds"]},
        "memory_mib": {side: facts["memory_mib"] for side, facts in alone.items()},
    }


def measure_remat(name: str, limits: tuple[str, ...]) -> Found:
    """Measure what computing a case's activations again saves and costs."""
    run = functools.partial(_run, *SCRIPT, name, "--json", "True")
    alone = {side: run("--sides", side)["memory_mib"] for side in ("project", "remat")}
    seconds = run(*limits, "--sides", "project", "remat")["seconds"]
    return {"memory_mib": alone, "times_as_long": seconds["remat"] / seconds["project"]}


def environment_of(**changes: str) -> dict[str, str]:
    """The environment of a process that imports this checkout, with changes."""
    return {**os.environ, "PYTHONPATH": f"{SCRIPTS.parent}{os.pathsep}{SCRIPTS}", **changes}


def _run(*arguments: str, cache: str | None = None) -> Found:
    """Run Python in a new process and read the JSON of its last line.

    `cache` is the directory of its compilation caches, if any.
    """
    print(" ".join(arguments), file=sys.stderr, flush=True)
    environment = environment_of()
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    if cache:
        environment |= {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor",
        }
    ended = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        words = " ".join(ended.stderr.split())[-500:]
        raise UserError(f"{' '.join(arguments)} ended with {ended.returncode}: {words}")
    return json.loads(ended.stdout.splitlines()[-1])


def machine() -> dict[str, str]:
    """The date, the processor, its load before the measurement, and versions."""
    libraries = ("jax", "jaxlib", "torch")
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: _version(name) for name in libraries},
    }


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _processor() -> str:
    """The name of the processor on Linux, elsewhere the architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


HEAD = (
    *("case", "batch", "project, rounds/s", "PyTorch eager", "compiled"),
    *("project / the faster PyTorch", "in single turns", "products at full rate, % of a round"),
    *("FLOPs / hand count",),
)
FIRST = ("case", "project", "with its cache", "PyTorch eager", "compiled")
MEMORY = ("case", "project", "PyTorch eager", "compiled")
ABOUT = """\
All sides do the same arithmetic in float32; their turns alternate in one process and the medians
are compared. PyTorch plays eagerly, and with its networks compiled by `torch.compile`; the ratio is
to the faster one. "In single turns" is the lowest and the highest ratio of a turn to that side's
turn of the same time. "Products at full rate" is the time that the matrix products of the compiled
program would take at the rate of one large product{rate}, as a share of the round: what is left is
movement of data and all that is no product. FLOPs are those of the compiled program's matrix
products over those of the direct form, counted by hand."""
ABOUT_FIRST = """\
Seconds to the end of the first round, from the end of the imports: without and with the
compilations of an earlier process. Programs with calls to oneDNN cannot be kept."""
ABOUT_MEMORY = "MiB at a process's peak above what it holds after the imports."
ABOUT_REMAT = "With `--remat True`, the backward pass computes the activations again."


def markdown(found: Found) -> str:
    """The page: the machine, the tables, and the rows without a twin."""
    where, cases = found["machine"], found["cases"]
    versions = ", ".join(f"{name} {where[name]}" for name in ("python", "jax", "jaxlib", "torch"))
    gflops = found.get("matrix_gflops")
    rate = f" ({gflops:.0f} GFLOP/s here)" if gflops else ""
    page = [
        "# Speed beside PyTorch",
        "",
        f"Written by `python scripts/benchmark.py all --out experiments/benchmark.md` on "
        f"{where['date']}: {where['processor']}, {where['cores']} cores, {versions}; "
        f"{where['load']} other processes ran at its beginning.",
        "",
        ABOUT.format(rate=rate),
        "",
        *lines(HEAD, (_speed(name, case, gflops) for name, case in cases.items())),
        *("", "## First round", "", ABOUT_FIRST, ""),
        *lines(FIRST, (_first(name, case) for name, case in cases.items())),
        *("", "## Memory", "", ABOUT_MEMORY, ""),
        *lines(MEMORY, (_memory(name, case) for name, case in cases.items())),
    ]
    if "remat" in found:
        head = ("case", "memory, MiB", "with remat", "time of a round / without")
        rows = (_remat(name, case) for name, case in found["remat"].items())
        page += ["", ABOUT_REMAT, "", *lines(head, rows)]
    if "pipeline" in found:
        page += ["", "## Without a twin", "", *_others(found)]
    return "\n".join(page)


def _speed(name: str, case: Found, gflops: float | None) -> tuple[str, ...]:
    seconds, turns = case["seconds"], case["turns"]
    faster = min(("eager", "compiled"), key=seconds.__getitem__)
    ratios = [a / b for a, b in zip(turns[faster], turns["project"], strict=True)]
    flops, count = case.get("flops"), case.get("flops_over_hand_count")
    share = flops and gflops and flops / (1e9 * gflops * seconds["project"])
    return (
        name,
        str(case["batch_size"]),
        *(f"{1.0 / seconds[side]:.3g}" for side in SIDES),
        f"{seconds[faster] / seconds['project']:.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        f"{100.0 * share:.0f}" if share else "—",
        f"{count:.2f}" if count else "—",
    )


def _first(name: str, case: Found) -> tuple[str, ...]:
    first = case["first_seconds"]
    order = ("project", "project with its cache", "eager", "compiled")
    return name, *(f"{first[key]:.1f}" for key in order)


def _memory(name: str, case: Found) -> tuple[str, ...]:
    return name, *(f"{case['memory_mib'][side]:.0f}" for side in SIDES)


def _remat(name: str, case: Found) -> tuple[str, ...]:
    memory = (f"{case['memory_mib'][side]:.0f}" for side in ("project", "remat"))
    return name, *memory, f"{case['times_as_long']:.2f}"


def _others(found: Found) -> list[str]:
    rows = []
    for label, stream in found["pipeline"].items():
        demand = found["cases"].get(stream["case"], {}).get("images_per_second")
        speed = stream["images_per_second"]
        times = f"{speed / demand:.1f} ({stream['case']})" if demand else "—"
        rows.append((f"input pipeline, {label}: images", f"{speed:.0f}", times))
    features = found["cases"].get("features", {}).get("images_per_second")
    if features:
        rows.append(("features of the metrics: images", f"{features:.0f}", "—"))
    points = found["landscape_points_per_second"]
    rows.append(("loss landscape, DCGAN of 28 px: points", f"{points:.1f}", "—"))
    return lines(("row", "per second", "over the step's demand"), rows)


def lines(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]
