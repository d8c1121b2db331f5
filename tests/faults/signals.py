"""Faults: signals at chosen moments of a run."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from faults.harness import TRAIN, Harness, Outcome, Verdict
from gan_jax import config
from gan_jax.build import schedule

PHASES = ("start", "compile", "round", "evaluation", "checkpoint", "report", "anywhere")
WAIT = {"start": 2.0, "compile": 1.0}  # longest delay of the signal after the phase starts, s


def kill(harness: Harness) -> Verdict:
    """Send SIGKILL while a run starts, compiles, trains, evaluates, saves, reports, or anytime."""
    return _interrupt(harness, signal.SIGKILL, (-signal.SIGKILL,))


def terminate(harness: Harness) -> Verdict:
    """Send SIGTERM in the same phases: the run saves a checkpoint and ends with code 143."""
    return _interrupt(harness, signal.SIGTERM, (143, -signal.SIGTERM))


def _interrupt(harness: Harness, number: int, codes: tuple[int, ...]) -> Verdict:
    """Send signal `number` in every phase, `kills` times each, and resume after each.

    `codes` are the exit codes with which an interrupted run may end.
    """
    workdir = harness.folder / signal.Signals(number).name.lower()
    counts = dict.fromkeys(PHASES, 0)
    patience = 10 * harness.kills * len(PHASES)
    while min(counts.values()) < harness.kills:
        wanted = min(PHASES, key=counts.__getitem__)
        patience -= 1
        if not patience:
            return Verdict(False, f"phase {wanted!r} was never reached")
        began = time.time()
        command = [sys.executable, str(TRAIN), *harness.words(workdir)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            reached = _await(run, workdir, wanted, began, harness)
            if reached:
                run.send_signal(number)
            error = run.communicate()[1].decode()
        if run.returncode == 0:  # it finished before the signal: start a new run
            shutil.rmtree(workdir)
        elif run.returncode not in codes:
            line = Outcome(run.returncode, error).last_line
            return Verdict(False, f"exit code {run.returncode} in phase {wanted!r}: {line}")
        else:
            counts[wanted] += reached
    done = ", ".join(f"{count} {name}" for name, count in counts.items())
    return harness.resume(workdir, f"no bit lost ({done})")


def _await(
    run: subprocess.Popen[bytes], workdir: Path, wanted: str, began: float, harness: Harness
) -> bool:
    """Wait until a run is in a phase, then for a random time; return whether it still runs."""
    longest = harness.longest if wanted == "anywhere" else WAIT.get(wanted, 0.002)
    if wanted not in ("anywhere", "start"):
        while phase(workdir, began) != wanted:
            if run.poll() is not None:
                return False
            time.sleep(0.0005)
    time.sleep(harness.random.uniform(0.0, longest))
    return run.poll() is None


def phase(workdir: Path, began: float) -> str:
    """Infer the phase of a run that started at time `began` from the files it has written."""

    def written(name: str) -> float:
        with contextlib.suppress(OSError):
            return (workdir / name).stat().st_mtime
        return 0.0

    if min(written("config.json"), written("metrics.jsonl")) < began:
        return "start"
    with contextlib.suppress(OSError, ValueError, IndexError):
        last = json.loads((workdir / "metrics.jsonl").read_bytes().split(b"\n")[-2])
        if "event" in last:
            return "compile"
        if any(name.endswith("/loss") for name in last):
            experiment = config.from_dict(
                json.loads((workdir / "config.json").read_bytes())["experiment"]
            )
            stages = schedule.stages(experiment)
            scored = schedule.due(stages, experiment.run.evaluate_kimg, last["step"])
            return "evaluation" if scored else "round"
        writing = any((workdir / "checkpoints").glob("*tmp*"))
        late = written("report.html") < written("metrics.jsonl")
        return "report" if writing and late else "checkpoint" if late or writing else "round"
    return "compile"
