"""What several devices and processes cost on one machine: the same batch, split.

python -m benchmarks.scaling --out ../experiments/scaling.md        # in scripts/
JAX_NUM_CPU_DEVICES=8 python -m benchmarks.scaling dcgan            # one measurement

Virtual devices share the cores, so that a round with the whole batch does the same products on any
number of them. What it takes longer is the price of splitting: exchanges of gradients and
statistics, smaller products, and turns between threads. On accelerators the devices' own speed is
added, and the exchanges go over their links.
"""

import dataclasses
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import table
from benchmarks.cases import GAMES, project
from gan_jax.commands import cli
from gan_jax.errors import UserError, nearest

CASES = ("dcgan", "cgan")
SPLITS = ((1, 1), (1, 2), (1, 4), (1, 8), (2, 1), (4, 1))
"""Processes, and devices of each."""
ABOUT = """\
Virtual devices share the cores of one machine, so a round of the whole batch does the same products
on any number of them. What it takes longer than on one device is the price of splitting it:
exchanges, smaller products, and turns between threads and processes. Processes exchange over the
loopback interface. Exchanges are those that the compiled program of a round names, and the bytes
that they sum over the devices."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    hosts: str = ""
    """Of one case: the other processes, as of gan-jax train."""
    rounds: int = 12
    """Timed rounds, after three that are not timed."""
    out: str = ""
    """The Markdown file of the whole table."""


def main() -> None:
    """Measure one case in this process, or all in processes of their own."""
    named = [word for word in sys.argv[1:2] if not word.startswith("-")]
    options = cli.parse(Options(), sys.argv[1 + len(named) :], "scaling")
    cli.keep_memory()
    if named and named[0] not in GAMES:
        raise UserError(f"no case {named[0]!r}; did you mean {nearest(named[0], GAMES)}?")
    if named:
        print(json.dumps(measure(named[0], options)))
        return
    page = markdown({name: measure_case(name, options.rounds) for name in CASES})
    print(page)
    if options.out:
        Path(options.out).write_text(page + "\n")


def measure(name: str, options: Options) -> dict[str, Any]:
    """The median seconds of a round in this process, and the exchanges of its program."""
    from gan_jax import parallel
    from gan_jax.planning.hlo import collectives

    if options.hosts:
        parallel.join(options.hosts)
    played = GAMES[name]
    timed = project(played, played.batch_size, devices=0)  # all
    seconds = []
    for _ in range(3 + options.rounds):
        before = time.perf_counter()
        timed.play()
        seconds.append(time.perf_counter() - before)
    program = timed.executable.as_text() if timed.executable else None
    exchanges = collectives(program or "").values()
    return {
        "seconds": statistics.median(seconds[3:]),
        "exchanges": sum(count for count, _ in exchanges),
        "bytes": sum(size for _, size in exchanges),
    }


def measure_case(name: str, rounds: int) -> list[dict[str, Any]]:
    """Measure a case on each of `SPLITS`."""
    found = []
    for processes, devices in SPLITS:
        print(f"{name}: {processes} processes of {devices} devices", file=sys.stderr, flush=True)
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"localhost:{free.getsockname()[1]}"
        hosts = [f"{address},{processes},{i}" if processes > 1 else "" for i in range(processes)]
        flags = ("--rounds", str(rounds), "--hosts")
        facts = _processes([[name, *flags, each] for each in hosts], devices)
        found.append({"processes": processes, "devices": processes * devices, **facts})
    return found


def _processes(commands: Sequence[Sequence[str]], devices: int) -> dict[str, Any]:
    """Run processes at the same time, and read the JSON that the first one prints last."""
    environment = table.environment_of(JAX_PLATFORMS="cpu", JAX_NUM_CPU_DEVICES=str(devices))
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.scaling", *command], env=environment, **pipes
        )
        for command in commands
    ]
    ended = [(process, *process.communicate()) for process in started]
    for process, _, words in ended:
        if process.returncode:
            raise UserError(f"{commands[0]} ended: {' '.join(words.split())[-500:]}")
    return json.loads(ended[0][1].splitlines()[-1])


def markdown(found: dict[str, list[dict[str, Any]]]) -> str:
    """The page."""
    where = table.machine()
    head = ("case", "processes", "devices", "rounds/s", "time / that of one device")
    rows = [
        (
            *(name, str(row["processes"]), str(row["devices"]), f"{1.0 / row['seconds']:.3g}"),
            f"{row['seconds'] / rows[0]['seconds']:.2f}",
            str(row["exchanges"]),
            f"{row['bytes'] / 2**20:.1f}",
        )
        for name, rows in found.items()
        for row in rows
    ]
    return "\n".join(
        [
            "# Several devices on one machine",
            "",
            f"Written by `python -m benchmarks.scaling` on {where['date']}: {where['processor']}, "
            f"{where['cores']} cores, jax {where['jax']}.",
            "",
            ABOUT,
            "",
            *table.lines((*head, "exchanges", "MiB exchanged"), rows),
        ]
    )


if __name__ == "__main__":
    cli.run(main)
