"""The command line: one clear line and exit code 2 for a mistake, the right files otherwise."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import torture
from faults.comparison import compare
from helpers.command_line import QUICKSTART, RING, SMALL, run
from helpers.evaluation import FEATURES
from helpers.paths import ROOT
from PIL import Image

from gan_jax.commands import (
    VERBS,
    ablate,
    cli,
    evaluate,
    export,
    prepare_data,
    report,
    sample,
    table,
    train,
)
from gan_jax.data.pipeline import open_source
from gan_jax.errors import UserError
from gan_jax.evaluation import registry
from gan_jax.reporting import run_log, terminal
from gan_jax.training import checkpoint, run_dir

KEPT = """
import ctypes, resource, sys, threading
from pathlib import Path
import jax
from gan_jax.commands import cli
cli.Path = lambda _: Path(sys.argv[1])  # in place of /dev
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def heap():
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("[heap]"):
            return range(*(int(end, 16) for end in line.split()[0].split("-")))

cli.keep_memory()
large = libc.malloc(2**26)
libc.free(large)  # at once: nothing lies above it that could hold it
assert large + 2**26 - 1 in heap(), "given back, or mapped on its own"
small = []
thread = threading.Thread(target=lambda: small.append(libc.malloc(1000)))
thread.start()
thread.join()
assert small[0] in heap(), "in an arena of the thread"
assert not jax.config.read("jax_cpu_enable_async_dispatch")

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

large = libc.malloc(2**26)
ctypes.memset(large, 1, 2**26)
above = libc.malloc(1000)
libc.free(large)
full = resident()
jax.monitoring.record_event_duration_secs(cli.COMPILED, 0.5)
assert resident() > full - 2**25, "a short compilation gives nothing back"
jax.monitoring.record_event_duration_secs(cli.COMPILED, 2.0)
assert resident() < full - 2**25, "a long one gives back what is free, also below other blocks"
events = []
jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.append(event))
jax.jit(lambda x: x + 1)(1.0)
assert cli.COMPILED in events, "JAX's name of a compilation"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_freed_memory_is_kept_but_for_compilers_and_steps_run_in_the_calling_thread(tmp_path):
    """Of a process of its own: what malloc is told holds until its end."""
    command = [sys.executable, "-c", KEPT, str(tmp_path)]
    folders = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=folders, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("device", ["accel0", "nvidia0", "vfio/0"])
def test_a_machine_with_an_accelerator_keeps_its_defaults(device, tmp_path, monkeypatch):
    (tmp_path / device).parent.mkdir(exist_ok=True)
    (tmp_path / device).touch()
    changed = []
    monkeypatch.setattr(cli, "Path", lambda _: tmp_path)  # in place of /dev
    monkeypatch.setattr(cli.ctypes, "CDLL", lambda _: changed.append("malloc"))
    monkeypatch.setattr(jax.config, "update", lambda *change: changed.append(change))
    cli.keep_memory()
    assert not changed


MISTAKES = {
    "no such file": (train, ["experiments/dcgam.py:quickstart"], "no experiment file"),
    "no such recipe": (train, [f"{ROOT}/experiments/gan.py:ring9"], "did you mean 'ring8'"),
    "misspelt field": (train, [RING, "--discriminator.lrr", "1"], "--discriminator.lr?"),
    "wrong type": (train, [RING, "--batch-size", "many"], "batch-size"),
    "wrong choice": (train, [RING, "--game.objective", "hing"], "did you mean 'hinge'?"),
    "another project's name": (train, [RING, "--generator.learning-rate", "1"], "--generator.lr?"),
    "a part left out": (
        *(train, [QUICKSTART, "--discriminator.hidden", "256"]),
        "--discriminator.network.hidden?",
    ),
    "no option at all": (train, [RING, "lots"], "error: no option takes 'lots'\n"),
    "a value that is no number": (
        *(train, [RING, "--generator.lr", "fast"]),
        "error: Error parsing --generator.lr: could not convert string to float: 'fast'\n",
    ),
    "no round": (
        *(evaluate, ["RUN", "--step", "last"]),
        "error: --step last: INT|{best} is needed\n",
    ),
    "wrong network": (train, [RING, "--generator.network.widths", "a"], "widths"),
    "no such data": (train, [QUICKSTART, "--data.name", "fashion_mnis"], "fashion_mnist"),
    "no such folder": (
        train,
        [f"{ROOT}/experiments/dcgan.py:folder", "--data.path", "nowhere"],
        "nowhere",
    ),
    "no side like that": (train, [QUICKSTART, "--data.resolution", "30"], "resolution 30"),
    "no such metric": (train, [RING, "--run.metrics", "mode_coverag"], "'mode_coverage'"),
    "no such features": (train, [QUICKSTART, "--run.features", "inceptoin"], "'inception-2015'"),
    "no such table": (table, [f"{ROOT}/experiments/ablations/objectives.py:TABEL"], "'TABLE'"),
    "no such row": (
        ablate,
        [f"{ROOT}/experiments/ablations/objectives.py", "run", "--rows", "hing"],
        "'hinge'",
    ),
    "no such action": (ablate, [f"{ROOT}/experiments/gan.py", "rum"], "'run'"),
    "no machine": (
        ablate,
        [f"{ROOT}/experiments/ablations/objectives.py", "commands", "--machines", "0"],
        "machines = 0",
    ),
    "no weight file": (prepare_data, ["weights"], "--from FILE"),
    "not a weight file": (prepare_data, ["weights", "--from", __file__], "none of the published"),
    "faces of no faces": (prepare_data, ["maps", "--count", "5"], "goes with avatars only"),
    "not a run": (sample, ["nowhere"], "no run in 'nowhere'"),
    "not a run to measure": (evaluate, ["nowhere"], "no run in 'nowhere'"),
    "not a run to report": (report, ["nowhere"], "no run in 'nowhere'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line_and_exit_code_2(mistake, tmp_path, capsys):
    script, words, expected = MISTAKES[mistake]
    workdir = ["--workdir", tmp_path / "run"] if script is train else []
    assert run(script, *words, *workdir) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ")
    assert expected in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "words"),
    [(sample, []), (sample, ["--out", "walk.gif"]), (export, []), (table, [])],
    ids=["grid", "walk", "export", "table"],
)
@pytest.mark.parametrize("folder", ["a-file", "/proc/none"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_drawn(
    trained, tmp_path, capsys, script, words, folder
):
    (tmp_path / "a-file").write_text("")
    what = f"{ROOT}/experiments/ablations/alternation.py" if script is table else trained
    out = tmp_path / folder / (words[-1] if words else "a.md" if script is table else "a.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_dir, "load", None)  # nobody gets that far
        patch.setattr(sample.cli, "compilation_cache", lambda: None)
        assert run(script, what, "--out", out) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: cannot write ") and complaint.count("\n") == 1


@pytest.mark.parametrize("twin", [True, False])
@pytest.mark.parametrize("verb", VERBS)
def test_help_names_the_command_as_it_was_started(verb, twin, capsys):
    module = importlib.import_module(f"gan_jax.commands.{verb.replace('-', '_')}")
    assert run(module, "--help", twin=twin) == 0
    shown = capsys.readouterr().out
    script = verb.replace("-", "_") + ".py"
    assert (f"usage: {script}" in shown and "gan-jax" not in shown) == twin
    assert (f"usage: gan-jax {verb}" in shown and script not in shown) != twin


def test_the_script_of_faults_has_help(capsys):
    assert run(torture, "--help") == 0
    assert "torture.py" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], [QUICKSTART, "--help"]], ids=["recipes", "help"])
def test_output_into_a_closed_pipe_ends_quietly(words):
    """As `train.py --help | head -1`, whose reader leaves before all is written."""
    command = [sys.executable, str(ROOT / "scripts/train.py"), *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_pipe_of_another_process_that_breaks_is_an_error(capsys):
    def write():
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        cli.run(write)


def test_a_recipe_has_help_for_every_field(capsys):
    assert run(train, QUICKSTART, "--help") == 0
    shown = capsys.readouterr().out
    for flag in ("--discriminator.lr", "--game.r1", "--data.on-bad-image", "--run.kimg"):
        assert flag in shown


def test_a_run_with_another_configuration_is_refused(trained, capsys):
    assert run(train, QUICKSTART, *SMALL, "--seed", "1", "--workdir", trained) == 2
    assert "seed (0 -> 1)" in capsys.readouterr().err


CYCLEGAN = f"{ROOT}/experiments/cyclegan.py:emoji"


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("translator")
    assert run(train, CYCLEGAN, *SMALL, "--data.resolution", 16, "--workdir", workdir) == 0
    return workdir


def size(path):
    with Image.open(path) as image:
        return image.size


def test_sample_translates_pictures_of_any_size_and_keeps_their_names(translator, tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    Image.new("RGB", (9, 13), "red").save(folder / "a.jpg")
    Image.new("LA", (3, 16), 40).save(folder / "deep" / "b.png")
    (folder / "c.png").write_bytes(b"no picture")
    assert run(sample, translator, "--input", folder, "--direction", "y2x", "--out", out) == 2
    said = capsys.readouterr().err
    assert "1 of 3 pictures" in said and "c.png: it is not an image" in said
    sizes = {p.relative_to(out).as_posix(): size(p) for p in out.rglob("*.png")}
    assert sizes == {"a.png": (9, 13), "deep/b.png": (3, 16)}
    assert run(sample, translator, "--input", folder / "a.jpg", "--out", tmp_path / "one") == 0
    assert [p.name for p in (tmp_path / "one").iterdir()] == ["a.png"]
    assert run(sample, translator, "--out", tmp_path / "grid.png", "--count", 4) == 0
    width, height = size(tmp_path / "grid.png")
    assert width == 6 * height  # two rows of two groups of six


def test_sample_shows_and_makes_translations_of_a_run_that_knows_one_way(tmp_path, capsys):
    """CUT: a grid of inputs and outputs, since no target belongs to an input."""
    workdir, red = tmp_path / "run", tmp_path / "red.png"
    recipe = f"{ROOT}/experiments/cut.py:emoji"
    assert run(train, recipe, *SMALL, "--data.resolution", 16, "--workdir", workdir) == 0
    assert run(sample, workdir, "--out", tmp_path / "grid.png", "--count", 6) == 0
    width, height = size(tmp_path / "grid.png")
    assert width == 3 * height  # two rows of three groups of two
    Image.new("RGB", (9, 13), "red").save(red)
    assert run(sample, workdir, "--input", red, "--out", tmp_path / "out") == 0
    assert size(tmp_path / "out" / "red.png") == (9, 13)
    assert run(sample, workdir, "--input", red, "--direction", "y2x") == 2
    assert "x2y only" in capsys.readouterr().err


def test_sample_refuses_pictures_it_cannot_translate(translator, trained, tmp_path, capsys):
    for name in ("a.png", "a.bmp"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert run(sample, translator, "--input", tmp_path, "--out", tmp_path / "out") == 2
    assert "'a.bmp' and 'a.png'" in capsys.readouterr().err
    assert run(sample, translator, "--input", tmp_path, "--direction", "sideways") == 2
    assert "x2y, y2x only" in capsys.readouterr().err
    (tmp_path / "own").mkdir()
    before = (tmp_path / "a.png").rename(tmp_path / "own" / "a.png").read_bytes()
    for given in ("own", "own/a.png"):
        assert run(sample, translator, "--input", tmp_path / given, "--out", tmp_path / "own") == 2
        assert "a.png would replace what is read" in capsys.readouterr().err
    assert (tmp_path / "own" / "a.png").read_bytes() == before
    assert run(sample, translator, "--seed", 2**64) == 2
    assert "--seed 18446744073709551616: a number from 0 to" in capsys.readouterr().err
    assert run(sample, trained, "--input", tmp_path) == 2
    assert "translates no pictures" in capsys.readouterr().err


def test_sample_draws_in_the_terminal_where_there_is_one(trained, tmp_path, monkeypatch, capsys):
    flags = ("--count", 4, "--out", tmp_path / "grid.png", "--terminal", True)
    for name in ("KITTY_WINDOW_ID", "TERM_PROGRAM"):
        monkeypatch.delenv(name, raising=False)
    for is_terminal in (False, True):
        monkeypatch.setattr(sys.stdout, "isatty", lambda answer=is_terminal: answer)
        assert run(sample, trained, *flags) == 0
        seen = capsys.readouterr()
        assert (terminal.UPPER_HALF in seen.out) == is_terminal
        assert ("not drawn, as the output is no terminal" in seen.err) != is_terminal


def test_sample_draws_a_grid_and_a_walk(trained, tmp_path):
    grid, walk = tmp_path / "grid.png", tmp_path / "walk.gif"
    assert run(sample, trained, "--out", grid) == 0
    assert run(sample, trained, "--out", walk, "--count", 4, "--frames", 6, "--stops", 2) == 0
    with Image.open(grid) as image:
        assert image.size == (8 * 84, 10 * 84), "eight of every class"
    with Image.open(walk) as image:
        assert getattr(image, "n_frames", 1) == 6


@pytest.mark.parametrize(
    ("side", "count"), [(28, 9), (32, 16), (64, 16), (128, 4), (256, 1), (512, 1)]
)
def test_a_walk_has_as_many_samples_as_a_small_file_holds(side, count):
    assert sample.default_count((side, side, 3), False) == count
    assert sample.default_count((side, side, 3), True) == 64


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (sample, ["--out", "walk.gif", "--fps", "0"]),
        (sample, ["--out", "walk.gif", "--fps", "60"]),
        (sample, ["--columns", "-3"]),
        (sample, ["--psi", "nan"]),
        (sample, ["--strengths", "nan"]),
        (evaluate, ["--metrics", "kid", "--count", "0"]),
    ],
    ids=["fps", "fps of a GIF", "columns", "psi", "strengths", "count"],
)
def test_a_number_that_cannot_be_is_named(trained, script, words, capsys):
    assert run(script, trained, *words) == 2
    complaint = capsys.readouterr().err
    assert words[-2].strip("-") in complaint and complaint.count("\n") == 1


def test_an_ending_that_cannot_be_written_is_refused(trained, tmp_path, capsys):
    assert run(sample, trained, "--out", str(tmp_path / "grid.jpg")) == 2
    assert "grid.jpg: pictures are written as .png, walks as .gif" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "line"),
    [("def broken(:\n", "line 1: SyntaxError"), ("\nimport no_such_module\n", "line 2: Module")],
    ids=["syntax", "import"],
)
def test_a_recipe_file_that_cannot_be_read_says_where(text, line, tmp_path, capsys):
    file = tmp_path / "recipes.py"
    file.write_text(text)
    assert run(train, f"{file}:any", "--workdir", tmp_path / "run") == 2
    complaint = capsys.readouterr().err
    assert line in complaint and complaint.count("\n") == 1


def test_an_unknown_checkpoint_names_those_that_exist(trained, capsys):
    assert run(sample, trained, "--step", 77) == 2
    assert "it has rounds [2]" in capsys.readouterr().err


def test_a_missing_run_names_the_nearest_one_beside_it_or_inside(tmp_path, capsys):
    for name in ("quickstart", "faces"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    assert run(sample, tmp_path / "quikstart") == 2
    assert f"did you mean '{tmp_path / 'quickstart'}'?" in capsys.readouterr().err
    assert run(evaluate, tmp_path) == 2
    assert f"did you mean '{tmp_path}/" in capsys.readouterr().err


def test_evaluate_prints_what_it_measures(tmp_path, capsys):
    workdir = tmp_path / "ring"
    assert run(train, RING, *SMALL, "--workdir", workdir) == 0
    assert run(evaluate, workdir, "--metrics", "mode_coverage") == 0
    assert "modes " in capsys.readouterr().out


def test_evaluate_compares_pictures_under_full_names(trained, capsys):
    words = ["--metrics", "kid", "prdc", "--features", "fashion-cnn", "--count", 32]
    words += ["--split", "test"]
    assert run(evaluate, trained, *words) == 0
    shown = capsys.readouterr().out
    assert "kid32-test1k[fashion-cnn-28px,antialias] " in shown
    assert "coverage32-test1k[fashion-cnn-28px,antialias,k=5] " in shown


def test_evaluate_compares_in_several_feature_spaces_and_repeats_no_other_metric(
    trained, capsys, monkeypatch
):
    monkeypatch.setattr(registry, "FEATURES", {**registry.FEATURES, "flat": lambda: FEATURES})
    words = ["--features", "fashion-cnn", "flat", "--split", "test", "--count", 32]
    assert run(evaluate, trained, "--metrics", "sharpness", "kid", *words) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert names == [
        "kid32-test1k[fashion-cnn-28px,antialias]",
        "sharpness32-test1k[laplacian]",
        f"kid32-test1k[{FEATURES.label}]",
    ]


def test_evaluate_keeps_what_it_finds_in_the_run_once_a_later_metric_fails_too(
    trained, tmp_path, capsys, monkeypatch
):
    workdir = shutil.copytree(trained, tmp_path / "run")

    def broken(subject):
        assert any(name in row for row in run_log.read_metrics(workdir / "metrics.jsonl"))
        raise UserError("diversity is broken")

    spec = registry.METRICS["diversity"]._replace(compute=broken)
    monkeypatch.setitem(registry.METRICS, "diversity", spec)
    name = "kid32-train9k[fashion-cnn-28px,antialias]"
    words = ["--metrics", "kid", "diversity", "--features", "fashion-cnn", "--count", 32]
    assert run(evaluate, workdir, *words) == 2
    shown = capsys.readouterr()
    assert f"{name} " in shown.out and "diversity is broken" in shown.err
    (row,) = [r for r in run_log.read_metrics(workdir / "metrics.jsonl") if name in r]
    assert (row["step"], row["evaluated"]) == (2, 0)
    assert name in (workdir / "report.html").read_text()


def test_evaluate_measures_real_pictures_as_it_does_samples(trained, capsys):
    """Training pictures against themselves are all covered; metrics of conditions are refused."""
    words = ["--features", "fashion-cnn", "--split", "test", "--real", "test"]
    assert run(evaluate, trained, "--metrics", "kid", "prdc", *words) == 0
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert float(shown["real_recall1k-test[fashion-cnn-28px,antialias,k=3]"]) == 1.0
    assert float(shown["real_kid1k-test[fashion-cnn-28px,antialias]"]) < 0.0  # unbiased, of equals
    assert run(evaluate, trained, "--metrics", "diversity", *words) == 2
    assert "is not of given pictures" in capsys.readouterr().err


def test_evaluate_measures_a_folder_of_another_programs_samples(trained, tmp_path, capsys):
    """Held-out pictures written as files give what --real gives for the same pictures."""
    pictures = open_source("fashion_mnist_10k", split="test").records.take(np.arange(64))["image"]
    for index, picture in enumerate(pictures):
        Image.fromarray(picture[..., 0]).save(tmp_path / f"{index:04}.png")
    words = ["--metrics", "kid", "--features", "fashion-cnn", "--count", 64]
    assert run(evaluate, trained, *words, "--samples", tmp_path) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert run(evaluate, trained, *words, "--real", "test") == 0
    assert f"real_{line}" == capsys.readouterr().out.strip()

    for path in sorted(tmp_path.iterdir())[4:]:  # fewer than are ever held out, and equal ones
        path.unlink()
    shutil.copy(tmp_path / "0000.png", tmp_path / "0001.png")
    assert run(evaluate, trained, *words, "--samples", tmp_path) == 0
    assert capsys.readouterr().out.startswith("kid4-train9k")
    assert run(evaluate, trained, *words, "--samples", tmp_path / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err
    assert run(evaluate, trained, *words, "--samples", tmp_path, "--real", "test") == 2
    assert "say one of them" in capsys.readouterr().err


def test_evaluate_refuses_what_the_game_cannot_have_before_it_measures(trained, capsys):
    assert run(evaluate, trained, "--metrics", "kid", "bounds") == 2
    shown = capsys.readouterr()
    assert "'bounds' needs a game with a likelihood" in shown.err and "kid" not in shown.out


def test_pictures_metrics_are_refused_for_points(tmp_path, capsys):
    words = ["--run.metrics", "fid", "--workdir", tmp_path / "ring"]
    assert run(train, RING, *words, "--run.kimg", "0.256", "--run.devices", "1") == 2
    assert "'fid' needs data of images" in capsys.readouterr().err


def test_sigkill_at_any_instant_costs_no_bit(tmp_path):
    """The short form of scripts/torture.py, which gives a run twenty kills."""
    flags = ["--run.kimg", "0.064", "--run.checkpoint-kimg", "0.008", "--run.sample-kimg", "0"]
    flags += ["--batch-size", "8", "--run.devices", "1", "--run.metrics"]
    command = [sys.executable, str(ROOT / "scripts/train.py"), RING, *flags, "--workdir"]
    subprocess.run([*command, str(tmp_path / "alone")], check=True, capture_output=True)
    killed = tmp_path / "killed"
    with subprocess.Popen([*command, str(killed)], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list((killed / checkpoint.FOLDER).glob("[0-9]")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    assert compare(tmp_path / "alone", killed) == []


def test_terms_other_than_the_codes_are_shown(capsys, monkeypatch):
    """As the makers of the woman's recordings ask."""
    said = {}
    for name in ("garments", "voices"):
        monkeypatch.setattr(sys, "argv", ["sample", f"zoo:{name}"])
        cli.of_run(sample.Options(), None)
        said[name] = capsys.readouterr().err
    assert said["garments"] == ""
    assert "http://www.voip.ammdomus.it" in said["voices"] and "CC-BY-SA" in said["voices"]
