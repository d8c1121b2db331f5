"""Faults: a resumed run whose version, configuration or data differ from the first process's."""

import json
import shutil

from PIL import Image

from faults.harness import QUICK, ROOT, Harness, Verdict, refused
from gan_jax.training import checkpoint, run_dir


def older_version(harness: Harness) -> Verdict:
    """Remove fields of config.json: the run resumes. Alter the saved tree: it is refused."""
    workdir = harness.copy("older_version")
    path = workdir / "config.json"
    content = json.loads(path.read_bytes())
    for part, field in (("data", "jitter"), ("run", "backend"), ("generator", "decay")):
        content["experiment"][part].pop(field)
    path.write_text(json.dumps(content))
    verdict = harness.resume(workdir, "")
    if not verdict.passed:
        return verdict
    built, step, state = run_dir.load(workdir)
    shutil.rmtree(workdir / "checkpoints")
    manager = run_dir.open_checkpoints(workdir, built)
    checkpoint.save(manager, step, {"step": state.step, "params": state.params})
    manager.close()
    return refused(harness.train(workdir), f"checkpoint {step}", "another game")


def other_game(harness: Harness) -> Verdict:
    """Change the game: its fields are refused, and with --allow-change the checkpoint's tree."""
    workdir = harness.copy("other_game")
    more = ("--game.z", "7")
    verdict = refused(harness.train(workdir, *more), "game.z")
    other = refused(harness.train(workdir, *more, "--allow-change", "True"), "another game")
    return other if verdict.passed else verdict


def changed_data(harness: Harness) -> Verdict:
    """Change a picture of the data folder: the run is refused, and resumes once it is restored."""
    pictures = harness.folder / "pictures"
    pictures.mkdir()
    for number in range(16):
        noise = Image.frombytes("L", (8, 8), harness.random.randbytes(64))
        noise.save(pictures / f"{number}.png")
    recipe = f"{ROOT}/experiments/dcgan.py:folder"
    size = ("--data.resolution", "8", "--data.channels", "1", "--generator.network.width", "2")
    size += ("--discriminator.network.width", "2", "--game.z", "4", "--run.metrics")
    flags = (*QUICK, "--run.kimg", "0.016", *size)
    experiment = harness._replace(recipe=recipe, flags=flags)
    workdir, first = harness.folder / "changed_data", pictures / "0.png"
    words = ("--data.path", str(pictures))
    outcome = experiment.train(workdir, *words)
    if outcome.code:
        return Verdict(False, outcome.last_line)
    before = first.read_bytes()
    Image.new("L", (8, 8), 255).save(first)
    verdict = refused(experiment.train(workdir, *words), "content of data set")
    first.write_bytes(before)
    outcome = experiment.train(workdir, *words)
    return (
        verdict
        if outcome.code == 0
        else Verdict(False, f"after the picture was restored: {outcome.last_line}")
    )
