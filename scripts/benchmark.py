"""Measures the project beside plain PyTorch (CPU) doing the same arithmetic.

python scripts/benchmark.py all            # bash scripts/install.sh dev benchmark, first
python scripts/benchmark.py all --out experiments/benchmark.md --seconds 60
python scripts/benchmark.py dcgan          # one case in this process, both sides
python scripts/benchmark.py dcgan --side project      # one side: first round and memory

Turns of the two sides alternate in one process, so a busy machine slows both; the ratio is that of
the medians. PyTorch's threads spin for a while when their work is done, which slows what comes
next: a turn of short rounds opens with one that is not timed, and has a second of them. Beside
other work spinning may make its rounds ten times as long, so measure on a quiet machine, or on one
core (`taskset -c 0`). First rounds and memory are measured apart, one side to a process. The cases
are in `benchmark_cases.py`, their twins in `torch_twins/`; the rows without a twin in
`benchmark_rows.py`.
"""

import dataclasses
import gc
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import benchmark_cases
import benchmark_table
import cli

from gan_jax.errors import UserError, nearest

TURN = 1.0  # seconds; threads spin for some milliseconds


@dataclasses.dataclass(frozen=True)
class Options:
    """How to measure."""

    rounds: int = 15
    """Timed turns of each side, after two that are not."""
    seconds: float = 120.0
    """Stop earlier, but not before three timed turns, when a case has taken so long."""
    batch_size: int = 0
    """By default the case's own."""
    side: Literal["both", "project", "torch"] = "both"
    """One side alone: its first round and the memory that it takes beyond that of the imports."""
    json: bool = False
    """Print one JSON object instead of lines."""
    out: str = ""
    """Of `all`: the file, .md or .json, that the table goes to."""
    cases: tuple[str, ...] = ()
    """Of `all`: which cases; by default every one."""


def main() -> None:
    """Measures one case, or all in turn, and prints what it finds."""
    name, *flags = sys.argv[1:] or ["--help"]
    if name.startswith("-"):
        print(f"{__doc__}\nCases: all, {', '.join(benchmark_cases.CASES)}")
        name, flags = "all", ["--help"]
    options = cli.parse(Options, Options(), flags, f"benchmark.py {name}")
    cli.keep_memory()
    for case in options.cases if name == "all" else (name,):
        if case not in benchmark_cases.CASES:
            guess = nearest(case, ["all", *benchmark_cases.CASES])
            raise UserError(f"no case {case!r}; did you mean {guess}?")
    if name == "all":
        names = options.cases or tuple(benchmark_cases.CASES)
        found = benchmark_table.measure(names, options.rounds, options.seconds, not options.cases)
        text = json.dumps(found, indent=1) if options.json else benchmark_table.markdown(found)
        print(text)
        if options.out:
            as_json = Path(options.out).suffix == ".json"
            text = json.dumps(found, indent=1) if as_json else benchmark_table.markdown(found)
            Path(options.out).write_text(text + "\n")
        return
    facts = both(name, options) if options.side == "both" else alone(name, options)
    if options.json:
        print(json.dumps(facts))
        return
    for quantity, value in facts.items():
        print(
            f"{quantity:28} {value:.4g}" if isinstance(value, float) else f"{quantity:28} {value}"
        )


def both(name: str, options: Options) -> dict[str, Any]:
    """Both sides' seconds a play, in turns."""
    case = benchmark_cases.CASES[name]
    size = options.batch_size or case.batch_size
    theirs = twins()[name](size).play
    ours = case.make(size)
    timed = alternate(ours.play, theirs, options.rounds, options.seconds)
    wall, cpu = ([statistics.median(side) for side in clock] for clock in timed)
    facts = {
        "case": name,
        "batch_size": size,
        "rounds": len(timed[0][0]),
        "project_seconds": wall[0] / case.rounds,
        "torch_seconds": wall[1] / case.rounds,
        "speed_over_torch": wall[1] / wall[0],
        "project_cpu_seconds": cpu[0] / case.rounds,
        "torch_cpu_seconds": cpu[1] / case.rounds,
        "project_images_per_second": size * case.rounds / wall[0],
        "compile_seconds": ours.compile_seconds,
    }
    if ours.flops and case.count:
        facts["flops_over_hand_count"] = ours.flops / case.count(size)
    return facts


def alone(name: str, options: Options) -> dict[str, Any]:
    """One side's seconds from the imports to the end of its first round, and its memory."""
    case = benchmark_cases.CASES[name]
    size = options.batch_size or case.batch_size
    if options.side == "torch":
        make = twins()[name]
    else:
        import jax

        import gan_jax.build.experiment  # noqa: F401

        jax.devices()
        make = case.make
    gc.collect()
    imported, before = _resident(), time.perf_counter()
    play = make(size).play
    play()
    first = time.perf_counter() - before
    for _ in range(2 if case.rounds == 1 else 0):
        play()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"first_seconds": first, "memory_mib": peak - imported}


def _resident() -> float:
    """MiB that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def twins() -> dict[str, Any]:
    """The twins by case. Raises UserError where PyTorch is missing."""
    try:
        import torch_twins
    except ImportError as error:
        raise UserError(
            f"{error.name} is missing: bash scripts/install.sh dev benchmark"
        ) from error
    return torch_twins.TWINS


def alternate(
    ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int, limit: float
) -> tuple[list[list[float]], list[list[float]]]:
    """Wall seconds and processor seconds a play of both sides, turn by turn."""
    wall: list[list[float]] = [[], []]
    cpu: list[list[float]] = [[], []]
    plays = [1, 1]
    start = time.perf_counter()
    for number in range(rounds + 2):
        if number >= 5 and time.perf_counter() - start > limit:
            break
        for side, play in enumerate((ours, theirs)):
            if plays[side] > 1:
                play()
            before = time.perf_counter(), time.process_time()
            for _ in range(plays[side]):
                play()
            took = time.perf_counter() - before[0], time.process_time() - before[1]
            if number >= 2:
                wall[side].append(took[0] / plays[side])
                cpu[side].append(took[1] / plays[side])
            elif number == 1:
                plays[side] = max(1, round(TURN / took[0]))
    return wall, cpu


if __name__ == "__main__":
    cli.run(main)
