"""Time one case of the benchmark in this process."""

import gc
import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks import opponents
from benchmarks.cases import CASES, GAMES, Timed, project
from benchmarks.opponents import Opponent
from gan_jax.errors import UserError
from gan_jax.json_types import JsonObject

if TYPE_CHECKING:
    from benchmarks.twins import Twin

Side = Literal["project", "remat", "eager", "compiled"]
"""The project, the project with `remat`, PyTorch as it is, and with its networks compiled."""
TURN = 1.0  # s of a turn; PyTorch's threads spin for some milliseconds after one
Play = Callable[[], object]


def make(name: str, batch_size: int, side: Side) -> "Timed | Twin":
    """Make what a side of a case plays; PyTorch must have been imported for its sides.

    Raises:
        UserError: `remat` of a case that is no game.
    """
    if side == "project":
        return CASES[name].make(batch_size)
    if side != "remat":
        return opponents.make(name, batch_size, Opponent(side))
    if name not in GAMES:
        raise UserError(f"case {name!r} does not train, so it has no side 'remat'")
    return project(GAMES[name], batch_size, remat=True)


def together(
    name: str, batch_size: int, sides: Sequence[Side], rounds: int, seconds: float
) -> JsonObject:
    """Time several sides in alternate turns.

    Args:
        name: the case.
        batch_size: images in a batch; 0 for the case's default.
        sides: which.
        rounds: timed turns of each side.
        seconds: as `limit` in `alternate`.

    Returns:
        The seconds of a round by side, those of each turn and their medians, and what follows.
    """
    case = CASES[name]
    size = batch_size or case.batch_size
    order = sorted(sides, key=lambda side: side in ("project", "remat"))
    made = {side: make(name, size, side) for side in order}
    wall, cpu = alternate({side: made[side].play for side in sides}, rounds, seconds)
    turns = {side: [s / case.rounds for s in took] for side, took in wall.items()}
    facts = {
        "case": name,
        "batch_size": size,
        "turns": turns,
        "seconds": {side: statistics.median(took) for side, took in turns.items()},
        "cpu_seconds": {side: statistics.median(t) / case.rounds for side, t in cpu.items()},
    }
    ours = made.get("project")
    if isinstance(ours, Timed):
        facts["images_per_second"] = size / facts["seconds"]["project"]
        facts["compile_seconds"] = ours.compile_seconds
        if ours.flops and case.rounds == 1:
            facts["flops"] = ours.flops
            facts["flops_over_hand_count"] = case.count and ours.flops / case.count(size)
    return facts


def alone(name: str, batch_size: int, side: Side) -> dict[str, float]:
    """Measure the first round and the memory of one side.

    Returns:
        Seconds from the end of the imports to the end of the first round, and MiB at the peak
        beyond those of the imports.
    """
    case = CASES[name]
    load(side)
    gc.collect()
    imported, before = resident(), time.perf_counter()
    play = make(name, batch_size or case.batch_size, side).play
    play()
    first = time.perf_counter() - before
    for _ in range(2 if case.rounds == 1 else 0):
        play()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"first_seconds": first, "memory_mib": peak - imported}


def load(side: Side) -> None:
    """Import what a side needs, so that neither its seconds nor its memory hold the imports."""
    if side not in ("project", "remat"):
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
    plays: Mapping[Side, Play], rounds: int, limit: float
) -> tuple[dict[Side, list[float]], dict[Side, list[float]]]:
    """Call the sides in alternate turns; the first two turns are not timed.

    A turn calls a fast function for about `TURN` seconds, after one call that is not timed.

    Args:
        plays: a function for each side.
        rounds: timed turns of each side.
        limit: seconds after which no turn starts, once three are timed.

    Returns:
        Wall seconds and processor seconds of a call, by side and turn.
    """
    wall: dict[Side, list[float]] = {side: [] for side in plays}
    cpu: dict[Side, list[float]] = {side: [] for side in plays}
    calls = dict.fromkeys(plays, 1)
    start = time.perf_counter()
    for number in range(rounds + 2):
        if number >= 5 and time.perf_counter() - start > limit:
            break
        for side, play in plays.items():
            if calls[side] > 1:
                play()
            before = time.perf_counter(), time.process_time()
            for _ in range(calls[side]):
                play()
            took = time.perf_counter() - before[0], time.process_time() - before[1]
            if number >= 2:
                wall[side].append(took[0] / calls[side])
                cpu[side].append(took[1] / calls[side])
            elif number == 1:
                calls[side] = max(1, round(TURN / took[0]))
    return wall, cpu
