"""Draws from a trained run: a grid of samples, a walk between latents, or one's own translated.

gan-jax sample RUN                               # RUN/samples-seed0.png, 64 samples
gan-jax sample zoo:garments --out grid.png       # from the package; `zoo:` lists all
gan-jax sample RUN --out walk.gif --frames 90    # a closed walk through latent space
gan-jax sample RUN --labels dress bag 3          # of these classes, a row each
gan-jax sample RUN --captions 0 7                # from one held-out caption to another
gan-jax sample RUN --input PICTURES --direction y2x --out DIR   # of any sizes
gan-jax sample RUN --input a.wav --direction x2y   # a recording, in the other voice

Of a generator with styles, with pictures truncated by --psi and the layers named by --layers:

gan-jax sample RUN --show mixing                 # coarse, middle, fine styles exchanged
gan-jax sample RUN --show truncation             # psi from 1 to -1, or --strengths
gan-jax sample RUN --show noise                  # what the noise draws, and where
gan-jax sample RUN --show walk --space z         # a closed walk, through Z or W
gan-jax sample RUN --show project --input a.png  # a real picture's styles, in W and W+
gan-jax sample RUN --show directions --method pca --layers 0-3 --strengths -2 0 2
"""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gan_jax import zoo
from gan_jax.commands import cli
from gan_jax.errors import UserError, nearest

if TYPE_CHECKING:  # jax is imported when the flags have been read
    import numpy as np

    from gan_jax.build.parts import Built
    from gan_jax.editing.projection import Loss
    from gan_jax.game import State


@dataclasses.dataclass(frozen=True)
class Options:
    """What to draw."""

    out: str | None = None
    """A .png for a grid, a .gif or .mp4 for a walk; by default RUN/samples-seedSEED.png. With
    --input the folder for translated pictures, by default RUN/DIRECTION."""
    show: str = ""
    """Of styles: mixing, truncation, noise, walk, project or directions."""
    input: str | None = None
    """A picture, a folder or a zip of pictures of any sizes, to translate; each keeps its name. Of
    a run on voices a recording, WAV, FLAC, Ogg or MP3; --out is then the file's name. Of
    --show project the picture to project, by default the first of the test split."""
    direction: str = "x2y"
    """Of --input: x2y, or y2x where the run translates both ways."""
    count: int | None = None
    """Samples in the grid, by default 64, or eight of each of a few classes; side by side in the
    walk, by default as many as a square of 256 pixels holds; of a show 6."""
    columns: int | None = None
    seed: int = 0
    labels: tuple[str, ...] = ()
    """Classes by name or number, a row each, of a class-conditional generator; of a show the
    first one's pictures."""
    captions: tuple[int, ...] = ()
    """Rows of the data; each line of the grid goes from one's caption to the next one's."""
    split: str | None = None
    """Of the data that samples begin with, if they do; by default the test split."""
    step: int | Literal["best"] | None = None
    """The checkpoint's round, or 'best' of a run with run.best; by default the newest."""
    ema: float | None = None
    """Of a run with several averages, the half-life in kimg of those that make the samples; by
    default game.ema_kimg."""
    frames: int = 90
    """Of a walk."""
    stops: int = 6
    """Latents that a walk visits before it closes."""
    fps: float = 20.0
    psi: float = 0.7
    """Truncation of a show's pictures: 1 is none, 0 the mean of all."""
    layers: str = ""
    """Of a show: '2,4-5', 'all', 'coarse', 'middle' or 'fine'; by default all, or each band."""
    truncation_mean: Literal["all", "class"] = "all"
    """What truncation moves w towards: the mean over all classes, or that of the class shown."""
    strengths: tuple[float, ...] = ()
    """Of edits, in standard deviations of w; of a truncation sweep its psis."""
    method: Literal["sefa", "pca", "attributes"] = "sefa"
    """What finds directions: the weights, the spread of w, or attributes of the data."""
    space: Literal["w", "z"] = "w"
    """Where a shown walk goes: straight lines in W, great circles in Z."""
    steps: int = 500
    """Of a projection."""
    perceptual: bool = True
    """Whether a projection also looks through a network, not at pixels alone."""
    terminal: bool = False
    """Draw a .png in the terminal too."""


def main() -> None:
    """Reads the run's directory and the flags, then draws."""
    workdir, options = cli.of_run(Options(), __doc__)

    import numpy as np

    from gan_jax import grids
    from gan_jax.build.data import data_shape, find_data
    from gan_jax.sampling.conditions import between_captions, of_classes
    from gan_jax.training import run_dir, sample_grids

    cli.compilation_cache()
    if options.out is not None and (options.input is None or options.show):
        check_ending(Path(options.out), options.fps)
        cli.writable(options.out)
    built, step, state = run_dir.load(workdir, options.step, options.ema)
    key = cli.key(options.seed)
    if options.input is not None and not options.show:
        facts = run_dir.read_config(workdir)["data"].get("speakers")
        if facts is not None:
            convert_voice(built, state, key, workdir, options, facts)
            return
        translate_input(built, state, key, workdir, options)
        return
    out = Path(options.out or zoo.outputs(workdir) / f"samples-seed{options.seed}.png")
    shape, still = data_shape(built.experiment.data), out.suffix.lower() == ".png"
    count = options.count
    if count is None:
        usual = still and built.sampler.shown is None
        count = sample_grids.grid_size(built) if usual else default_count(shape, still)
    if count < 1 or (options.columns or 1) < 1 or options.frames < 2 or options.stops < 2:
        raise UserError("count and columns must be at least 1, frames and stops at least 2")
    if not 0.0 < options.fps <= 1000.0:
        raise UserError(f"fps = {options.fps:g}: above 0 and at most 1000 is needed")
    if not all(map(math.isfinite, (options.psi, *options.strengths))):
        raise UserError("psi and strengths must be finite numbers")
    if options.show:
        return show(workdir, options, built, step, state)
    asked = bool(options.labels or options.captions)
    if asked and options.count is not None:
        raise UserError("--count is not used with --labels or --captions; did you mean --columns?")
    source: Any = find_data(built, options.split, needed=asked)
    conditions = built.sampler.conditions(source, count)
    columns, over = options.columns or built.sampler.columns, conditions
    if asked:
        columns = columns or 8
        if options.captions:
            over = built.sampler.conditions(source, 512)  # batch norm saw all of them
            conditions = between_captions(source, options.captions, columns)
        else:
            conditions = of_classes(conditions, source, options.labels, columns)
    if "text" in conditions and source.captions is not None:
        describe(source.captions(), options.captions or range(len(conditions["index"])))
    if still:
        samples = built.sampler.draw(state, key, conditions, over=over)
        if samples.ndim == 2:
            reals = sample_grids.real_samples(source, count)
            grids.save_scatter(out, reals, samples, title=f"round {step}")
        else:
            views = sample_grids.sample_views(built.sampler, state, key, conditions, samples)
            grids.save_png(out, sample_grids.views_grid(views, columns))
    else:
        if len(shape) < 3:
            raise UserError(f"a walk is drawn of pictures; {workdir} makes none: say a .png")
        walk = built.sampler.walk(state, key, conditions, options.stops, options.frames)
        frames = [grids.image_grid(np.asarray(f), options.columns) for f in walk]
        grids.save_animation(out, frames, fps=options.fps)
    drawn(out, options)
    print(f"{out}: round {step} of {workdir}")


def drawn(out: Path, options: Options) -> None:
    """Draw a .png in the terminal, if asked to."""
    if options.terminal and out.suffix.lower() == ".png":
        from gan_jax.reporting import terminal

        terminal.draw(out)


def default_count(shape: tuple[int, ...], still: bool) -> int:
    """How many samples are drawn: 64, and in a film what a square of 256 pixels holds."""
    from gan_jax.grids import tile_scale

    if still or len(shape) < 3:
        return 64
    return max(1, 256 // (shape[0] * tile_scale(shape[0]))) ** 2


def check_ending(out: Path, fps: float) -> None:
    """Raises UserError for a file that could not be written once it is drawn."""
    ending = out.suffix.lower()
    if ending not in (".png", ".gif", ".mp4"):
        raise UserError(f"{out.name}: pictures are written as .png, walks as .gif or .mp4")
    if ending == ".gif" and fps > 50.0:
        raise UserError(f"fps = {fps:g}: a .gif shows at most 50 frames a second; .mp4 has more")


def show(workdir: Path, options: Options, built: "Built", step: int, state: "State") -> None:
    """Draws a show of styles. Raises UserError for an unknown one, and a game without styles."""
    import numpy as np

    from gan_jax import grids
    from gan_jax.build.data import open_data
    from gan_jax.editing import figures
    from gan_jax.editing.style_space import one_class, open_space, with_class_mean
    from gan_jax.evaluation import attribute_editing
    from gan_jax.sampling.conditions import of_classes

    if options.show not in figures.FIGURES:
        raise UserError(
            f"no show {options.show!r}; did you mean {nearest(options.show, figures.FIGURES)}?"
        )
    out = Path(options.out or zoo.outputs(workdir) / f"{options.show}-seed{options.seed}.png")
    number, classes = 0, getattr(built.experiment.game, "classes", 0)
    if options.labels:
        asked_for = of_classes(
            {"label": np.zeros(classes)} if classes else {},
            *(open_data(built.experiment), options.labels, 1),
        )
        number = int(asked_for["label"][0])
    label = one_class(classes, number)
    space = open_space(built.game, built.sampler, state, label)
    if options.truncation_mean == "class":
        space = with_class_mean(space, label)
    figure_options = figures.FigureOptions(
        cli.key(options.seed),
        count=options.count or 6,
        psi=options.psi,
        layers=options.layers,
        strengths=options.strengths,
        method=options.method,
        frames=options.frames,
        stops=options.stops,
        space=options.space,
        steps=options.steps,
        target=lambda: target(built, options.input),
        distance=lambda: perceptual_distance() if options.perceptual else None,
        attributes=lambda: attribute_editing.find(space, open_data(built.experiment, "train")),
    )
    figure = figures.FIGURES[options.show](space, figure_options)
    if out.suffix.lower() == ".png":
        grids.save_png(out, figure.image)
    elif figure.frames is None:
        raise UserError(f"--show {options.show} does not move: {out.name} must be a .png")
    else:
        grids.save_animation(out, figure.frames(), fps=options.fps)
    drawn(out, options)
    for line in figure.lines:
        print(line)
    print(f"{out}: round {step} of {workdir}")


def target(built: "Built", path: str | None) -> "np.ndarray":
    """A picture [h w c] in [-1, 1] as the game sees them: a file's, or the first held-out one."""
    from gan_jax.build.data import open_data
    from gan_jax.data import decoding
    from gan_jax.sampling.conditions import to_float
    from gan_jax.training import sample_grids

    data = built.experiment.data
    if path is None:
        return sample_grids.real_samples(open_data(built.experiment, "test"), 1, built.real)[0]
    if not Path(path).is_file():
        raise UserError(f"no picture {path!r}")
    preprocessing = decoding.Preprocessing(data.resolution, data.channels, data.resize, "center")
    try:
        return to_float(decoding.decode(Path(path).read_bytes(), preprocessing.checked())).astype(
            "float32"
        )
    except decoding.BadImageError as error:
        raise UserError(f"{path!r} is no picture: {error}") from error


def perceptual_distance() -> "Loss":
    """The perceptual distance that needs no download."""
    from gan_jax.metrics.perceptual import efficientnet_distance

    return efficientnet_distance().run


def translate_input(built, state, key, workdir: Path, options: Options) -> None:
    """Translates the pictures of --input into a folder."""
    from tqdm import tqdm

    from gan_jax.sampling.files import translate_files

    sampler, direction = built.sampler, options.direction
    if direction not in sampler.directions:
        known = ", ".join(sampler.directions)
        why = f"this run translates {known} only" if known else "this run translates no pictures"
        raise UserError(f"--input with --direction {direction}: {why}")
    out = Path(options.out or zoo.outputs(workdir) / direction)
    if out.suffix.lower() in (".png", ".jpg", ".jpeg", ".gif", ".mp4"):
        raise UserError(f"--out {out}: translations go into a folder, one file a picture")
    cli.writable(out / "picture.png")
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
    from gan_jax.evaluation.voices import convert_file

    path = Path(options.input or "").expanduser()
    out = cli.writable(options.out or zoo.outputs(workdir) / f"{path.stem}-{options.direction}.wav")

    def translate(direction, pieces):
        return built.sampler.translate(state, key, direction, pieces)

    print(convert_file(path, out, translate, from_facts(facts), options.direction))


def describe(captions, rows) -> None:
    """Prints the captions of the samples, in the grid's order."""
    for number, row in enumerate(rows):
        print(f"{number:3d} {captions[row % len(captions)]}")
