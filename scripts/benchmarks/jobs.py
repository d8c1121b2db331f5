"""Run Python in processes of its own until a deadline, and read the JSON lines that it prints."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NamedTuple

from gan_jax.planning.isolated import reason

ROOT = Path(__file__).parents[2]
NO_TIME = "no time was left"
GRACE = 15.0  # s that a process has to end after SIGTERM
Found = dict[str, Any]


class Job(NamedTuple):
    """A process to run.

    Attributes:
        name: as the log's file and error messages have it.
        arguments: of Python.
    """

    name: str
    arguments: Sequence[str]


class Runner(NamedTuple):
    """How processes are run.

    Attributes:
        out: the folder of their logs.
        variables: environment variables beside this process's own.
    """

    out: Path
    variables: Mapping[str, str] = {}

    def run(self, job: Job, deadline: float, tell: Callable[[Found], None]) -> str:
        """Run a process and pass on each JSON object that it prints.

        Args:
            job: the process.
            deadline: of `time.monotonic`, when it is told to end; a while later it is ended.
            tell: called with each object.

        Returns:
            "" if it ended well, otherwise why it did not, in one line.
        """
        log = self.out / "logs" / f"{job.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        late = threading.Event()
        with log.open("w") as errors, self._begin(job, errors) as process:
            timer = threading.Timer(deadline - time.monotonic(), _end, (process, late))
            timer.start()
            _running.add(process)
            try:
                for found in _objects(process.stdout or ()):
                    tell(found)
                process.wait()
            finally:
                timer.cancel()
                _kill(process)
                _running.discard(process)
        if late.is_set():
            return NO_TIME
        if process.returncode:
            words = log.read_text(errors="replace")
            arguments = list(job.arguments)
            return reason(subprocess.CompletedProcess(arguments, process.returncode, "", words))
        return ""

    def _begin(self, job: Job, errors: IO[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *job.arguments],
            env=environment(self.variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )

    def run_all(
        self,
        jobs: Sequence[Job],
        deadline: float,
        tell: Callable[[Found], None],
        failed: Callable[[Job, str], None],
        together: int = 1,
    ) -> None:
        """Run processes, so many together, in their order.

        Args:
            jobs: the processes.
            deadline: as in `run`; what has not begun by then is not run.
            tell: as in `run`; never called twice at once.
            failed: called with what did not end well, and why.
            together: how many run at the same time.
        """
        turn = threading.Lock()

        def one(job: Job) -> None:
            why = NO_TIME
            if time.monotonic() < deadline:
                why = self.run(job, deadline, one_at_a_time)
            if why:
                with turn:
                    failed(job, why)

        def one_at_a_time(found: Found) -> None:
            with turn:
                tell(found)

        with ThreadPoolExecutor(together) as pool:
            try:
                for done in [pool.submit(one, job) for job in jobs]:
                    done.result()
            except BaseException:  # Ctrl-C, above all: the pool waits for what runs
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(_running):
                    _kill(process)
                raise


def _objects(lines: Iterable[str]) -> Iterator[Found]:
    """The JSON objects among the lines; others are a library's own words."""
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):
            found = json.loads(line)
            if isinstance(found, dict):
                yield found


_running: set[subprocess.Popen[str]] = set()


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process that still runs, and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[str], late: threading.Event) -> None:
    """Ask a process and all that it started to end; end it where it does not."""
    late.set()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that finds the checkout's modules, and the CPU's backend.

    Where JAX_PLATFORMS names an accelerator alone, the CPU is added to it.
    """
    folders = [str(ROOT), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]
    found = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    platforms = found.get("JAX_PLATFORMS", "")
    if platforms and "cpu" not in platforms.split(","):
        found["JAX_PLATFORMS"] = f"{platforms},cpu"
    return found
