"""A run's life: faults that cost no bit, refusals of one line, and exact resumes of every game."""

import contextlib
import functools
import io
import os
import random
import signal
import sys

import jax
import numpy as np
import pytest
import torture
from helpers.paths import ROOT

from faults import FAULTS
from faults.comparison import metric_rows
from faults.harness import Harness, Outcome
from faults.signals import phase
from gan_jax import config, parallel
from gan_jax.build.experiment import build
from gan_jax.commands import cli
from gan_jax.commands import train as script
from gan_jax.networks import conv
from gan_jax.networks.cpu import onednn
from gan_jax.reporting import records, run_log
from gan_jax.training import checkpoint, guard, loop, run_dir
from gan_jax.training.loop import train
from gan_jax.training.own import GivenGame

RING = f"{ROOT}/experiments/gan.py:ring8"
BY_PLATFORM = conv._by_platform  # before conftest puts plain convolutions in its place


# --- every game ---------------------------------------------------------------------------------

RECIPES = (  # one of every game, with every kind of memory
    "gan.py:ring8",
    "r3gan.py:cifar10",  # annealed
    "projected.py:avatars",  # a frozen network
    "stylegan2.py:vision_aided",  # a player that joins in the second round
    "pix2pix.py:emoji",
    "cyclegan.py:emoji",  # pools of past fakes
    "cut.py:emoji",  # heads beside the generator
    "text_to_image.py:emoji",
    "text_to_image.py:avatars",  # without an augmenter
    "stylegan.py:emoji",  # growing: the second round is one of fading in
    "stylegan2.py:avatars",  # ADA's p, the path length's mean
    "vae.py:fashion_mnist",
)
FOUR = {"run.kimg": 0.032, "run.devices": 1, "run.checkpoint_kimg": 0.016}


def tiny(recipe):
    """Four rounds of a recipe's smallest relative."""
    experiment = config.tiny(config.recipe(f"{ROOT}/experiments/{recipe}"))
    if isinstance(experiment.game, config.Cyclegan):
        experiment = config.change(experiment, {"game.pool": 12})  # full after the second round
    return config.change(experiment, FOUR)


def test_the_recipes_are_of_every_game():
    games = [tiny(recipe).game for recipe in RECIPES]
    known = {kind.config for kind in config.KINDS[config.Game].values()} - {GivenGame}
    ours = {kind for kind in known if kind.__module__.startswith("gan_jax.")}
    assert {type(game) for game in games} == ours
    assert any(getattr(game, "augment", "") == "ada" for game in games)
    assert any(getattr(game, "grow", config.Grow()).start for game in games)


@pytest.fixture
def compiled_once(monkeypatch):
    """Lets runs of one experiment share what they compile."""
    monkeypatch.setattr(loop, "build", functools.cache(loop.build))
    play = functools.cache(parallel.data_parallel)
    monkeypatch.setattr(parallel, "data_parallel", play)


def ended_after(monkeypatch, step):
    """Sends this process SIGTERM when the row of a round is written: the next one is the last."""
    original = records.record

    def record(book, row):
        if row["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)
        original(book, row)

    monkeypatch.setattr(records, "record", record)


@pytest.mark.parametrize("recipe", RECIPES)
def test_four_rounds_are_two_and_two_bit_for_bit(recipe, tmp_path, monkeypatch, compiled_once):
    resumes_exactly(tiny(recipe), tmp_path, monkeypatch)


def test_so_they_are_with_the_convolutions_of_this_machine(tmp_path, monkeypatch, compiled_once):
    """Which are oneDNN's in part, where this jaxlib has it."""
    calls, keep = [], onednn._bypass_cache
    monkeypatch.setattr(conv, "_by_platform", BY_PLATFORM)
    monkeypatch.setattr(onednn, "_bypass_cache", lambda: calls.append(keep()))
    wide = {"generator.network.width": 16, "discriminator.network.width": 16}
    resumes_exactly(config.change(tiny("dcgan.py:quickstart"), wide), tmp_path, monkeypatch)
    assert bool(calls) == onednn.is_available()


def resumes_exactly(experiment, tmp_path, monkeypatch):
    """A run of four rounds, and one that is ended after the second and resumed."""
    train(experiment, tmp_path / "whole")
    with monkeypatch.context() as patch:
        ended_after(patch, 1)
        with pytest.raises(guard.Stopped, match="saved round 2"):
            train(experiment, tmp_path / "halves")
    train(experiment, tmp_path / "halves")
    whole, halves = (saved(loop.build(experiment), tmp_path / n) for n in ("whole", "halves"))
    assert whole.keys() == halves.keys()
    assert not [name for name in whole if whole[name].tobytes() != halves[name].tobytes()]
    assert metric_rows(tmp_path / "whole") == metric_rows(tmp_path / "halves")


def saved(built, workdir):
    """Every leaf of the last checkpoint, by its name."""
    with contextlib.closing(run_dir.open_checkpoints(workdir, built)) as manager:
        step, state = run_dir.open_state(built.at(4), manager)
    assert step == 4
    return {jax.tree_util.keystr(p): np.asarray(x) for p, x in jax.tree.leaves_with_path(state)}


# --- faults -------------------------------------------------------------------------------------

FLAGS = (
    *("--batch-size", "8", "--run.kimg", "0.064", "--run.log-every", "1", "--run.devices", "1"),
    *("--run.checkpoint-kimg", "0.016", "--run.sample-kimg", "0", "--run.evaluate-kimg", "0.032"),
    *("--generator.network.widths", "4", "--discriminator.network.widths", "4"),
)
SPAWNING = {
    "kill",
    "terminate",
    "disk_full",
    "quota",
    "two_processes",
    "clock",
}  # by the script alone


def here(words):
    """Runs train.py in this process."""
    output = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        patch.setattr(sys, "argv", ["train.py", *words])
        patch.setattr(cli, "compilation_cache", lambda: None)
        patch.setattr(cli, "keep_memory", lambda: None)
        try:
            cli.run(script.main)
        except SystemExit as end:
            return Outcome(int(end.code or 0), output.getvalue())
    return Outcome(0, output.getvalue())


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torture")
    made = Harness(RING, FLAGS, folder, here, random.Random(0))
    made.baseline()
    return made


@pytest.fixture
def shared(monkeypatch):
    """What runs of one experiment compile, kept for all tests of this file."""
    monkeypatch.setattr(loop, "build", BUILD)
    monkeypatch.setattr(run_dir, "build", BUILD)
    monkeypatch.setattr(parallel, "data_parallel", PLAY)


BUILD, PLAY = functools.cache(build), functools.cache(parallel.data_parallel)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in SPAWNING])
def test_a_fault_costs_no_bit_or_is_refused_in_one_line(name, harness, shared):
    verdict = FAULTS[name](harness)
    if verdict.passed is None:
        pytest.skip(verdict.line)
    assert verdict.passed, verdict.line


def test_the_clock_going_back_breaks_no_record(harness, shared, monkeypatch):
    now = iter(range(10**9))
    monkeypatch.setattr(run_log.time, "time", lambda: 1e9 - 3600.0 * next(now))
    workdir = harness.folder / "clock"
    verdict = harness.resume(workdir, "")
    assert verdict.passed, verdict.line
    assert (workdir / "report.html").exists()
    times = [row["time"] for row in run_log.read_metrics(workdir / run_log.METRICS)]
    assert times[-1] < times[0]


def test_a_full_disk_ends_a_run_before_a_checkpoint_is_begun(harness, tmp_path, monkeypatch):
    free = checkpoint.shutil.disk_usage(tmp_path)._replace(free=5000)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: free)
    experiment = run_dir.read_config(harness.baseline())["experiment"]
    with pytest.raises(OSError, match=r"No space left on device: .*checkpoints"):
        train(config.from_dict(experiment), tmp_path)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_board_that_cannot_write_stops_the_run_and_never_hangs_it(tmp_path):
    book = records.open_records(tmp_path, total=500)
    events = book.board.file_writer.event_writer._ev_writer
    events._py_recordio_writer.write = full
    with pytest.raises(OSError, match="No space left"):
        for step in range(1, 500):  # more rows than the queue has places
            records.record(book, {"step": step, "generator/loss": 0.5})
    with pytest.raises(OSError, match="No space left"):
        records.close_records(book)


def full(*what):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("row", "doing"),
    [
        ("", "compile"),
        ('{"step": 2, "event": "resumed"}\n', "compile"),
        ('{"step": 3, "generator/loss": 1.0}\n', "round"),
        ('{"step": 4, "generator/loss": 1.0}\n', "evaluation"),
        ('{"step": 4, "modes": 8}\n', "checkpoint"),
    ],
)
def test_the_phase_of_a_run_is_read_from_what_it_writes(row, doing, harness, tmp_path):
    assert phase(tmp_path, 1.0) == "start"
    for file in (harness.baseline() / "config.json", harness.baseline() / "metrics.jsonl"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "metrics.jsonl").write_text(row)
    assert phase(tmp_path, 1.0) == doing
    later = (tmp_path / "metrics.jsonl").stat().st_mtime + 1.0
    assert phase(tmp_path, later) == "start"


def test_an_unknown_fault_names_the_nearest(capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["torture.py", RING, "--faults", "disc_full"])
        with pytest.raises(SystemExit) as end:
            cli.run(torture.main)
    assert end.value.code == 2
    assert "did you mean 'disk_full'" in capsys.readouterr().err


def test_the_list_says_what_every_fault_is(capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["torture.py", "--list"])
        torture.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(FAULTS)
    assert all(len(line.split()) > 4 for line in lines)
