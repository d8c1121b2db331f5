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
from pathlib import Path

from gan_jax.errors import UserError
from gan_jax.json_types import JsonObject

SCRIPTS = Path(__file__).parents[1]
SCRIPT, ROWS = (str(SCRIPTS / "benchmark.py"),), ("-m", "benchmarks.rows")
KINDS = ("eager", "compiled")  # of PyTorch
Found = JsonObject
"""What was measured, as JSON holds it between processes."""


def measure(names: tuple[str, ...], rounds: int, seconds: float, rows: bool = True) -> Found:
    """Measure the cases one after the other, and with `rows` also those without a twin."""
    cases = {name: measure_case(name, rounds, seconds) for name in names}
    found = {"machine": machine(), "cases": cases}
    return {**found, **(_run(*ROWS) if rows else {})}


def measure_case(name: str, rounds: int, seconds: float) -> Found:
    """Measure a case in six processes.

    They are the project without and with a compilation cache, PyTorch eager and compiled, and the
    project in turns with each of these, with the caches of the first ones.
    """
    limits = ("--rounds", str(rounds), "--seconds", str(seconds))
    with tempfile.TemporaryDirectory() as kept:
        run = functools.partial(_run, *SCRIPT, name, "--json", "True", cache=kept)
        cold, warm = (run("--side", "project") for _ in range(2))
        eager, compiled = (run("--side", "torch", "--opponent", kind) for kind in KINDS)
        beside, beside_compiled = (run(*limits, "--opponent", kind) for kind in KINDS)
    return {
        **beside,
        "torch_compiled_seconds": beside_compiled["torch_seconds"],
        "speed_over_compiled": beside_compiled["speed_over_torch"],
        "project_first_seconds": cold["first_seconds"],
        "project_first_seconds_cached": warm["first_seconds"],
        "torch_first_seconds": eager["first_seconds"],
        "torch_compiled_first_seconds": compiled["first_seconds"],
        "project_memory_mib": cold["memory_mib"],
        "torch_memory_mib": eager["memory_mib"],
        "torch_compiled_memory_mib": compiled["memory_mib"],
    }


def _run(*arguments: str, cache: str | None = None) -> Found:
    """Run Python in a new process and read the JSON of its last line.

    `cache` is the directory of its compilation caches, if any.
    """
    print(" ".join(arguments), file=sys.stderr, flush=True)
    environment = {**os.environ, "PYTHONPATH": f"{SCRIPTS.parent}{os.pathsep}{SCRIPTS}"}
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
    *("case", "batch", "project, rounds/s", "PyTorch eager, rounds/s", "compiled, rounds/s"),
    *("project / the faster PyTorch", "first round, s", "with its cache", "PyTorch's"),
    *("with its compilation", "memory, MiB", "PyTorch's", "compiled", "FLOPs / hand count"),
)


def markdown(found: Found) -> str:
    """The page: the machine, the table, and the rows without a twin."""
    where = found["machine"]
    versions = ", ".join(f"{name} {where[name]}" for name in ("python", "jax", "jaxlib", "torch"))
    lines = [
        "# Speed beside PyTorch",
        "",
        f"Written by `python scripts/benchmark.py all --out experiments/benchmark.md` on "
        f"{where['date']}: {where['processor']}, {where['cores']} cores, {versions}; "
        f"{where['load']} other processes ran at its beginning.",
        "",
        "Both sides do the same arithmetic in float32; their turns alternate in one process and "
        "the medians are compared. PyTorch plays eagerly, and with its networks compiled by "
        "`torch.compile`; the ratio is to the faster one, each in turns with the project. First "
        "rounds are counted from the end of the imports, without and with the compilations of an "
        "earlier process. Memory is a process's peak above what it holds after the imports. FLOPs "
        "are those of the compiled program's matrix products over those of the direct form, "
        "counted by hand.",
        "",
        _row(HEAD),
        _row(("---",) * len(HEAD)),
        *(_row(_cells(name, case)) for name, case in found["cases"].items()),
    ]
    if "pipeline" in found:
        lines += ["", *_others(found)]
    return "\n".join(lines)


def _cells(name: str, case: Found) -> tuple[str, ...]:
    flops = case.get("flops_over_hand_count")
    speeds = ("project_seconds", "torch_seconds", "torch_compiled_seconds")
    firsts = ("project_first_seconds", "project_first_seconds_cached", "torch_first_seconds")
    memory = ("project_memory_mib", "torch_memory_mib", "torch_compiled_memory_mib")
    return (
        name,
        str(case["batch_size"]),
        *(f"{1.0 / case[key]:.3g}" for key in speeds),
        f"{min(case['speed_over_torch'], case['speed_over_compiled']):.2f}",
        *(f"{case[key]:.1f}" for key in (*firsts, "torch_compiled_first_seconds")),
        *(f"{case[key]:.0f}" for key in memory),
        f"{flops:.2f}" if flops else "—",
    )


def _others(found: Found) -> list[str]:
    lines = [
        _row(("without a twin", "per second", "over the step's demand")),
        _row(("---",) * 3),
    ]
    for label, stream in found["pipeline"].items():
        demand = found["cases"].get(stream["case"], {}).get("project_images_per_second")
        speed = stream["images_per_second"]
        times = f"{speed / demand:.1f} ({stream['case']})" if demand else "—"
        lines.append(_row((f"input pipeline, {label}: images", f"{speed:.0f}", times)))
    features = found["cases"].get("features", {}).get("project_images_per_second")
    if features:
        lines.append(_row(("features of the metrics: images", f"{features:.0f}", "—")))
    points = found["landscape_points_per_second"]
    return [*lines, _row(("loss landscape, DCGAN of 28 px: points", f"{points:.1f}", "—"))]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
