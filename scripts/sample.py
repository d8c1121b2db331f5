"""Draws from a trained run: a grid of samples, a walk between latents, or one's own translated.

python scripts/sample.py RUN                               # RUN/samples-seed0.png, 64 samples
python scripts/sample.py RUN --out walk.gif --frames 120   # a closed walk through latent space
python scripts/sample.py RUN --labels dress bag 3          # of these classes, a row each
python scripts/sample.py RUN --captions 0 7                # from one held-out caption to another
python scripts/sample.py RUN --input PICTURES --direction y2x --out DIR   # of any sizes
python scripts/sample.py RUN --input a.wav --direction x2y   # a recording, in the other voice
"""

import dataclasses
from pathlib import Path

import cli

from gan_jax.config import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw."""

    out: str | None = None
    """A .png for a grid, a .gif or .mp4 for a walk; by default RUN/samples-seedSEED.png. With
    --input the folder for translated pictures, by default RUN/DIRECTION."""
    input: str | None = None
    """A picture, a folder or a zip of pictures of any sizes, to translate; each keeps its
    name. Of a run on voices a recording, WAV, FLAC, Ogg or MP3; --out is then the file's name."""
    direction: str = "x2y"
    """Of --input: x2y, or y2x where the run translates both ways."""
    count: int = 64
    """Samples in the grid, or side by side in the walk."""
    columns: int | None = None
    seed: int = 0
    labels: tuple[str, ...] = ()
    """Classes by name or number, a row each, of a generator that is told its class."""
    captions: tuple[int, ...] = ()
    """Rows of the data; each line of the grid goes from one's caption to the next one's."""
    split: str | None = None
    """Of the data that samples begin with, if they do; by default the test split."""
    step: int | None = None
    """The checkpoint's round; by default the newest."""
    frames: int = 120
    """Of a walk."""
    stops: int = 6
    """Latents that a walk visits before it closes."""
    fps: float = 20.0


def main() -> None:
    """Reads the run's directory and the flags, then draws."""
    workdir, options = cli.of_run(Options(), __doc__)

    import jax
    import numpy as np

    from gan_jax.training import records, runs, samplers
    from gan_jax.training.build import held_out, open_data

    cli.compilation_cache()
    built, step, state = runs.load(workdir, options.step)
    key = jax.random.key(options.seed)
    if options.input is not None:
        facts = runs.read_config(workdir)["data"].get("speakers")
        if facts is not None:
            convert_voice(built, state, key, workdir, options, facts)
            return
        translate_input(built, state, key, workdir, options)
        return
    out = Path(options.out or workdir / f"samples-seed{options.seed}.png")
    if options.count < 1 or options.frames < 2 or options.stops < 2:
        raise UserError("count must be at least 1, frames and stops at least 2")
    source = open_data(built.experiment, options.split)
    source = source if options.split else held_out(built, source)
    conditions = built.sampler.conditions(source, options.count)
    columns = options.columns or built.sampler.columns
    if options.labels:
        conditions = samplers.of_classes(conditions, source, options.labels, columns or 8)
    if options.captions:
        conditions = samplers.between_captions(source, options.captions, columns or 8)
    if source.captions is not None and "text" in conditions:
        describe(source.captions(), options.captions or range(len(conditions["index"])))
    if out.suffix == ".png":
        samples = built.sampler.draw(state, key, conditions)
        if samples.ndim == 2:
            reals = runs.real_samples(source, options.count)
            records.save_scatter(out, reals, samples, title=f"round {step}")
        else:
            views = runs.views(built.sampler, state, key, conditions, samples)
            records.save_png(out, runs.panels(views, columns))
    else:
        walk = built.sampler.walk(state, key, conditions, options.stops, options.frames)
        frames = [records.image_grid(np.asarray(f), options.columns) for f in walk]
        records.save_animation(out, frames, fps=options.fps)
    print(f"{out}: round {step} of {workdir}")


def translate_input(built, state, key, workdir: Path, options: Options) -> None:
    """Translates the pictures of --input into a folder."""
    from tqdm import tqdm

    from gan_jax.training.pictures import translate_files

    sampler, direction = built.sampler, options.direction
    if direction not in sampler.directions:
        known = ", ".join(sampler.directions)
        why = f"this run translates {known} only" if known else "this run translates no pictures"
        raise UserError(f"--input with --direction {direction}: {why}")
    out = Path(options.out or workdir / direction)
    done = translate_files(
        lambda pictures: sampler.translate(state, key, direction, pictures),
        Path(options.input or "").expanduser(),
        out,
        channels=built.experiment.data.channels,
        multiple=sampler.multiple,
    )
    count = sum(1 for _ in tqdm(done, desc="translated", unit="image", delay=1.0, leave=False))
    print(f"{out}: {count} pictures, {direction} by {workdir}")


def convert_voice(built, state, key, workdir: Path, options: Options, facts) -> None:
    """Converts the recording of --input into a file."""
    from gan_jax.data.speech import from_facts
    from gan_jax.training.voices import convert_file

    path = Path(options.input or "").expanduser()
    out = Path(options.out or workdir / f"{path.stem}-{options.direction}.wav")

    def translate(direction, pieces):
        return built.sampler.translate(state, key, direction, pieces)

    print(convert_file(path, out, translate, from_facts(facts), options.direction))


def describe(captions, rows) -> None:
    """Prints the captions of the samples, in the grid's order."""
    for number, row in enumerate(rows):
        print(f"{number:3d} {captions[row % len(captions)]}")


if __name__ == "__main__":
    cli.run(main)
