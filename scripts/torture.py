"""Kills a training run at random instants and proves that nothing but time is lost.

python scripts/torture.py experiments/dcgan.py:quickstart --kills 20 --workdir runs/torture

One run is left alone. Another of the same recipe receives SIGKILL `--kills` times, each time
followed by the same command. At the end every leaf of the two states must agree in every bit, and
so must their metrics.
"""

import dataclasses
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cli

from gan_jax.config import UserError

TRAIN = Path(__file__).with_name("train.py")


@dataclasses.dataclass(frozen=True)
class Options:
    """How to torment a recipe; flags after `--` go to train.py."""

    workdir: str = "runs/torture"
    kills: int = 20
    longest: float = 20.0
    """Seconds: a process is killed at a uniformly random instant before this."""
    seed: int = 0
    """Of the instants."""


def main() -> None:
    """Runs both, compares them, exits with 1 if they differ."""
    words = sys.argv[1:] or ["--help"]
    split = words.index("--") if "--" in words else len(words)
    where, flags, extra = words[0], words[1:split], words[split + 1 :]
    if where.startswith("-"):
        print(__doc__)
        where, flags = "RECIPE", ["--help"]
    options = cli.parse(Options, Options(), flags, f"torture.py {where}")
    folder = Path(options.workdir)
    if folder.exists():
        raise UserError(f"{folder} exists: the proof needs an empty directory")
    command = [sys.executable, str(TRAIN), where, *extra, "--workdir"]
    started = time.monotonic()
    subprocess.run([*command, str(folder / "alone")], check=True)
    print(f"uninterrupted: {time.monotonic() - started:.0f} s")
    torment(command, folder / "killed", options)
    differing = compare(folder / "alone", folder / "killed")
    for line in differing[:20]:
        print(f"DIFFERS {line}")
    if differing:
        sys.exit(1)
    print(f"{options.kills} kills: every leaf of the state and every row of the metrics agree")


def torment(command: list[str], workdir: Path, options: Options) -> None:
    """Starts, kills and starts again until the kills are used up, then lets the run end.

    A run that ends before is begun again from nothing, in the hope of a worse instant.
    """
    instants = random.Random(options.seed)
    kills = 0
    while kills < options.kills:
        with subprocess.Popen([*command, str(workdir)], stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(timeout=instants.uniform(0.0, options.longest))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
                print(f"kill {kills}: {newest(workdir)}", flush=True)
            else:
                if process.returncode:
                    raise SystemExit(f"exit code {process.returncode} after {kills} kills")
                shutil.rmtree(workdir)
    subprocess.run([*command, str(workdir)], check=True)


def newest(workdir: Path) -> str:
    """The rounds whose checkpoints lie in a run's directory."""
    names = [path.name for path in workdir.glob("checkpoints/*")]
    steps = sorted(int(name) for name in names if name.isdigit())
    return f"checkpoints {steps}" if steps else "no checkpoint yet"


def compare(a: Path, b: Path) -> list[str]:
    """What differs between two finished runs: leaves of the state, rows of the metrics."""
    import jax
    import numpy as np

    from gan_jax.training import records, runs

    states = [runs.load(workdir)[1:] for workdir in (a, b)]
    trees = [
        {jax.tree_util.keystr(p): np.asarray(x) for p, x in jax.tree.leaves_with_path(state)}
        for _, state in states
    ]
    differing = [f"round {states[0][0]} and {states[1][0]}"] if states[0][0] != states[1][0] else []
    differing += [n for n in trees[0] if trees[0][n].tobytes() != trees[1][n].tobytes()]
    rows = [
        [
            {k: v for k, v in row.items() if k not in ("time", "images_per_second")}
            for row in records.read_metrics(workdir / records.METRICS)
            if "event" not in row
        ]
        for workdir in (a, b)
    ]
    if rows[0] != rows[1]:
        differing.append(f"{records.METRICS}: {len(rows[0])} rows and {len(rows[1])}")
    return differing


if __name__ == "__main__":
    cli.run(main)
