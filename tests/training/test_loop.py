"""The loop: exact resume, an orderly end, refusals, warnings."""

import dataclasses
import gzip
import json
import os
import signal
from contextlib import contextmanager

import jax
import numpy as np
import pytest

from gan_jax import config
from gan_jax.config import Data, Dcgan, Experiment, Gan, Mlp, Player, Run
from gan_jax.errors import UserError
from gan_jax.evaluation import registry
from gan_jax.reporting import records, run_log
from gan_jax.training import checkpoint, guard, run_dir
from gan_jax.training.loop import train
from gan_jax.training.monitor import Monitor

ROUNDS = 6


def recipe(rounds: int = ROUNDS, **changes) -> Experiment:
    """A DCGAN of the smallest size with everything that a resume could forget."""
    player = Player(network=Dcgan(width=2))
    experiment = Experiment(
        name="tiny",
        generator=player,
        discriminator=player,
        game=Gan(z=4, r1=0.1, penalty_every=2, ema_kimg=0.01),
        data=Data(resolution=8),
        batch_size=8,
        run=Run(
            kimg=rounds * 0.008,
            log_every=1,
            sample_kimg=0,
            checkpoint_kimg=0.008,
            devices=1,
            keep=9,
        ),
    )
    return config.change(experiment, changes)


def points(rounds: int = 4, **changes) -> Experiment:
    """A perceptron on a toy mixture: seconds less to compile."""
    player = Player(network=Mlp((4,)))
    experiment = dataclasses.replace(
        recipe(rounds), generator=player, discriminator=player, data=Data(name="toy/ring8")
    )
    return config.change(experiment, {"game.penalty_every": 1, **changes})


def leaves(workdir, step=None):
    """Every leaf of a checkpoint on disk, by path."""
    _, _, state = run_dir.load(workdir, step)
    return {jax.tree_util.keystr(p): np.asarray(x) for p, x in jax.tree.leaves_with_path(state)}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    differing = [name for name in a if a[name].tobytes() != b[name].tobytes()]
    assert not differing


def step_rows(workdir):
    rows = run_log.read_metrics(workdir / run_log.METRICS)
    timeless = [
        {k: v for k, v in r.items() if k not in ("time", "images_per_second")} for r in rows
    ]
    return [row for row in timeless if "event" not in row]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of `ROUNDS` rounds that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("whole")
    train(recipe(), workdir)
    return workdir


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(whole, tmp_path):
    train(recipe(rounds=3), tmp_path)
    train(recipe(), tmp_path)
    resumed = leaves(tmp_path)
    assert any("ema" in name for name in resumed)
    assert any("batch_stats" in name for name in resumed)
    assert any("opt" in name and "mu" in name for name in resumed)
    assert_same_bits(leaves(whole), resumed)
    assert step_rows(whole) == step_rows(tmp_path)


def test_a_finished_run_is_left_as_it_is(whole):
    before = leaves(whole)
    train(recipe(), whole)
    assert_same_bits(before, leaves(whole))


def test_a_run_leaves_everything_a_reader_needs(whole):
    names = {path.name for path in whole.rglob("*")}
    assert {"config.json", "metrics.jsonl", "report.html", "reals.png", "00000000.png"} <= names
    written = json.loads((whole / "config.json").read_text())
    assert config.from_dict(written["experiment"]) == recipe()
    assert written["versions"]["jax"] == jax.__version__


@contextmanager
def terminated_at(step, *signals):
    """Sends this process signals when the row of round `step` is about to be written."""
    original = records.record

    def record(book, row):
        if row["step"] == step:
            for number in signals or [signal.SIGTERM]:
                os.kill(os.getpid(), number)
        original(book, row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "record", record)
        yield


def test_sigterm_saves_and_the_same_command_resumes(whole, tmp_path):
    with terminated_at(2), pytest.raises(guard.Stopped, match="same command resumes") as stopped:
        train(recipe(), tmp_path)
    assert stopped.value.code == 143
    assert len(step_rows(tmp_path)) < ROUNDS
    train(recipe(), tmp_path)
    assert_same_bits(leaves(whole), leaves(tmp_path))


def test_sigterm_in_the_last_round_is_not_forgotten(tmp_path):
    with terminated_at(4), pytest.raises(guard.Stopped, match="was finished") as stopped:
        train(points(), tmp_path)
    assert stopped.value.code == 143
    assert 4 in checkpoint.steps(tmp_path)


def test_ctrl_c_saves_the_round_and_a_second_one_interrupts(tmp_path, capfd):
    with terminated_at(2, signal.SIGINT), pytest.raises(guard.Stopped, match="saved") as stopped:
        train(points(), tmp_path)
    assert stopped.value.code == 130 and checkpoint.steps(tmp_path)
    assert "press Ctrl-C again to stop at once" in capfd.readouterr().err
    twice = terminated_at(4, signal.SIGINT, signal.SIGINT)
    with twice, pytest.raises(KeyboardInterrupt):
        train(points(), tmp_path)


def test_a_configuration_of_something_else_is_refused(tmp_path):
    for content in ("{}", "[]", "null", '{"experiment": {}}'):
        (tmp_path / run_dir.CONFIG).write_text(content)
        with pytest.raises(UserError, match=r"config\.json does not describe a run"):
            train(points(), tmp_path)


def test_a_changed_experiment_is_refused_by_the_fields_that_changed(tmp_path):
    train(points(), tmp_path)
    changed = points(**{"discriminator.lr": 0.01, "game.r1": 0.5})
    with pytest.raises(UserError, match=r"discriminator\.lr \(0\.0002 -> 0\.01\).*game\.r1"):
        train(changed, tmp_path)
    train(config.change(changed, {"run.kimg": 0.04}), tmp_path, allow_change=True)
    assert step_rows(tmp_path)[-1]["step"] == 5


def test_data_that_changed_is_refused(tmp_path):
    train(points(), tmp_path)
    path = tmp_path / run_dir.CONFIG
    content = json.loads(path.read_text())
    content["data"]["fingerprint"] = "another"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="content of data set 'toy/ring8'"):
        train(points(), tmp_path)


def test_a_number_that_is_not_finite_stops_the_run_by_name(tmp_path):
    train(points(rounds=1), tmp_path)
    bad = points(**{"generator.optimizer": "sgd", "generator.lr": 1e38})
    sgd = points(rounds=1, **{"generator.optimizer": "sgd"})
    other = tmp_path / "sgd"
    train(sgd, other)
    with pytest.raises(guard.Stopped, match=r"/\w+ is (nan|inf)") as stopped:
        train(bad, other, allow_change=True)
    assert stopped.value.code == 1
    assert all(np.isfinite(leaf).all() for leaf in leaves(other, step=1).values())


def test_a_directory_serves_one_process(tmp_path):
    with guard.exclusive(tmp_path), pytest.raises(UserError, match="in use by another process"):
        train(points(), tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to workdir"):
        train(points(), tmp_path / "file" / "run")


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path, capsys):
    train(points(), tmp_path)
    before = leaves(tmp_path, step=3)
    for file in (tmp_path / checkpoint.FOLDER / "4" / "default").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    assert_same_bits(before, leaves(tmp_path))
    assert "checkpoint 4 cannot be read" in capsys.readouterr().out


def test_a_checkpoint_of_another_game_is_refused(tmp_path):
    train(points(), tmp_path)
    wider = config.change(points(), {"generator.network": Mlp((8, 8))})
    with pytest.raises(UserError, match="another game"):
        train(wider, tmp_path, allow_change=True)
    train(points(), tmp_path)  # which is what the directory still holds


def test_a_profile_is_written_for_the_usual_viewers(tmp_path):
    train(points(6), tmp_path, profile=2)
    (trace,) = (tmp_path / "profile").rglob("*.trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    steps = [event["args"]["step_num"] for event in events if event.get("name") == "round"]
    assert steps[:2] == ["3", "4"]
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_checkpoints_that_are_not_kept_free_their_disk_while_the_run_goes_on(tmp_path):
    held = []
    original = checkpoint.save

    def counted(manager, step, state, metrics=None):
        original(manager, step, state, metrics)
        manager.wait_until_finished()
        held.append(len(list((tmp_path / checkpoint.FOLDER).rglob("_CHECKPOINT_METADATA"))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", counted)
        train(points(rounds=6, **{"run.keep": 2}), tmp_path)
    assert len(held) == 6
    assert max(held) <= 3  # the two that are kept, and the one that the last save replaced
    assert {int(p.parent.name) for p in tmp_path.rglob("_CHECKPOINT_METADATA")} == {5, 6}


@pytest.mark.parametrize(("quantity", "kept"), [("recall", {2, 6}), ("kid", {4, 6})])
def test_the_best_checkpoint_is_kept_beside_the_last(tmp_path, quantity, kept):
    """Round 2 has the highest value, round 4 the lowest."""
    values = dict(zip(range(1, ROUNDS + 1), (0.5, 0.9, 0.6, 0.1, 0.4, 0.3), strict=True))

    def evaluate(monitor, state, step):
        return {f"{quantity}5k-train[net]": values[step]}

    fields = {"run.keep": 1, "run.best": quantity, "run.evaluate_kimg": 0.008}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Monitor, "evaluate", evaluate)
        spec = registry.METRICS["mode_coverage"]
        measured = {**spec.better, quantity: registry.better(quantity)}
        patch.setitem(registry.METRICS, spec.name, spec._replace(better=measured))
        train(points(ROUNDS, **fields, **{"run.metrics": ("mode_coverage",)}), tmp_path)
    assert checkpoint.steps(tmp_path) == kept
    assert run_dir.load(tmp_path, "best")[1] == min(kept)
    assert run_dir.load(tmp_path)[1] == ROUNDS


def test_a_run_without_a_best_checkpoint_says_how_to_keep_one(tmp_path):
    train(points(rounds=2), tmp_path)
    with pytest.raises(UserError, match=r"keeps no best checkpoint; train with --run\.best"):
        run_dir.load(tmp_path, "best")


def test_a_best_that_no_metric_measures_is_refused_before_the_first_round(tmp_path):
    fields = {"run.metrics": ("mode_coverage",), "run.best": "precision"}
    with pytest.raises(UserError, match=r"run\.best = 'precision' is not measured.*'modes'"):
        train(points(**fields), tmp_path)
    assert not checkpoint.steps(tmp_path)


def test_a_best_that_does_not_exist_is_refused_before_the_first_round(tmp_path):
    fields = {"run.metrics": ("mode_coverage",), "run.best": "mode"}
    with pytest.raises(UserError, match=r"run\.best: no quantity 'mode'.*'modes'"):
        train(points(**fields), tmp_path)
    assert not checkpoint.steps(tmp_path)


def test_what_a_metric_takes_is_asked_for_before_the_first_round(tmp_path):
    with pytest.raises(UserError, match="'fid' needs data of images"):
        train(points(**{"run.metrics": ("fid",)}), tmp_path)
    assert not (tmp_path / checkpoint.FOLDER).exists()


def test_a_saturated_discriminator_is_reported_once():
    diagnostics, warnings = guard.Diagnostics(), []
    row = {"discriminator/real_accuracy": 1.0, "discriminator/fake_accuracy": 1.0}
    for _ in range(2 * guard.SATURATED_ROWS):
        diagnostics, warning = guard.check_saturation(diagnostics, row)
        warnings += [warning] if warning else []
    assert len(warnings) == 1
    assert "100.0%" in warnings[0]


def test_collapse_is_reported_once_with_both_spreads():
    alike, varied = np.zeros((8, 4, 4, 1)), np.random.default_rng(0).normal(size=(8, 4, 4, 1))
    diagnostics, first = guard.check_collapse(
        guard.Diagnostics(), guard.spread(alike), guard.spread(varied)
    )
    _, second = guard.check_collapse(diagnostics, 0.0, 1.0)
    assert first is not None and "0.0000" in first
    assert second is None


@pytest.mark.parametrize(
    ("experiment", "words"),
    [
        (recipe(batch_size=9008), "batch_size 9008 is more than the 9000"),
        (points(**{"data.flip": True}), "no images to flip"),
    ],
    ids=["batch", "flip"],
)
def test_a_start_that_is_refused_leaves_no_run_behind(tmp_path, experiment, words):
    with pytest.raises(UserError, match=words):
        train(experiment, tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_that_does(tmp_path):
    with pytest.raises(UserError, match=r"batch_size = 9 .* 8 devices.* 8"):
        train(points(batch_size=9, **{"run.devices": 8}), tmp_path)
