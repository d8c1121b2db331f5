"""What every fault needs: the recipe under test, an undisturbed run, and the check of a resume."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from faults.comparison import compare
from gan_jax.errors import UserError

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "scripts" / "train.py"
QUICK = (  # default flags: fifty rounds with frequent logs, checkpoints, samples and evaluations
    *("--batch-size", "8", "--run.kimg", "0.4", "--run.log-every", "1", "--run.devices", "1"),
    *("--run.checkpoint-kimg", "0.08", "--run.sample-kimg", "0.08", "--run.evaluate-kimg", "0.16"),
)


class Outcome(NamedTuple):
    """The exit code of a process and its output, stdout and stderr together."""

    code: int
    output: str

    @property
    def last_line(self) -> str:
        """The last line of the output that is not blank: the message that the user reads."""
        lines = [line for line in self.output.strip().splitlines() if line.strip()]
        return lines[-1] if lines else ""


class Verdict(NamedTuple):
    """The result of a fault.

    Attributes:
        passed: True where no harm was done; None where the fault cannot be tried on this machine.
        line: the explanation to print.
    """

    passed: bool | None
    line: str


class Harness(NamedTuple):
    """The recipe that faults are injected into.

    Attributes:
        recipe: FILE.py:RECIPE.
        flags: flags of train.py.
        folder: the directory that holds all runs.
        run: runs train.py with the given arguments.
        random: draws moments and damages.
        kills: signals of each kind in each phase of a run.
        longest: seconds; a signal at an arbitrary moment is sent before this.
    """

    recipe: str
    flags: tuple[str, ...]
    folder: Path
    run: Callable[[list[str]], Outcome]
    random: random.Random
    kills: int = 2
    longest: float = 10.0

    def words(self, workdir: Path, *more: str) -> list[str]:
        """The command line arguments of a run in `workdir`."""
        return [self.recipe, *self.flags, *more, "--workdir", str(workdir)]

    def train(self, workdir: Path, *more: str) -> Outcome:
        """Train in `workdir`, or resume the run there, to the end."""
        return self.run(self.words(workdir, *more))

    def baseline(self) -> Path:
        """The directory of the undisturbed run, which the first call trains."""
        workdir = self.folder / "alone"
        if not workdir.exists():
            outcome = self.train(workdir)
            if outcome.code:
                raise UserError(f"the undisturbed run itself failed: {outcome.last_line}")
        return workdir

    def copy(self, name: str) -> Path:
        """Copy the finished undisturbed run, so that a fault can damage the copy."""
        return Path(shutil.copytree(self.baseline(), self.folder / name))

    def resume(self, workdir: Path, line: str) -> Verdict:
        """Resume the run in `workdir` and compare it with the undisturbed run.

        Args:
            workdir: the directory of the interrupted run.
            line: the line of the verdict where both runs agree in every bit.
        """
        outcome = self.train(workdir)
        if outcome.code:
            failed = f"did not resume, exit code {outcome.code}: {outcome.last_line}"
            return Verdict(False, failed)
        differing = compare(self.baseline(), workdir)
        return Verdict(not differing, f"DIFFERS {differing[0]}" if differing else line)


def refused(outcome: Outcome, *words: str) -> Verdict:
    """Pass if a run ended with code 2, no traceback, and a last line that holds all `words`."""
    fits = outcome.code == 2 and all(word in outcome.last_line for word in words)
    line = outcome.last_line if fits else f"exit code {outcome.code}: {outcome.last_line}"
    return Verdict(fits and "Traceback" not in outcome.output, line)


def spawned(words: list[str], first: Callable[[], None] | None = None) -> Outcome:
    """Run train.py in a new process, which calls `first` before it starts."""
    command = [sys.executable, str(TRAIN), *words]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=first)
    return Outcome(done.returncode, done.stdout + done.stderr)
