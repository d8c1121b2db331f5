"""Check, time and use the accelerator of this machine; `scripts/accelerator.sh` calls it.

python scripts/accelerator.py                      # at most 8 minutes
python scripts/accelerator.py --minutes 20 --recipe stylegan2:avatars --out runs/h100
python scripts/accelerator.py --stages agree       # one stage alone
JAX_PLATFORMS=cpu python scripts/accelerator.py --tiny True     # a rehearsal on the CPU

agree: losses and gradients of every kind of game are compared with those of the CPU.
speed: the cases of the benchmark are timed beside PyTorch, eager and compiled.
train: a recipe is trained in the time that is left, and its last grid of samples is kept.

Nothing is downloaded. Results are printed as they come and kept in --out: report.json, report.md
and grid.png. A stage that fails leaves the others alone. Ends with 1 where a game disagrees with
the CPU or a stage failed; what there was no time for is said, and is no failure.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

from benchmarks import accelerator_report, flagship, games
from benchmarks.cases import CASES, GAMES
from benchmarks.jobs import NO_TIME, Found, Job, Runner

from gan_jax import config
from gan_jax.commands import cli
from gan_jax.errors import UserError, nearest

TINY_GAMES, TINY_CASES = ("gan", "dcgan", "vae"), ("gan_mlp",)
STAGES = ("agree", "speed", "train")
SHARES = {"agree": 0.25, "speed": 0.65, "train": 1.0}
"""Of the time that is left when a stage begins, how much it may take; the last one all."""
CLOSING = 30.0  # s at the end, for processes that do not end at once, and the report


@dataclasses.dataclass(frozen=True)
class Options:
    """What to do, and for how long."""

    minutes: float = 8.0
    """Of everything together."""
    stages: tuple[Literal["agree", "speed", "train"], ...] = STAGES
    """Which stages."""
    out: str = "runs/accelerator"
    """The folder of the report, which is written anew."""
    cases: tuple[str, ...] = tuple(GAMES)
    """Of `speed`: which cases, in their order."""
    batch_scale: int = 1
    """Of `speed`: how often a case's own batch."""
    recipe: str = "dcgan:quickstart"
    """Of `train`: what; its data must be here."""
    together: int = 0
    """Processes that run at the same time; by default half as many as there are cores where the
    accelerator is a GPU, otherwise one."""
    tiny: bool = False
    """Few games, one small case, two rounds: does it run here?"""
    began: float = 0.0
    """When the minutes began, in seconds since 1970; by default now."""


@dataclasses.dataclass
class Session:
    """What the stages share: the options, the runner, the deadline, and what was found."""

    options: Options
    runner: Runner
    deadline: float
    found: Found

    def stage(self, name: str) -> float:
        """Begin a stage and return its deadline."""
        share = 1.0 if name == self.options.stages[-1] else SHARES[name]
        seconds = share * max(0.0, self.deadline - time.monotonic())
        print(f"\n{name}: at most {seconds:.0f} s", flush=True)
        self.found[name] = {"rows": [], "failed": {}}
        return time.monotonic() + seconds

    def row(self, name: str, row: Found) -> None:
        """Print a result of a stage, and keep it."""
        self.found[name]["rows"].append(row)
        print(accelerator_report.line(name, row), flush=True)
        self.write()

    def fail(self, name: str, what: str, why: str) -> None:
        """Print why something was not done, and keep it."""
        self.found[name]["failed"][what] = why
        print(f"{name:6} {what}: {why}", flush=True)
        self.write()

    def write(self) -> None:
        """Write the report as far as it is known."""
        out = self.runner.out
        (out / "report.json").write_text(json.dumps(self.found, indent=1) + "\n")
        (out / "report.md").write_text(accelerator_report.markdown(self.found) + "\n")


def main() -> None:
    """Run the stages, and end with 1 where something is wrong."""
    options = checked(cli.parse(Options(), sys.argv[1:]))
    out = cli.writable(Path(options.out) / "report.md").parent
    out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60.0 * options.minutes - spent(options) - CLOSING
    runner = Runner(out, {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"})
    device = find_device(runner, deadline)
    print(accelerator_report.about(device), flush=True)
    session = Session(options, runner, deadline, {"device": device, "minutes": options.minutes})
    for name in options.stages:
        before = time.monotonic()
        until = session.stage(name)
        try:
            {"agree": agree, "speed": speed, "train": train}[name](session, until)
        except Exception as error:  # of this stage: the others are still run
            session.fail(name, "the stage", f"{type(error).__name__}: {error}")
        session.found[name]["seconds"] = time.monotonic() - before
    session.write()
    print(f"\n{accelerator_report.summary(session.found)}")
    print(f"report: {out / 'report.md'}; logs: {out / 'logs'}")
    sys.exit(1 if accelerator_report.wrong(session.found) else 0)


def checked(options: Options) -> Options:
    """Check the options and fill in what follows from others. Raises UserError."""
    for case in options.cases:
        if case not in GAMES:
            why = "has no twin that trains" if case in CASES else "is none"
            raise UserError(f"--cases {case} {why}; did you mean {nearest(case, GAMES)}?")
    if options.minutes * 60.0 - spent(options) <= CLOSING:
        least = (CLOSING + spent(options)) / 60.0
        raise UserError(f"--minutes {options.minutes:g}: more than {least:.1f} are needed")
    if options.batch_scale < 1 or options.together < 0:
        raise UserError("--batch_scale must be at least 1, --together at least 0")
    if "train" in options.stages:
        cli.require_data(config.recipe(options.recipe))
    if options.tiny:
        options = dataclasses.replace(options, cases=TINY_CASES)
    return options


def spent(options: Options) -> float:
    """Seconds of the minutes that are over, the installation's above all."""
    return max(0.0, time.time() - options.began) if options.began else 0.0


def find_device(runner: Runner, deadline: float) -> Found:
    """What the processes of the stages will find. Raises UserError where JAX finds nothing."""
    found: list[Found] = []
    why = runner.run(Job("device", ("-m", "benchmarks.device")), deadline, found.append)
    if not found:
        raise UserError(f"JAX finds no device: {why}; see {runner.out / 'logs' / 'device.log'}")
    return found[-1]


def together(session: Session) -> int:
    """How many processes may use the device at once; a TPU lets one in."""
    if session.options.together:
        return session.options.together
    on_gpu = session.found["device"]["platform"] == "gpu"
    return max(1, len(os.sched_getaffinity(0)) // 2) if on_gpu else 1


def agree(session: Session, deadline: float) -> None:
    """Compare the games with the CPU, in a few processes with their share of them."""
    names = TINY_GAMES if session.options.tiny else tuple(games.GAMES)
    count = min(together(session), len(names))
    shares = [names[number::count] for number in range(count)]
    jobs = [
        Job(f"agree-{number}", ("-m", "benchmarks.agreement", *share))
        for number, share in enumerate(shares)
    ]

    def tell(row: Found) -> None:
        if "failed" in row:
            session.fail("agree", row["game"], row["failed"])
        else:
            session.row("agree", row)

    def failed(job: Job, why: str) -> None:
        if why != NO_TIME:  # which games had none is said below
            session.fail("agree", job.name, why)

    session.runner.run_all(jobs, deadline, tell, failed, count)
    stage = session.found["agree"]
    done = {row["game"] for row in stage["rows"]}
    missing = [game for game in names if game not in done and game not in stage["failed"]]
    if missing:
        session.fail("agree", "not compared", ", ".join(missing))


def speed(session: Session, deadline: float) -> None:
    """Time the cases, a process for each side of each case."""
    options, device = session.options, session.found["device"]
    theirs, slow = device["torch_device"], device["platform"] == "cpu"
    sides = ["project", "compiled", "eager"]
    if not theirs or (theirs == "cpu" and not slow):
        sides = sides[:1]
        why = "is missing" if not theirs else f"has no {device['platform']} here"
        session.fail("speed", "PyTorch", why)
    precisions = ("float32",) if slow and not options.tiny else ("bfloat16", "float32")
    lock = session.runner.out / "logs" / "lock"
    jobs = []
    for precision in precisions:
        for case in options.cases:
            size = 8 if options.tiny else CASES[case].batch_size * options.batch_scale
            flags = ["--precision", precision, "--batch_size", str(size), "--lock", str(lock)]
            flags += ["--seconds", "0.05" if options.tiny else "1.0", "--device", theirs or "cpu"]
            for side in sides:
                arguments = ("-m", "benchmarks.speed", case, "--side", side, *flags)
                jobs.append(Job(f"{case}-{side}-{precision}", arguments))
    session.runner.run_all(
        jobs,
        deadline,
        lambda row: session.row("speed", row),
        lambda job, why: session.fail("speed", job.name, why),
        together(session),
    )


def train(session: Session, deadline: float) -> None:
    """Train the recipe until it is done or the time is over."""
    options, out = session.options, session.runner.out
    flags = ["--tiny", "True"] if options.tiny else []
    job = flagship.job(options.recipe, out, flags)
    why = session.runner._replace(variables={}).run(job, deadline, lambda _: None)
    row: dict[str, Any] = flagship.found(options.recipe, out)
    if row["grid"]:
        session.row("train", {**row, "ended": why or "the recipe is done"})
    if (why and why != NO_TIME) or not row["grid"]:
        session.fail("train", options.recipe, why or "there is no grid")


if __name__ == "__main__":
    cli.run(main)
