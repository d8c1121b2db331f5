"""Train somebody else's PyTorch code for so many minutes of CPU, on this project's data.

python scripts/other_code.py pictures --data avatars_60000x64 --resolution 64 --out faces/
python scripts/other_code.py pytorch-dcgan --code examples/dcgan --pictures faces/ --out dcgan/
gan-jax evaluate RUN --samples dcgan/samples --metrics kid

The code is a checkout of https://github.com/pytorch/examples, which needs torchvision. It is run
unchanged with its own defaults, on one thread; nothing of it is part of this project. When the
time is up, samples are drawn as it draws them itself.
"""

import contextlib
import dataclasses
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.commands import cli
from gan_jax.errors import UserError, nearest

BATCH = 64  # the example's, of which its batch norms take their statistics also in samples

Draw = Callable[[int], Any]
"""Number of samples -> a tensor [n c h w]."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What to train, on what, for how long."""

    out: str
    """Folder for the result: pictures, or samples and `trained.txt`."""
    code: str = ""
    """Folder of the other code."""
    pictures: str = ""
    """Folder of training pictures, in a sub-folder."""
    minutes: float = 30.0
    """Of CPU time in training."""
    count: int = 2000
    """Samples to draw."""
    data: str = "avatars_60000x64"
    """For `pictures`: the data set whose training split is written as PNG files."""
    path: str | None = None
    """For `pictures`: the folder or zip of a data set 'folder'."""
    resolution: int = 64
    """Side of the pictures in pixels."""


class TimeIsUp(Exception):
    """Training has had its minutes."""


def main() -> None:
    """Write pictures, or train one of the programs and draw its samples."""
    name, *flags = sys.argv[1:] or ["--help"]
    if name.startswith("-"):
        print(f"{__doc__}\nPrograms: pictures, {', '.join(PROGRAMS)}")
        name, flags = "pictures", ["--help"]
    options = cli.parse(Options(""), flags, name)
    if not options.out:
        raise UserError("--out is missing: the folder to write to")
    if name == "pictures":
        write_pictures(options)
        return
    if name not in PROGRAMS:
        guess = nearest(name, ["pictures", *PROGRAMS])
        raise UserError(f"no program {name!r}; did you mean {guess}?")
    program = PROGRAMS[name]
    check(program, options)
    samples = new_folder(options.out, "samples")
    draw, seen, minutes = train(program, options)
    for start in range(0, options.count, BATCH):
        images = draw(BATCH)[: options.count - start].permute(0, 2, 3, 1).numpy()
        for index, image in enumerate(np.clip(np.rint(images * 255.0), 0, 255).astype(np.uint8)):
            Image.fromarray(image.squeeze()).save(samples / f"{start + index:06}.png")
    line = f"{name}: {seen / 1000:g} kimg in {minutes:.1f} minutes of CPU"
    Path(options.out, "trained.txt").write_text(f"{line}\n")
    print(line)


def check(program: "Program", options: Options) -> None:
    """Raise UserError for what would fail after the start."""
    for flag, path in (("--code", options.code), ("--pictures", options.pictures)):
        if not Path(path).is_dir() or not path:
            raise UserError(f"{flag} {path!r} is not a folder")
    if not Path(options.code, program.script).is_file():
        raise UserError(f"--code {options.code!r} has no {program.script}")
    if not any(path.is_dir() for path in Path(options.pictures).iterdir()):
        raise UserError(f"--pictures {options.pictures!r} has no sub-folder with pictures")
    if options.count < 1 or options.minutes <= 0.0:
        raise UserError("--count of at least 1 and --minutes above 0 are needed")
    for module in program.modules:
        if importlib.util.find_spec(module) is None:
            raise UserError(f"{module} is missing: pip install {module}")


def new_folder(out: str, name: str) -> Path:
    """Make a folder. Raises UserError where it holds something already, or cannot be written."""
    folder = Path(out, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"{folder} is not empty: say another --out, or remove it")
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from error
    return folder


def write_pictures(options: Options) -> None:
    """Write a training split as PNG files in `out/all`."""
    from gan_jax.data.pipeline import eval_batches, open_source

    source = open_source(options.data, path=options.path, resolution=options.resolution, channels=3)
    if "image" not in source.records[0]:
        raise UserError(f"--data {options.data!r} has {', '.join(source.records[0])}, no image")
    folder, index = new_folder(options.out, "all"), 0
    for batch in eval_batches(source, 256):
        for image in batch["image"]:
            Image.fromarray(image).save(folder / f"{index:06}.png", compress_level=1)
            index += 1
    print(f"{index:,} pictures in {folder}")


def train(program: "Program", options: Options) -> tuple[Draw, int, float]:
    """Train until the time is up.

    Returns:
        What draws samples in [0, 1], the number of real pictures seen (a program's last, partial
        batches count as whole ones), and minutes of CPU.
    """
    import torch  # pyright: ignore[reportMissingImports]
    from torch.optim.optimizer import (  # pyright: ignore[reportMissingImports]
        register_optimizer_step_post_hook,
    )

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        began, steps = time.process_time(), 0

        def stop(*_: object) -> None:
            nonlocal steps
            steps += 1
            # After both players' moves: the generator's is the second.
            if steps % 2 == 0 and time.process_time() - began > 60.0 * options.minutes:
                raise TimeIsUp

        handle = register_optimizer_step_post_hook(stop)
        code, pictures = Path(options.code).resolve(), Path(options.pictures).resolve()
        with contextlib.chdir(folder):  # it writes where it runs
            scope = program.start(code, pictures, options.resolution)
        handle.remove()
        minutes = (time.process_time() - began) / 60.0
    return program.draw(scope), steps // 2 * program.batch_size, minutes


@dataclasses.dataclass(frozen=True)
class Program:
    """Somebody else's training program.

    Attributes:
        script: the file that trains.
        modules: Python modules that it needs.
        batch_size: real pictures that a discriminator sees in a round.
        start: (folder of the code, pictures, their side) -> what it holds once the time is up.
        draw: what it holds -> what draws its samples.
    """

    script: str
    modules: tuple[str, ...]
    batch_size: int
    start: Callable[[Path, Path, int], Mapping[str, Any]]
    draw: Callable[[Mapping[str, Any]], Draw]


def _start_dcgan(code: Path, pictures: Path, resolution: int) -> Mapping[str, Any]:
    flags = {
        "dataset": "folder",
        "dataroot": pictures,
        "imageSize": resolution,
        "niter": 10**6,
        "workers": 0,
        "manualSeed": 0,
    }
    script = code / "main.py"
    scope: dict[str, Any] = {"__name__": "__main__"}
    sys.argv = [str(script), *(str(word) for k, v in flags.items() for word in (f"--{k}", v))]
    with contextlib.suppress(TimeIsUp):
        exec(compile(script.read_text(), str(script), "exec"), scope)
    return scope


def _draw_dcgan(scope: Mapping[str, Any]) -> Draw:
    import torch  # pyright: ignore[reportMissingImports]

    def draw(count: int) -> Any:
        with torch.no_grad():
            return scope["netG"](torch.randn(count, scope["nz"], 1, 1)) * 0.5 + 0.5

    return draw


PROGRAMS = {
    "pytorch-dcgan": Program("main.py", ("torch", "torchvision"), BATCH, _start_dcgan, _draw_dcgan),
}


if __name__ == "__main__":
    cli.run(main)
