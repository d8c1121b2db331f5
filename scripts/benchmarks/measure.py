"""Time one case of the benchmark in this process."""

import functools
import gc
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import opponents
from benchmarks.cases import CASES, Timed
from benchmarks.opponents import Kind, Opponent
from gan_jax.json_types import JsonObject

if TYPE_CHECKING:
    from benchmarks.twins import Twin

TURN = 1.0  # s of a turn; PyTorch's threads spin for some milliseconds after one
Play = Callable[[], object]


def both(
    name: str, batch_size: int, rounds: int, seconds: float, kind: Kind = "eager"
) -> JsonObject:
    """Time the project and PyTorch in alternate turns.

    Args:
        name: the case.
        batch_size: images in a batch; 0 for the case's default.
        rounds: timed turns of each side.
        seconds: as `limit` in `alternate`.
        kind: how PyTorch plays.

    Returns:
        Median seconds of a round and what follows from them.
    """
    case = CASES[name]
    size = batch_size or case.batch_size
    theirs = opponents.make(name, size, Opponent(kind)).play
    ours = case.make(size)
    timed = alternate(ours.play, theirs, rounds, seconds)
    wall, cpu = ([statistics.median(side) for side in clock] for clock in timed)
    facts = {
        "case": name,
        "batch_size": size,
        "opponent": kind,
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


def alone(name: str, batch_size: int, side: str, kind: Kind = "eager") -> dict[str, float]:
    """Measure the first round and the memory of one side, "project" or "torch" of a kind.

    Returns:
        Seconds from the end of the imports to the end of the first round, and MiB at the peak
        beyond those of the imports.
    """
    case = CASES[name]
    size = batch_size or case.batch_size
    load(side)
    make: Callable[[int], Timed | Twin] = case.make
    if side == "torch":
        make = functools.partial(opponents.make, name, opponent=Opponent(kind))
    gc.collect()
    imported, before = resident(), time.perf_counter()
    play = make(size).play
    play()
    first = time.perf_counter() - before
    for _ in range(2 if case.rounds == 1 else 0):
        play()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"first_seconds": first, "memory_mib": peak - imported}


def load(side: str) -> None:
    """Import what a side needs, so that neither its seconds nor its memory hold the imports."""
    if side != "project":
        opponents.twins()
        return
    import jax

    import gan_jax.build.experiment  # noqa: F401

    jax.devices()


def resident() -> float:
    """MiB of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def alternate(
    ours: Play, theirs: Play, rounds: int, limit: float
) -> tuple[list[list[float]], list[list[float]]]:
    """Call both sides in alternate turns; the first two turns are not timed.

    A turn calls a fast function for about `TURN` seconds, after one call that is not timed.

    Args:
        ours: the project's function.
        theirs: PyTorch's function.
        rounds: timed turns of each side.
        limit: seconds after which no turn starts, once three are timed.

    Returns:
        Wall seconds and processor seconds of a call, by side and turn.
    """
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
