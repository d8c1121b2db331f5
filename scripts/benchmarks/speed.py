"""Time one case of the benchmark on the device that is there, one side in this process.

python -m benchmarks.speed CASE project|eager|compiled float32|bfloat16 [--device cuda] ...

Prints one JSON object. Several such processes compile at the same time; while one of them takes
its times, which it does alone, the others wait at the lock.
"""

import contextlib
import dataclasses
import fcntl
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.cases import CASES, GAMES, project
from benchmarks.measure import load, resident
from benchmarks.opponents import Opponent, make
from gan_jax.commands import cli

Many = Callable[[int], None]
TURNS = 3


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time."""

    side: Literal["project", "eager", "compiled"] = "project"
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"
    """Of PyTorch."""
    batch_size: int = 0
    """By default the case's own."""
    seconds: float = 1.0
    """Of each of the turns."""
    lock: str = ""
    """A file: who takes times holds it alone, who prepares shares it."""


class Side(NamedTuple):
    """One side of a case, ready to play.

    Attributes:
        play: plays as many calls of the case as it is told, and waits for the device.
        memory: bytes that were held at the peak so far.
        planned: bytes that the compiler plans for at the peak; None where it says nothing.
    """

    play: Many
    memory: Callable[[], float]
    planned: int | None = None


def main() -> None:
    """Prepare the side that is named, time it, and print what was found."""
    name, *flags = sys.argv[1:]
    options = cli.parse(Options(), flags, name)
    cli.keep_memory()
    load(options.side)
    with locked(options.lock, fcntl.LOCK_SH):
        size = options.batch_size or CASES[name].batch_size
        before = time.perf_counter()
        side = (of_project if options.side == "project" else of_torch)(name, size, options)
        side.play(1)
        first = time.perf_counter() - before
    with locked(options.lock, fcntl.LOCK_EX):
        seconds = per_call(side.play, options.seconds) / CASES[name].rounds
    facts = {
        "case": name,
        "side": options.side,
        "precision": options.precision,
        "batch_size": size,
        "seconds": seconds,
        "images_per_second": size / seconds,
        "first_seconds": first,
        "memory_mib": side.memory() / 2**20,
        "planned_mib": side.planned and side.planned / 2**20,
    }
    print(json.dumps(facts), flush=True)


def of_project(name: str, size: int, options: Options) -> Side:
    """The project's side, on JAX's first device."""
    import jax

    from gan_jax.planning.plan import peak_memory

    device = jax.devices()[0]
    imported = resident() * 2**20
    timed = project(GAMES[name], size, options.precision)

    def memory() -> float:
        return (device.memory_stats() or {}).get("peak_bytes_in_use") or _grown(imported)

    planned = peak_memory(timed.executable) if timed.executable else None
    return Side(timed.play, memory, planned)


def of_torch(name: str, size: int, options: Options) -> Side:
    """PyTorch's side."""
    import torch  # pyright: ignore[reportMissingImports]

    kind: Any = options.side
    imported = resident() * 2**20
    twin = make(name, size, Opponent(kind, options.device, options.precision))
    on_gpu = options.device == "cuda"

    def play(times: int) -> None:
        for _ in range(times):
            twin.play()
        if on_gpu:
            torch.cuda.synchronize()

    def memory() -> float:
        return torch.cuda.max_memory_allocated() if on_gpu else _grown(imported)

    return Side(play, memory)


def _grown(imported: float) -> float:
    """Bytes at this process's peak beyond those it held after its imports."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10 - imported


def per_call(play: Many, seconds: float) -> float:
    """The median over turns of the seconds of a call; each turn waits for the device once.

    Args:
        play: as in `Side`.
        seconds: about how long a turn lasts.
    """
    play(2)
    before = time.perf_counter()
    play(2)
    calls = max(1, round(2 * seconds / (time.perf_counter() - before)))
    found = []
    for _ in range(TURNS):
        before = time.perf_counter()
        play(calls)
        found.append((time.perf_counter() - before) / calls)
    return statistics.median(found)


@contextlib.contextmanager
def locked(path: str, how: int) -> Iterator[None]:
    """Hold a lock on a file, alone or with others; "" is no lock."""
    if not path:
        yield
        return
    with Path(path).open("a") as file:
        fcntl.flock(file, how)
        yield


if __name__ == "__main__":
    cli.run(main)
