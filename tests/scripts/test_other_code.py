"""scripts/other_code.py stops a program after its minutes and draws its samples."""

import dataclasses

import other_code
import pytest
from helpers.command_line import run
from PIL import Image

from gan_jax.errors import UserError

PROGRAM = """
import argparse, torch

parser = argparse.ArgumentParser()
for name in ("dataset", "dataroot", "imageSize", "niter", "workers", "manualSeed"):
    parser.add_argument(f"--{name}")
side, nz = int(parser.parse_args().imageSize), 4
netG = torch.nn.ConvTranspose2d(nz, 3, side)
netD = torch.nn.Conv2d(3, 1, side)
optimizers = [torch.optim.Adam(net.parameters()) for net in (netD, netG)]
while True:
    for optimizer in optimizers:
        optimizer.zero_grad()
        netD(netG(torch.ones(1, nz, 1, 1))).sum().backward()
        optimizer.step()
"""


def test_program_is_stopped_and_its_samples_are_drawn(tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch")
    code, pictures, out = (tmp_path / name for name in ("code", "pictures", "out"))
    code.mkdir()
    (pictures / "all").mkdir(parents=True)
    (code / "main.py").write_text(PROGRAM)
    places = ["--code", code, "--pictures", pictures, "--out", out, "--resolution", 8]
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)  # other tests keep theirs
    program = other_code.PROGRAMS["pytorch-dcgan"]
    program = dataclasses.replace(program, modules=("torch",))
    monkeypatch.setitem(other_code.PROGRAMS, "pytorch-dcgan", program)
    limits = ["--minutes", 0.001, "--count", 70]
    assert run(other_code, "pytorch-dcgan", *places, *limits) == 0
    files = sorted((out / "samples").iterdir())
    assert len(files) == 70 and Image.open(files[69]).size == (8, 8)
    line = (out / "trained.txt").read_text()
    assert line in capsys.readouterr().out and float(line.split()[1]) > 0.0


def test_mistakes_are_named(tmp_path, capsys):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "0.png").touch()
    (tmp_path / "main.py").touch()
    here = ["--code", tmp_path, "--pictures", tmp_path, "--out", tmp_path]
    assert run(other_code, "pytorch-dcgan", *here, "--count", 0) == 2
    assert "--count of at least 1" in capsys.readouterr().err
    assert run(other_code, "pictures", "--data", "emoji_pairs", "--out", tmp_path) == 2
    assert "no image" in capsys.readouterr().err
    with pytest.raises(UserError, match="is not empty"):
        other_code.new_folder(str(tmp_path), "samples")
    assert run(other_code, "pytorch-dcgan", "--out", tmp_path, "--code", tmp_path / "none") == 2
    assert "--code" in capsys.readouterr().err
    assert run(other_code, "pytorch-dcgam", "--out", tmp_path) == 2
    assert "did you mean 'pytorch-dcgan'" in capsys.readouterr().err


def test_pictures_are_the_training_split(tmp_path, capsys):
    assert run(other_code, "pictures", "--data", "avatars", "--out", tmp_path) == 0
    assert "1,786 pictures" in capsys.readouterr().out
    assert len(list((tmp_path / "all").iterdir())) == 1786
