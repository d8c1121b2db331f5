import gc
import io
import json
import math
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageSequence

from gan_jax import grids
from gan_jax.errors import UserError
from gan_jax.reporting import environment, progress_line, records, run_log


def write_rows(file, first, last):
    for step in range(first, last + 1):
        run_log.write_row(file, {"step": step, "generator/loss": step / 7, "time": float(step)})


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_rows_come_back_with_what_is_not_finite(tmp_path):
    path = tmp_path / "metrics.jsonl"
    row = {"step": 1, "a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.5, "event": "NaN?"}
    with run_log.open_metrics(path) as file:
        run_log.write_row(file, row | {"e": np.float32(math.nan), "f": jnp.float32(2)})
    json.loads(path.read_text(), parse_constant=refuse)
    (back,) = run_log.read_metrics(path)
    assert math.isnan(back["a"]) and math.isnan(back["e"])
    assert (back["b"], back["c"], back["d"], back["f"]) == (math.inf, -math.inf, 0.5, 2.0)
    assert back["event"] == "NaN?" and back["time"] > 0


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes('{"step": 1}\n{"step": 2}\n{"event": "Ω'.encode()[:-1])
    assert [row["step"] for row in run_log.read_metrics(path)] == [1, 2]


def test_a_spoilt_line_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    for read in (run_log.read_metrics, run_log.open_metrics):
        with pytest.raises(UserError, match=r"metrics\.jsonl, line 2 .*st"):
            read(path)
    for row in ('{"a": 1}', '{"step": "x"}'):
        path.write_text(f'{{"step": 1}}\n{row}\n{{"step": 3}}\n')
        with pytest.raises(UserError, match="line 2 "):
            run_log.open_metrics(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.jsonl"):
        run_log.read_metrics(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("torn", ["", '{"step": 8, "gen', '{"step": 8}'])
def test_a_resumed_file_equals_an_uninterrupted_one(tmp_path, torn):
    whole, path = tmp_path / "whole.jsonl", tmp_path / "metrics.jsonl"
    with run_log.open_metrics(whole) as file:
        write_rows(file, 1, 10)
    with run_log.open_metrics(path) as file:
        write_rows(file, 1, 7)
        file.write(torn.encode())
    with run_log.open_metrics(path, step=5) as file:
        write_rows(file, 6, 10)
    assert path.read_bytes() == whole.read_bytes()


def test_rounds_that_a_cut_file_has_lost_are_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with run_log.open_metrics(path) as file:
        for step in (2, 4, 6):
            run_log.write_row(file, {"step": step})
        run_log.write_row(file, {"step": 8, "event": "resumed"})  # not a row of metrics
    assert run_log.missing_rows(path, step=7, every=2) is None
    for every in (1, 2):  # the rows say themselves how far apart they are
        lost = run_log.missing_rows(path, step=9, every=every)
        assert lost is not None and "no rows of rounds 7 to 9" in lost
    assert run_log.missing_rows(path, step=9, every=4) is None
    path.write_text("")
    lost = run_log.missing_rows(path, step=9, every=2)
    assert lost is not None and "rounds 1 to 9" in lost


def test_later_evaluations_stand_at_their_round_and_take_no_time(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": 1, "time": 10.0}, {"step": 2, "time": 20.0}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_log.append_scores(tmp_path, {"step": 1, "kimg": 0.1}, {"fid1k[net]": 3.0}, seed=7)
    read = run_log.read_metrics(path)
    assert read[-1]["time"] > 1e9 and run_log.unscored(path, 1)
    added = {"step": 1, "kimg": 0.1, "evaluated": 7, "fid1k[net]": 3.0}
    assert run_log.in_order(read) == [rows[0], added, rows[1]]


def test_resuming_keeps_a_complete_last_row_without_its_newline(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}')
    with run_log.open_metrics(path, step=2) as file:
        write_rows(file, 3, 3)
    assert [row["step"] for row in run_log.read_metrics(path)] == [1, 2, 3]


def test_discarded_rows_are_kept_aside(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for first, resumed in ((0, 0), (3, 2), (0, 0)):
        with run_log.open_metrics(path, step=resumed) as file:
            write_rows(file, first, 3)
    aside = run_log.read_metrics(tmp_path / "metrics.discarded.jsonl")
    assert [row["step"] for row in aside] == [3, 0, 1, 2, 3]


def test_a_row_has_left_the_process_when_its_write_returns(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with run_log.open_metrics(path) as file:
        for step in range(1, 5):
            write_rows(file, step, step)
            assert len(run_log.read_metrics(path)) == step


def test_a_grid_has_exactly_the_pixels_of_its_images():
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 16, 3), np.uint8)
    grid = grids.image_grid(images, 3)
    assert grid.shape == (2 * 64, 3 * 32, 3)  # 32 pixels are doubled to 64
    small = grid[::2, ::2]
    assert (grid == small.repeat(2, 0).repeat(2, 1)).all()
    for k, image in enumerate(images):
        row, column = divmod(k, 3)
        assert (small[row * 32 :, column * 16 :][:32, :16] == image).all()
    assert not small[32:, 32:].any()


def test_a_grid_is_square_by_default_and_large_images_keep_their_size():
    assert grids.image_grid(np.zeros((9, 100, 64, 1), np.uint8)).shape == (300, 192, 1)


def test_floats_become_bytes():
    values = jnp.array([-2.0, -1.0, 0.0, 1.0, 3.0, math.nan, -math.inf])
    assert grids.to_uint8(values).tolist() == [0, 0, 128, 255, 255, 0, 0]
    bytes_ = np.arange(256, dtype=np.uint8)
    assert (grids.to_uint8(bytes_ / np.float32(127.5) - 1) == bytes_).all()


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (2, 8, 8, 4)])
def test_a_grid_refuses_what_is_no_image(shape):
    with pytest.raises(UserError, match=str(shape[-1])):
        grids.image_grid(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_exact(tmp_path, channels):
    image = np.random.default_rng(0).integers(0, 256, (9, 7, channels), np.uint8)
    path = tmp_path / "new" / "image.png"
    grids.save_png(path, image)
    assert (read(path).reshape(image.shape) == image).all()
    assert [p.name for p in path.parent.iterdir()] == ["image.png"]


def test_a_gif_has_one_palette_so_that_still_areas_stay_still_and_cost_nothing(tmp_path):
    """A palette of its own for every frame, dithered, made a default walk a file of 18 MB."""
    pictures = np.random.RandomState(0).randint(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    frames = [pictures[0].copy() for _ in range(10)]
    for number, frame in enumerate(frames):
        frame[:8, :8] = 25 * number
    grids.save_animation(tmp_path / "one.gif", frames[:1])
    grids.save_animation(tmp_path / "a.gif", frames)
    sizes = [(tmp_path / name).stat().st_size for name in ("one.gif", "a.gif")]
    assert sizes[1] < 1.5 * sizes[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_gif_is_read_back(tmp_path, channels):
    frames = [np.full((8, 6, channels), level, np.uint8) for level in (0, 100, 255)]
    grids.save_animation(tmp_path / "a.gif", frames, fps=5.0)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.size, film.info["duration"]) == ((6, 8), 200)
        shown = [np.asarray(frame.convert("RGB"), int) for frame in ImageSequence.Iterator(film)]
    np.testing.assert_allclose(shown, np.broadcast_to(frames, (3, 8, 6, 3)), atol=2)


def test_mp4_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match=r"gan_jax\[video\]"):
        grids.save_animation(tmp_path / "a.mp4", [np.zeros((8, 8, 1), np.uint8)])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_mp4_is_read_back(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    imageio = pytest.importorskip("imageio.v3")
    frames = [np.full((33, 50, 1), level, np.uint8) for level in (0, 100, 255)]
    grids.save_animation(tmp_path / "a.mp4", frames)
    film = imageio.imread(tmp_path / "a.mp4", plugin="FFMPEG")
    assert film.shape == (3, 34, 50, 3)
    gc.collect()  # imageio_ffmpeg leaves its pipes to the collector: here, not in the next test


@pytest.mark.parametrize(
    "name, frames", [("a.webm", [np.zeros((8, 8, 1), np.uint8)]), ("a.gif", [])]
)
def test_other_animations_are_refused(tmp_path, name, frames):
    with pytest.raises(UserError, match=name):
        grids.save_animation(tmp_path / name, frames)


def test_scatter_draws_both_kinds_of_points(tmp_path):
    real = np.random.default_rng(0).normal(size=(200, 2))
    reddish = {}
    far = np.concatenate([real + 1e3, real * np.nan])
    for name, fake in (("near", real + 0.1), ("far", far)):
        grids.save_scatter(tmp_path / f"{name}.png", real, fake, title=name)
        image = read(tmp_path / f"{name}.png").astype(int)
        assert image.shape == (520, 500, 3)
        reddish[name] = (image[..., 0] - image[..., 2] > 60).sum()
    assert reddish["near"] > 5 * reddish["far"]


def board(path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(path))
    events.Reload()
    return events


def test_tensorboard_reads_a_resumed_run_back(tmp_path):
    grid = grids.image_grid(np.full((4, 32, 32, 1), 77, np.uint8))
    for start, end in ((0, 5), (3, 6)):
        opened = records.open_records(tmp_path, total=6, step=start)
        for step in range(start + 1, end + 1):
            value = 10 * start + step
            row = {"step": step, "kimg": step / 2, "generator/loss": value, "time": 1e9 + step}
            records.record(opened, row)
        records.record(opened, {"step": end, "fid": math.nan, "event": "look"})
        records.record_samples(opened, end, grid)
        records.close_records(opened)
    events = board(tmp_path)
    losses = [(e.step, e.value, e.wall_time) for e in events.Scalars("generator/loss")]
    expected = [(1, 1), (2, 2), (3, 3), (4, 34), (5, 35), (6, 36)]
    assert losses == [(step, value, 1e9 + step) for step, value in expected]
    (shown,) = events.Images("samples")
    decoded = read(io.BytesIO(shown.encoded_image_string))
    assert shown.step == 6 and (decoded == 77).all()
    assert (read(tmp_path / "samples" / "00000006.png") == 77).all()
    rows = run_log.read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "generator/loss" in row] == [1, 2, 3, 4, 5, 6]


def test_a_row_in_words():
    row = {"step": 3, "kimg": 0.2, "generator/loss": 0.931, "images_per_second": 1234.5}
    assert progress_line.describe(row) == "1,234 images/s, generator 0.931"
    row = {"discriminator/loss": 1.5, "discriminator/real_accuracy": 0.5}
    assert progress_line.describe(row) == "discriminator 1.5 (real 50%)"
    row = {"step": 9, "kimg": 0.2, "time": 1.0, "fid50k": 3.21, "event": "best so far"}
    assert progress_line.describe(row) == "round 9: best so far, fid50k 3.21"


def test_progress_in_a_log_is_plain_and_seldom(capsys):
    progress = progress_line.open_progress(100, step=40)
    for step in range(41, 61):
        progress_line.tick(progress, {"step": step, "generator/loss": 0.5})
    progress_line.tick(progress, {"step": 60, "fid": 2.0})
    progress_line.close_progress(progress)
    out, err = capsys.readouterr()
    evaluation, last = err.splitlines()
    assert not out and "\r" not in err
    assert evaluation == "round 60: fid 2"
    assert last.startswith(" 60% 60/100 [") and last.endswith("generator 0.5]")
    assert "rounds/s" in last


def test_progress_does_not_count_compiling(capsys, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress_line.time, "time", lambda: now[0])
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    progress = progress_line.open_progress(110)
    for step, clock in ((10, 1500.0), (20, 1501.0), (30, 1502.0)):
        now[0] = clock
        progress_line.tick(progress, {"step": step, "generator/loss": 0.5})
    progress_line.close_progress(progress)
    assert "[00:02<00:08, 10.00 rounds/s, generator 0.5]" in capsys.readouterr().err


def test_progress_in_a_log_shows_after_ten_seconds(capsys, monkeypatch):
    monkeypatch.setattr(progress_line, "LOG_INTERVAL", 0.0)
    progress = progress_line.open_progress(3)
    for step in (1, 2, 3):
        progress_line.tick(progress, {"step": step, "generator/loss": 0.5})
    progress_line.close_progress(progress)
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_progress_in_a_terminal_stays_on_one_line(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = progress_line.open_progress(3)
    for step in (1, 2, 3):
        progress_line.tick(progress, {"step": step, "generator/loss": 0.5})
    progress_line.close_progress(progress)
    assert terminal.getvalue().count("\n") == 1
    assert "3/3" in terminal.getvalue()


def test_the_environment_can_be_written_as_json():
    found = json.loads(json.dumps(environment.environment()))
    assert found["device"] == "cpu x 8" and found["processes"] == 1
    assert found["versions"]["jax"] and found["versions"]["python"].startswith("3.")
    assert {"revision", "dirty"} <= set(found)


def test_a_package_outside_a_checkout_has_no_revision(tmp_path):
    (tmp_path / "__init__.py").touch()
    assert environment._revision(tmp_path) == {"revision": None, "dirty": None}


def test_a_package_in_a_checkout_has_one(tmp_path):
    (tmp_path / "__init__.py").touch()
    git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b")
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    assert (
        environment._revision(tmp_path)["revision"] is None
    )  # not tracked: somebody else's checkout
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    clean = environment._revision(tmp_path)
    assert len(clean["revision"]) == 40 and clean["dirty"] is False
    (tmp_path / "__init__.py").write_text("x = 1\n")
    assert environment._revision(tmp_path) == clean | {"dirty": True}
