"""Does to a run what happens to runs, and shows what its user is told.

python scripts/torture.py --list
python scripts/torture.py experiments/gan.py:ring8 --workdir runs/torture
python scripts/torture.py experiments/dcgan.py:quickstart --faults kill --kills 20 -- --run.kimg 2

One run is left alone. Others of the same recipe suffer a fault each, and then the same command goes
on: every leaf of their states must agree with the first's in every bit, and so must their metrics.
What cannot go on must say why in one line and end with exit code 2.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cli
from PIL import Image

from gan_jax import config
from gan_jax.build import schedule
from gan_jax.errors import UserError, nearest
from gan_jax.progress import clock as timed

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "scripts" / "train.py"
QUICK = (  # without flags of one's own: fifty rounds that do everything often
    *("--batch-size", "8", "--run.kimg", "0.4", "--run.log-every", "1", "--run.devices", "1"),
    *("--run.checkpoint-kimg", "0.08", "--run.sample-kimg", "0.08", "--run.evaluate-kimg", "0.16"),
)


@dataclasses.dataclass(frozen=True)
class Options:
    """How to torment a recipe; flags after `--` go to train.py."""

    workdir: str = "runs/torture"
    faults: tuple[str, ...] = ()
    """Names of `--list`; all of them by default."""
    kills: int = 2
    """Of each kind in each phase of a run."""
    longest: float = 10.0
    """Seconds: the kills at any instant fall uniformly before this."""
    seed: int = 0
    """Of the instants and the damages."""


class Ended(NamedTuple):
    """How a process ended, and all that it printed."""

    code: int
    said: str

    @property
    def line(self) -> str:
        """Its last line: what the user reads."""
        lines = [line for line in self.said.strip().splitlines() if line.strip()]
        return lines[-1] if lines else ""


class Verdict(NamedTuple):
    """Whether a fault did no harm, None where it cannot be tried here; the line shown."""

    passed: bool | None
    line: str


class Bench(NamedTuple):
    """What faults are tried on: a recipe with its flags, a folder, what runs train.py with words.

    `random` draws instants and damages.
    """

    recipe: str
    flags: tuple[str, ...]
    folder: Path
    options: Options
    run: Callable[[list[str]], Ended]
    random: random.Random

    def words(self, workdir: Path, *more: str) -> list[str]:
        """The command line of a run."""
        return [self.recipe, *self.flags, *more, "--workdir", str(workdir)]

    def train(self, workdir: Path, *more: str) -> Ended:
        """The same command, to its end."""
        return self.run(self.words(workdir, *more))

    def alone(self) -> Path:
        """The run that nothing disturbs; made when it is first asked for."""
        workdir = self.folder / "alone"
        if not workdir.exists():
            ended = self.train(workdir)
            if ended.code:
                raise UserError(f"the undisturbed run itself failed: {ended.line}")
        return workdir

    def copy(self, name: str) -> Path:
        """A copy of the finished undisturbed run, to be damaged."""
        return Path(shutil.copytree(self.alone(), self.folder / name))

    def judge(self, workdir: Path, line: str) -> Verdict:
        """Lets the same command go on, and compares what comes out."""
        ended = self.train(workdir)
        if ended.code:
            return Verdict(False, f"did not go on, exit code {ended.code}: {ended.line}")
        differing = compare(self.alone(), workdir)
        return Verdict(not differing, f"DIFFERS {differing[0]}" if differing else line)


def refused(ended: Ended, *words: str) -> Verdict:
    """Whether a run ended with code 2 and one line that has all the words."""
    fits = ended.code == 2 and all(word in ended.line for word in words)
    trace = "Traceback" in ended.said
    return Verdict(
        fits and not trace, ended.line if fits else f"exit code {ended.code}: {ended.line}"
    )


def spawned(words: list[str], first: Callable[[], None] | None = None) -> Ended:
    """Runs train.py in a process of its own, which begins by calling `first`."""
    command = [sys.executable, str(TRAIN), *words]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=first)
    return Ended(done.returncode, done.stdout + done.stderr)


# --- signals --------------------------------------------------------------------------------------

PHASES = ("start", "compile", "round", "evaluation", "checkpoint", "report", "anywhere")
WAIT = {"start": 2.0, "compile": 1.0}  # seconds at most from a phase's beginning to the signal


def kill(bench: Bench) -> Verdict:
    """SIGKILL while a run starts, compiles, plays, evaluates, saves, reports, and anywhere."""
    return _interrupt(bench, signal.SIGKILL, (-signal.SIGKILL,))


def terminate(bench: Bench) -> Verdict:
    """SIGTERM in the same phases: the run saves its round and ends with 143."""
    return _interrupt(bench, signal.SIGTERM, (143, -signal.SIGTERM))


def _interrupt(bench: Bench, number: int, codes: tuple[int, ...]) -> Verdict:
    workdir = bench.folder / signal.Signals(number).name.lower()
    counts = dict.fromkeys(PHASES, 0)
    patience = 10 * bench.options.kills * len(PHASES)
    while (wanted := min(PHASES, key=lambda one: counts[one])) and counts[wanted] < (
        bench.options.kills
    ):
        patience -= 1
        if not patience:
            return Verdict(False, f"phase {wanted!r} was never met")
        began = time.time()
        command = [sys.executable, str(TRAIN), *bench.words(workdir)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            met = _await(run, workdir, wanted, began, bench)
            if met:
                run.send_signal(number)
            said = run.communicate()[1].decode()
        if run.returncode == 0:  # it ended before: from the beginning, for a worse instant
            shutil.rmtree(workdir)
        elif run.returncode not in codes:
            line = Ended(run.returncode, said).line
            return Verdict(False, f"exit code {run.returncode} in phase {wanted!r}: {line}")
        else:
            counts[wanted] += met
    done = ", ".join(f"{count} {name}" for name, count in counts.items())
    return bench.judge(workdir, f"no bit lost ({done})")


def _await(run: subprocess.Popen, workdir: Path, wanted: str, began: float, bench: Bench) -> bool:
    """Waits until a run is in a phase, then for a random while; whether it still runs."""
    longest = bench.options.longest if wanted == "anywhere" else WAIT.get(wanted, 0.002)
    if wanted not in ("anywhere", "start"):
        while phase(workdir, began) != wanted:
            if run.poll() is not None:
                return False
            time.sleep(0.0005)
    time.sleep(bench.random.uniform(0.0, longest))
    return run.poll() is None


def phase(workdir: Path, began: float) -> str:
    """What a run that began at that time is doing, by what it has written."""

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


# --- the disk -------------------------------------------------------------------------------------


def disk_full(bench: Bench) -> Verdict:
    """No room at all sorts of moments; with room again the same command goes on."""
    whole = sum(file.stat().st_size for file in bench.alone().rglob("*") if file.is_file())
    workdir, line = bench.folder / "disk_full", ""
    workdir.mkdir()
    for share in (0.2, 0.4, 0.6, 0.8):
        if not _mount("-t", "tmpfs", "-o", f"size={int(share * whole)}", "tmpfs", str(workdir)):
            shutil.rmtree(workdir)
            return Verdict(None, "may not mount a file system here; see quota")
        try:
            verdict = refused(bench.train(workdir / "run"), "cannot write", "No space left")
            line = f"{verdict.line} [at {share:.0%} of a run's size, in a mounted tmpfs]"
            if not verdict.passed:
                return verdict._replace(line=line)
            _mount("-o", "remount,size=1G", str(workdir))
            verdict = bench.judge(workdir / "run", line)
            if not verdict.passed:
                return verdict
        finally:
            subprocess.run(["umount", str(workdir)], check=True)
    return Verdict(True, line)


def quota(bench: Bench) -> Verdict:
    """Room on the disk, yet no file may grow beyond a size: found in the middle of a write."""
    sizes = [file.stat().st_size for file in bench.alone().rglob("*") if file.is_file()]
    workdir, line = bench.folder / "quota", ""
    for share in (0.1, 0.5):
        limit = int(share * max(sizes))
        ended = spawned(
            bench.words(workdir),
            lambda n=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (n, n)),
        )
        verdict = refused(ended, "cannot write")
        if not verdict.passed:
            return verdict
        line = f"{verdict.line} [files of at most {limit} bytes]"
    return bench.judge(workdir, line)


def read_only(bench: Bench) -> Verdict:
    """A workdir that cannot be written."""
    workdir = bench.folder / "read_only"
    workdir.mkdir()
    if os.geteuid():
        workdir.chmod(0o500)
        try:
            verdict = refused(bench.train(workdir), "cannot write", "Permission denied")
        finally:
            workdir.chmod(0o700)
        return verdict
    if not _mount("--bind", str(workdir), str(workdir)):
        return Verdict(None, "root ignores modes, and this one may not mount")
    try:
        _mount("-o", "remount,ro,bind", str(workdir))
        verdict = refused(bench.train(workdir), "cannot write", "Read-only")
        return verdict._replace(line=f"{verdict.line} [mounted read-only: root ignores modes]")
    finally:
        subprocess.run(["umount", str(workdir)], check=True)


def file_for_folder(bench: Bench) -> Verdict:
    """Files of the names of folders that a run makes."""
    verdict = Verdict(False, "")
    for name in ("checkpoints", "samples"):
        workdir = bench.folder / f"file_for_{name}"
        workdir.mkdir()
        (workdir / name).touch()
        verdict = refused(bench.train(workdir), "cannot write", name)
        if not verdict.passed:
            return verdict
    return verdict


def _mount(*words: str) -> bool:
    """Mounts as asked; False where the system does not let this process do so."""
    try:
        return not subprocess.run(["mount", *words], capture_output=True).returncode
    except OSError:
        return False


# --- what lies in the workdir ---------------------------------------------------------------------

Damage = Callable[[bytes, random.Random], bytes]


def _flipped(data: bytes, chance: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(1 + len(data) // 100):
        spoilt[chance.randrange(len(data))] ^= 1 + chance.randrange(255)
    return bytes(spoilt)


DAMAGES: dict[str, Damage] = {
    "emptied": lambda data, chance: b"",
    "cut in half": lambda data, chance: data[: len(data) // 2],
    "zeros": lambda data, chance: bytes(len(data)),
    "wrong bytes": _flipped,
}


def damaged_checkpoint(bench: Bench) -> Verdict:
    """The newest checkpoint's files emptied, cut, zeroed, altered, lost: the one before serves."""
    line = ""
    for damage in (*DAMAGES, "lost"):
        workdir = bench.copy(f"checkpoint_{damage.replace(' ', '_')}")
        newest = max(_steps(workdir))
        for file in (workdir / "checkpoints" / str(newest)).rglob("*"):
            if damage == "lost" and file.is_file():
                file.unlink()
            elif file.is_file() and (data := file.read_bytes()):
                file.write_bytes(DAMAGES[damage](data, bench.random))
        ended = bench.train(workdir)
        told = [one for one in ended.said.splitlines() if f"checkpoint {newest}" in one]
        if ended.code or not told:
            return Verdict(False, f"{damage}: exit code {ended.code}: {ended.line}")
        line = told[0]
        differing = compare(bench.alone(), workdir)
        if differing:
            return Verdict(False, f"{damage}: DIFFERS {differing[0]}")
    return Verdict(True, line)


def no_checkpoint_left(bench: Bench) -> Verdict:
    """All checkpoints emptied: refused, for nothing may be begun anew in silence."""
    workdir = bench.copy("no_checkpoint_left")
    for file in (workdir / "checkpoints").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    return refused(bench.train(workdir), "no readable checkpoint")


def _steps(workdir: Path) -> list[int]:
    return [int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()]


def torn_metrics(bench: Bench) -> Verdict:
    """metrics.jsonl cut at any byte: the run goes on, and the rows that are left agree."""
    for number in range(3):
        workdir = bench.copy(f"torn_metrics{number}")
        shutil.rmtree(workdir / "checkpoints" / str(max(_steps(workdir))))
        path = workdir / "metrics.jsonl"
        data = path.read_bytes()
        path.write_bytes(data[: bench.random.randrange(1, len(data))])
        ended = bench.train(workdir)
        if ended.code:
            return Verdict(False, f"exit code {ended.code}: {ended.line}")
        rows, whole = _rows(workdir), _rows(bench.alone())
        said = any("has no rows of rounds" in row.get("event", "") for row in _all_rows(workdir))
        if len(rows) < len(whole) and not said:
            return Verdict(False, "rows were lost and nothing was said of it")
        strange = [row for row in rows if row not in whole]
        differing = [one for one in compare(bench.alone(), workdir) if "metrics" not in one]
        if strange or differing:
            return Verdict(False, f"DIFFERS {strange[0] if strange else differing[0]}")
    return Verdict(True, "the state lost nothing; rows up to the cut and after the checkpoint")


def spoilt_metrics(bench: Bench) -> Verdict:
    """A line in the middle of metrics.jsonl is no JSON: refused with its number."""
    workdir = bench.copy("spoilt_metrics")
    path = workdir / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b'{"step": ', *lines[2:]]))
    return refused(bench.train(workdir), "metrics.jsonl, line 2")


def spoilt_config(bench: Bench) -> Verdict:
    """config.json cut in half, and of a version to come: refused by its name or its field."""
    workdir = bench.copy("spoilt_config")
    path = workdir / "config.json"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    verdict = refused(bench.train(workdir), "config.json")
    content = json.loads(data)
    content["experiment"]["game"]["invented_later"] = 1
    path.write_text(json.dumps(content))
    newer = refused(bench.train(workdir), "invented_later")
    return newer if verdict.passed else verdict


def older_version(bench: Bench) -> Verdict:
    """A config.json without fields added since goes on; a checkpoint of another tree is refused."""
    from gan_jax.training import checkpoint, run_dir

    workdir = bench.copy("older_version")
    path = workdir / "config.json"
    content = json.loads(path.read_bytes())
    for part, field in (("data", "jitter"), ("run", "backend"), ("generator", "decay")):
        content["experiment"][part].pop(field)
    path.write_text(json.dumps(content))
    verdict = bench.judge(workdir, "")
    if not verdict.passed:
        return verdict
    built, step, state = run_dir.load(workdir)
    shutil.rmtree(workdir / "checkpoints")
    manager = run_dir.open_checkpoints(workdir, built)
    checkpoint.save(manager, step, {"step": state.step, "params": state.params})
    manager.close()
    return refused(bench.train(workdir), f"checkpoint {step}", "another game")


def other_game(bench: Bench) -> Verdict:
    """Another configuration is refused by its fields, another game's checkpoint by its tree."""
    workdir = bench.copy("other_game")
    more = ("--game.z", "7")
    verdict = refused(bench.train(workdir, *more), "game.z")
    other = refused(bench.train(workdir, *more, "--allow-change", "True"), "another game")
    return other if verdict.passed else verdict


def changed_data(bench: Bench) -> Verdict:
    """A picture of the data folder changes between two resumes; put back, the run goes on."""
    pictures = bench.folder / "pictures"
    pictures.mkdir()
    for number in range(16):
        noise = Image.frombytes("L", (8, 8), bench.random.randbytes(64))
        noise.save(pictures / f"{number}.png")
    recipe = f"{ROOT}/experiments/dcgan.py:folder"
    size = ("--data.resolution", "8", "--data.channels", "1", "--generator.network.width", "2")
    size += ("--discriminator.network.width", "2", "--game.z", "4", "--run.metrics")
    flags = (*QUICK, "--run.kimg", "0.016", *size)
    experiment = bench._replace(recipe=recipe, flags=flags)
    workdir, first = bench.folder / "changed_data", pictures / "0.png"
    words = ("--data.path", str(pictures))
    ended = experiment.train(workdir, *words)
    if ended.code:
        return Verdict(False, ended.line)
    before = first.read_bytes()
    Image.new("L", (8, 8), 255).save(first)
    verdict = refused(experiment.train(workdir, *words), "content of data set")
    first.write_bytes(before)
    ended = experiment.train(workdir, *words)
    return verdict if ended.code == 0 else Verdict(False, f"put back: {ended.line}")


# --- other processes, other clocks ----------------------------------------------------------------


def two_processes(bench: Bench) -> Verdict:
    """Two processes train in one workdir: the second is refused, the first goes on."""
    workdir = bench.folder / "two_processes"
    command = [sys.executable, str(TRAIN), *bench.words(workdir)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        while not (workdir / "config.json").exists() and first.poll() is None:
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)  # so that it does not end before the second has begun
        verdict = refused(bench.train(workdir), "in use by another process")
        first.send_signal(signal.SIGCONT)
    return bench.judge(workdir, verdict.line) if verdict.passed else verdict


BACKWARDS = """
import runpy, sys, time
now, calls = time.time, iter(range(10**9))
time.time = lambda: now() - 86400.0 * (next(calls) > 100)
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def clock(bench: Bench) -> Verdict:
    """The clock goes back by a day while the run plays."""
    workdir = bench.folder / "clock"
    command = [sys.executable, "-c", BACKWARDS, str(TRAIN), *bench.words(workdir)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return Verdict(False, Ended(done.returncode, done.stderr).line)
    times = [row["time"] for row in _all_rows(workdir)]
    if min(b - a for a, b in itertools.pairwise(times)) > -80_000:
        return Verdict(None, "the clock did not jump within the rounds of this recipe")
    if not (workdir / "report.html").exists():
        return Verdict(False, "there is no report")
    return bench.judge(workdir, "rows in their order, a report, the same bits")


FAULTS: dict[str, Callable[[Bench], Verdict]] = {
    one.__name__: one
    for one in (
        *(kill, terminate, disk_full, quota, read_only, file_for_folder, damaged_checkpoint),
        *(no_checkpoint_left, torn_metrics, spoilt_metrics, spoilt_config, older_version),
        *(other_game, changed_data, two_processes, clock),
    )
}


# --- the comparison -------------------------------------------------------------------------------


def compare(a: Path, b: Path) -> list[str]:
    """What differs between two finished runs: leaves of the state, rows of the metrics."""
    import jax
    import numpy as np

    from gan_jax.reporting import run_log
    from gan_jax.training import run_dir

    states = [run_dir.load(workdir)[1:] for workdir in (a, b)]
    trees = [
        {jax.tree_util.keystr(p): np.asarray(x) for p, x in jax.tree.leaves_with_path(state)}
        for _, state in states
    ]
    differing = [f"round {states[0][0]} and {states[1][0]}"] if states[0][0] != states[1][0] else []
    differing += [n for n in trees[0] if trees[0][n].tobytes() != trees[1][n].tobytes()]
    rows = [_rows(workdir) for workdir in (a, b)]
    if rows[0] != rows[1]:
        differing.append(f"{run_log.METRICS}: {len(rows[0])} rows and {len(rows[1])}")
    return differing


def _all_rows(workdir: Path) -> list[dict]:
    from gan_jax.reporting import run_log

    return run_log.read_metrics(workdir / run_log.METRICS)


def _rows(workdir: Path) -> list[dict]:
    """The rows of a run without its events and what depends on the clock."""
    return [
        {k: v for k, v in row.items() if k not in ("time", "images_per_second")}
        for row in _all_rows(workdir)
        if "event" not in row
    ]


# --- the command ----------------------------------------------------------------------------------


def main() -> None:
    """Tries the faults, prints a table, exits with 1 if one of them did harm."""
    words = sys.argv[1:] or ["--help"]
    if words[0] == "--list":
        for name, fault in FAULTS.items():
            print(f"{name:20} {(fault.__doc__ or '').strip().splitlines()[0]}")
        return
    split = words.index("--") if "--" in words else len(words)
    where, flags, extra = words[0], words[1:split], words[split + 1 :]
    if where.startswith("-"):
        print(__doc__)
        where, flags = "RECIPE", ["--help"]
    options = cli.parse(Options, Options(), flags, f"torture.py {where}")
    for name in options.faults:
        if name not in FAULTS:
            raise UserError(f"no fault {name!r}; did you mean {nearest(name, FAULTS)}?")
    folder = Path(options.workdir).absolute()
    if folder.exists():
        raise UserError(f"{folder} exists: the proof needs an empty directory")
    folder.mkdir(parents=True)
    chance = random.Random(options.seed)
    bench = Bench(where, tuple(extra) or QUICK, folder, options, spawned, chance)
    harm = 0
    for name, verdict, seconds in _tried(bench, options.faults or tuple(FAULTS)):
        result = {True: "passed", False: "FAILED", None: "skipped"}[verdict.passed]
        print(f"{result:8}{name:20}{seconds:5.0f} s  {verdict.line}", flush=True)
        harm += verdict.passed is False
    if harm:
        sys.exit(1)


def _tried(bench: Bench, names: tuple[str, ...]) -> Iterator[tuple[str, Verdict, float]]:
    with timed(f"training {bench.recipe} without a fault, for comparison", delay=0.0):
        bench.alone()
    for number, name in enumerate(names, 1):
        began = time.monotonic()
        with timed(f"{name} ({number} of {len(names)})"):
            verdict = FAULTS[name](bench)
        yield name, verdict, time.monotonic() - began


if __name__ == "__main__":
    cli.run(main)
