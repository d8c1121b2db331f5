"""scripts/accelerator.sh: what counts as agreement, what survives a failure, what is reported."""

import dataclasses
import json
import shutil
import subprocess
import sys
import time

import accelerator
import jax
import numpy as np
import optax
import pytest
from benchmarks import accelerator_report, agreement, flagship, jobs, requirements
from benchmarks.agreement import Played, compare
from benchmarks.games import GAMES
from benchmarks.jobs import Job, Runner
from helpers.paths import ROOT

from gan_jax import game, parallel
from gan_jax.build.experiment import build
from gan_jax.errors import UserError


def played():
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 3, 4, 8)), 1e-9 * rng.normal(size=8)
    return Played({"generator": 0.7}, {"generator": {"generator": {"a": kernel, "b": bias}}})


def changed(**leaves):
    before = played()
    own = before.gradients["generator"]["generator"]
    return Played(before.losses, {"generator": {"generator": {**own, **leaves}}})


def test_roundings_agree():
    exact = played()
    noise = np.random.default_rng(1).normal(size=8)
    own = exact.gradients["generator"]["generator"]
    found = changed(a=own["a"] * (1 + 1e-6), b=own["b"] + 1e-9 * noise)
    difference = compare(exact, found)
    assert difference.agrees and 0.0 < difference.gradients < 1e-5


@pytest.mark.parametrize("wrong", ["one number", "sign", "missing term", "not a number"])
def test_a_wrong_gradient_is_found_and_named(wrong):
    kernel = played().gradients["generator"]["generator"]["a"].copy()
    if wrong == "one number":
        kernel[0, 0, 0, 0] += 0.01
    elif wrong == "not a number":
        kernel[1, 1, 0, 0] = np.nan
    else:
        kernel *= -1.0 if wrong == "sign" else 0.99
    difference = compare(played(), changed(a=kernel))
    assert not difference.agrees and difference.worst == "generator/a"


@pytest.mark.parametrize("loss", [0.71, float("nan")])
def test_a_wrong_loss_is_found(loss):
    assert not compare(played(), played()._replace(losses={"generator": loss})).agrees


def test_the_compared_gradients_are_those_of_the_round_that_trains():
    """Of the move that is played first, as later ones see the parameters that it moved."""
    round_ = agreement.round_of(GAMES["gan"])
    found = agreement.played_on(jax.devices("cpu")[0], round_, agreement.EXACT)
    built = build(
        dataclasses.replace(GAMES["gan"], run=dataclasses.replace(GAMES["gan"].run, devices=1))
    )
    state = dataclasses.replace(game.init(built.game, built.key), step=round_.arguments[0].step)
    _, metrics = jax.jit(parallel.on_one_device(built.round))(state, *round_.arguments[1:])
    row = metrics["discriminator"]
    assert found.losses["discriminator"] == pytest.approx(float(row["loss"]), rel=1e-5)
    norm = optax.tree.norm(found.gradients["discriminator"])
    assert float(norm) == pytest.approx(float(row["grad_norm"]), rel=1e-5)


def run(tmp_path, *programs, seconds=60.0, together=1):
    """Runs programs of Python; returns what they printed, and failures by name."""
    found, failed = [], {}
    Runner(tmp_path).run_all(
        [Job(f"job{n}", ("-c", text)) for n, text in enumerate(programs)],
        time.monotonic() + seconds,
        found.append,
        lambda job, why: failed.update({job.name: why}),
        together,
    )
    return found, failed


def test_a_process_that_fails_leaves_the_others_alone(tmp_path):
    found, failed = run(
        tmp_path,
        "print('{\"n\": 1}'); raise ValueError('the reason')",
        "print('words of a library'); print('{\"n\": 2}')",
        together=2,
    )
    assert sorted(row["n"] for row in found) == [1, 2]
    assert failed == {"job0": "ValueError: the reason"}


def test_what_is_late_is_ended_and_what_follows_does_not_begin(tmp_path):
    before = time.monotonic()
    found, failed = run(
        tmp_path,
        "import time; print('{\"n\": 1}', flush=True); time.sleep(600)",
        "print('{\"n\": 2}')",
        seconds=2.0,
    )
    assert time.monotonic() - before < 30.0
    assert found == [{"n": 1}] and failed == dict.fromkeys(("job0", "job1"), jobs.NO_TIME)


def test_processes_find_the_checkout_and_the_cpu(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert jobs.environment({})["JAX_PLATFORMS"] == "cuda,cpu"
    assert jobs.environment({"A": "b"})["A"] == "b"
    monkeypatch.setenv("JAX_PLATFORMS", "")
    assert jobs.environment({})["JAX_PLATFORMS"] == ""
    assert str(ROOT) in jobs.environment({})["PYTHONPATH"].split(":")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cases", "dcgn"], "--cases dcgn is none; did you mean '.*dcgan'"),
        (["--cases", "features"], "--cases features has no twin that trains"),
        (["--minutes", "0.2"], "--minutes 0.2: more than 0.5 are needed"),
        (["--minutes", "2", "--began", "1"], "--minutes 2: more than .* are needed"),
        (["--recipe", "dcgan:quickstrt"], "did you mean 'quickstart'"),
        (["--recipe", "dcgan:cifar10"], "cifar10"),
        (["--stages", "agre"], "did you mean 'agree'"),
        (["--stage", "agree"], "no option --stage; did you mean --stages"),
    ],
)
def test_bad_options_get_one_line(flags, message, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["accelerator.py", *flags, "--out", str(tmp_path / "out")])
    with pytest.raises(UserError, match=message):
        accelerator.main()


def test_a_stage_that_breaks_leaves_the_others_alone(monkeypatch, tmp_path, capsys):
    device = results()["device"]
    monkeypatch.setattr(accelerator, "find_device", lambda runner, deadline: device)

    def broken(session, deadline):
        raise RuntimeError("the reason")

    def trains(session, deadline):
        session.row("train", results()["train"]["rows"][0])

    monkeypatch.setattr(accelerator, "agree", broken)
    monkeypatch.setattr(accelerator, "train", trains)
    argv = ["accelerator.py", "--out", str(tmp_path), "--stages", "agree", "train"]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as end:
        accelerator.main()
    said = capsys.readouterr().out
    assert end.value.code == 1 and "agree  the stage: RuntimeError: the reason" in said
    assert "grid: out/grid.png" in said


def row_of_speed(side, speed, **more):
    facts = {"case": "dcgan", "side": side, "precision": "bfloat16", "batch_size": 64}
    facts |= {"seconds": 64 / speed, "images_per_second": speed, "first_seconds": 9.0}
    return {**facts, "memory_mib": 200.0, "planned_mib": None, **more}


def results():
    """A session in which a game disagrees, a case failed and one had no time."""
    device = {name: "0.1" for name in ("python", "jax", "jaxlib", "torch", "processor", "cores")}
    device |= {"date": "2026-11-30", "platform": "gpu", "device": "a GPU", "devices": 1}
    device |= {"memory_mib": 81920.0, "default_products": "TF32", "torch_device": "cuda"}

    def compared(name, products, gradients):
        difference = agreement.Difference(1e-7, gradients, "generator/a")
        facts = {"game": name, "products": products, **difference._asdict()}
        return {**facts, "agrees": difference.agrees, "seconds": 1.0}

    agree = [compared("gan", "highest", 2e-6), compared("vae", "highest", 0.5)]
    agree.append(compared("gan", "default", 0.02))
    speed = [row_of_speed("project", 3000.0, planned_mib=190.0)]
    speed += [row_of_speed("eager", 1000.0), row_of_speed("compiled", 2000.0)]
    trained = {"recipe": "dcgan:quickstart", "kimg": 240.0, "images_per_second": 9000.0}
    trained |= {"scores": {"fid": 6.0}, "round": 3750, "grid": "out/grid.png", "ended": "done"}
    late = {"vae-eager-bfloat16": jobs.NO_TIME, "cgan-eager-bfloat16": "ValueError: no"}
    return {
        "device": device,
        "agree": {"rows": agree, "failed": {"not compared": "dcgan"}},
        "speed": {"rows": speed, "failed": late},
        "train": {"rows": [trained], "failed": {}},
    }


def test_the_page_says_what_was_found():
    page = accelerator_report.markdown(results())
    assert "1 x a GPU (gpu, 80 GiB for JAX)" in page and "TF32" in page
    assert "| gan | 1.0e-07 | 2.0e-06 | yes | 1.0e-07 | 2.0e-02 |" in page
    assert "| vae | 1.0e-07 | 5.0e-01 | NO: generator/a | — | — |" in page
    cells = "| dcgan | 64 | 3000 | 1000 | 2000 | 1.50 | 9.0 | 9.0 | 9.0 | 200 | 190 | 200 | 200 |"
    assert cells in page
    assert "* cgan-eager-bfloat16: ValueError: no" in page and "![samples after round 3750]" in page


def test_lines_are_told_as_they_come():
    found = results()
    lines = [accelerator_report.line(n, r) for n in accelerator.STAGES for r in found[n]["rows"]]
    assert lines[0].endswith("agrees with the CPU")
    assert lines[1].endswith("DISAGREES in generator/a with the CPU")
    assert lines[2].endswith("gradients 2.0e-02") and "of 190 planned" in lines[3]
    assert lines[-1].splitlines()[-1] == "train  grid of round 3750: out/grid.png"


def test_what_is_wrong_is_said_and_what_had_no_time_is_not():
    found = results()
    wrong = accelerator_report.wrong(found)
    assert wrong == ["vae disagrees with the CPU", "speed cgan-eager-bfloat16: ValueError: no"]
    assert "agreement: 1 of 2 games agree" in accelerator_report.summary(found)
    found["agree"]["rows"] = []
    assert "agree has no result" in accelerator_report.wrong(found)


def test_a_run_tells_how_far_it_came(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    row = flagship.found("dcgan:quickstart", tmp_path)
    assert row["kimg"] > 0.0 and row["round"] > 0
    grids = sorted((trained / "samples").glob("[0-9]*.png"))
    assert (tmp_path / "grid.png").read_bytes() == grids[-1].read_bytes()
    nothing = flagship.found("dcgan:quickstart", tmp_path / "none")
    assert nothing["grid"] == "" and nothing["kimg"] == 0.0


def test_requirements_are_those_of_the_project():
    found = requirements.requirements(["cuda"])
    assert "jax[cuda12]" in found and any(one.startswith("flax") for one in found)
    assert not any(one.startswith("pytest") for one in found)


def test_wheels_that_are_not_there_are_named(tmp_path):
    script = ["bash", str(ROOT / "scripts" / "accelerator.sh"), "--wheels", str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == f"error: --wheels {tmp_path}: no wheel (.whl) is in it\n"


def test_wheels_without_what_is_wanted_end_with_what_is_missing(tmp_path):
    program = "from benchmarks.requirements import lacking; lacking({!r}, ['no-such-package>=1'])"
    done = subprocess.run(
        [sys.executable, "-c", program.format(str(tmp_path))],
        env=jobs.environment({}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: pip: ") and "no-such-package>=1" in done.stderr


def test_a_report_is_written_as_far_as_it_is_known(tmp_path, capsys):
    options = accelerator.Options(stages=("agree",), tiny=True)
    found = {"device": results()["device"]}
    session = accelerator.Session(options, Runner(tmp_path), time.monotonic() + 60.0, found)
    assert 50.0 < session.stage("agree") - time.monotonic() <= 60.0, "the only stage has all"
    session.row("agree", results()["agree"]["rows"][0])
    session.fail("agree", "agree-1", "ValueError: no")
    kept = json.loads((tmp_path / "report.json").read_text())
    assert kept["agree"]["failed"] == {"agree-1": "ValueError: no"}
    assert "| gan |" in (tmp_path / "report.md").read_text()
    assert "agree  agree-1: ValueError: no" in capsys.readouterr().out
