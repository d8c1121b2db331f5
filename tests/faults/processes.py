"""Faults: a second process in the same directory, and a system clock that goes back."""

import itertools
import signal
import subprocess
import sys
import time

from faults.comparison import all_rows
from faults.harness import TRAIN, Harness, Outcome, Verdict, refused


def two_processes(harness: Harness) -> Verdict:
    """Train in one directory with two processes: the second is refused, the first continues."""
    workdir = harness.folder / "two_processes"
    command = [sys.executable, str(TRAIN), *harness.words(workdir)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        while not (workdir / "config.json").exists() and first.poll() is None:
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)  # or it might finish before the second process starts
        verdict = refused(harness.train(workdir), "in use by another process")
        first.send_signal(signal.SIGCONT)
    return harness.resume(workdir, verdict.line) if verdict.passed else verdict


BACKWARDS = """
import runpy, sys, time
now, calls = time.time, iter(range(10**9))
time.time = lambda: now() - 86400.0 * (next(calls) > 100)
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def clock(harness: Harness) -> Verdict:
    """Set the clock back by a day while the run trains."""
    workdir = harness.folder / "clock"
    command = [sys.executable, "-c", BACKWARDS, str(TRAIN), *harness.words(workdir)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return Verdict(False, Outcome(done.returncode, done.stderr).last_line)
    times = [row["time"] for row in all_rows(workdir)]
    if min(b - a for a, b in itertools.pairwise(times)) > -80_000:
        return Verdict(None, "the clock did not jump within the rounds of this recipe")
    if not (workdir / "report.html").exists():
        return Verdict(False, "report.html is missing")
    return harness.resume(workdir, "rows in order, a report, no bit lost")
