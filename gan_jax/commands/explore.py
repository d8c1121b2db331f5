"""Serves a local page to explore what a trained run makes.

gan-jax explore                          # a trained generator of the package
gan-jax explore RUN                      # then open the address that it prints
gan-jax explore RUN --attributes True   # of styles, sliders for the data's attributes as well

The page has what the run can do: pictures by seed, class or caption, a gallery and walks;
truncation, style mixing and directions of a generator of styles; translation of a picture that is
dropped on it; conversion of a recording. Only this machine sees the page, unless --host says
otherwise.
"""

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gan_jax.commands import cli
from gan_jax.errors import UserError
from gan_jax.json_types import JsonObject

if TYPE_CHECKING:
    import numpy as np

    from gan_jax.build.parts import Built
    from gan_jax.data.source import Source
    from gan_jax.editing.explorer.pictures import Pictures
    from gan_jax.editing.explorer.routes import Part
    from gan_jax.editing.explorer.styles import Classes
    from gan_jax.game import State


DEFAULT = "zoo:garments"  # explored where no run is given


@dataclasses.dataclass(frozen=True)
class Options:
    """Where to serve, and what sliders there are."""

    host: str = "127.0.0.1"
    """The address to bind; 0.0.0.0 shows the page to the network."""
    port: int = 8000
    """0 takes a free one."""
    step: int | Literal["best"] | None = None
    """The checkpoint's round, or 'best' of a run with run.best; by default the newest."""
    ema: float | None = None
    """Of a run with several averages, the half-life in kimg of those that make the samples; by
    default game.ema_kimg."""
    label: int = 0
    """The class that the page begins with, of a class-conditional generator; PCA and attributes are
    those of its styles."""
    truncation_mean: Literal["all", "class"] = "all"
    """What truncation moves w towards: the mean over all classes, or that of the class."""
    sefa: int = 5
    """Of styles, sliders by closed form, from the weights of all layers."""
    pca: int = 5
    """Of styles, sliders along the largest spread of w."""
    attributes: bool = False
    """Of styles, sliders for the data's attributes; the first time, their classifiers are
    trained."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A loaded run: what `run_dir.load` gives, and the words of the command that samples it."""

    workdir: Path
    built: "Built"
    step: int
    state: "State"
    sample: tuple[str, ...]


def main() -> None:
    """Reads the run's directory and the flags, then serves until Ctrl-C."""
    words = sys.argv[1:]
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        sys.argv.insert(1, DEFAULT)
        print(f"no RUN given: {DEFAULT}; --help says how to choose another")
    workdir, options = cli.of_run(Options(), __doc__)

    from gan_jax.editing.explorer import pictures, server
    from gan_jax.editing.explorer.routes import Explorer
    from gan_jax.training import run_dir

    if options.sefa < 0 or options.pca < 0 or not 0 <= options.port < 65536:
        raise UserError("sefa and pca must not be negative, and port is from 0 to 65535")
    cli.compilation_cache()
    built, step, state = run_dir.load(workdir, options.step, options.ema)
    run = Run(workdir, built, step, state, sample_words(workdir, options))
    drawn, parts = open_pictures(run, options), open_files(run)
    if drawn is not None:
        parts = (pictures.make_part(drawn), *parts)
    if not parts:
        raise UserError(f"{workdir}: there is nothing to explore: no latents and no translations")
    explorer = Explorer(f"{built.experiment.name}, round {step}", parts)
    bound = server.serve(explorer, options.host, options.port)
    if drawn is not None:
        height, width, _ = drawn.draw(drawn.read("")).shape
        print(f"{pictures.milliseconds(drawn):.1f} ms a picture of {height} x {width} px")
    print(f"{server.address(bound, options.host)} (Ctrl-C ends it)", flush=True)
    with bound, contextlib.suppress(KeyboardInterrupt):
        bound.serve_forever()


def sample_words(workdir: Path, options: Options) -> tuple[str, ...]:
    """The words of the command that samples the same networks of the run."""
    words = [*cli.command("sample").split(), str(workdir)]
    chosen = {"--step": options.step, "--ema": options.ema}
    return (*words, *(str(w) for n, v in chosen.items() if v is not None for w in (n, v)))


def open_pictures(run: Run, options: Options) -> "Pictures | None":
    """The pictures of a game that makes them from styles or latents; None of another one."""
    from gan_jax.build.data import data_shape, find_data

    provides = run.built.provides
    if not provides & {"styles", "latents"}:
        return None
    source = find_data(run.built)
    axes = len(data_shape(run.built.experiment.data))
    if axes == 1:
        return _points(run, source)
    if axes != 3:
        raise UserError(f"{run.workdir}: samples of {axes} axes cannot be shown")
    names = _class_names(run.built, source, options.label)
    if "styles" in provides:
        return _styles(run, options, names)
    return _latents(run, options, names, source)


def _class_names(built: "Built", source: "Source | None", label: int) -> tuple[str, ...]:
    """The names of the classes, or their numbers; none of an unconditional generator."""
    classes = built.sampler.recipe.classes
    if label < 0 or label >= max(1, classes):
        raise UserError(f"label = {label}: this generator has {classes} classes")
    named = source.class_names if source is not None and classes else None
    return tuple(named or map(str, range(classes)))


def _points(run: Run, source: Any) -> "Pictures":
    from gan_jax.editing.explorer.points import point_pictures
    from gan_jax.training import sample_grids

    count = 512
    conditions = run.built.sampler.conditions(source, count)
    real = sample_grids.real_samples(source, count)
    return point_pictures(run.built.sampler, run.state, conditions, real, sample=run.sample)


def _styles(run: Run, options: Options, names: Sequence[str]) -> "Pictures":
    from gan_jax.build.data import open_data
    from gan_jax.editing import style_space
    from gan_jax.editing.explorer import styles
    from gan_jax.evaluation import attribute_editing

    built = run.built
    label = style_space.one_class(len(names), options.label)
    space = style_space.open_space(built.game, built.sampler, run.state, label)
    own_mean = options.truncation_mean == "class"
    if own_mean:
        space = style_space.with_class_mean(space, label)
    layers = range(space.styles.layers)
    directions = []
    if options.attributes:
        found, missing = attribute_editing.find(space, open_data(built.experiment, "train"))
        directions += found
        for name, why in missing.items():
            print(f"no direction of {name}: {why}")
    directions += style_space.sefa(space, layers, options.sefa)
    directions += style_space.pca(space, layers, options.pca)
    classes: Classes | None = None
    if names:
        map_ = built.sampler.styles(run.state).map
        classes = styles.Classes(names, options.label, map_, own_mean)
    return styles.style_pictures(space, directions, classes=classes, sample=run.sample)


def _latents(run: Run, options: Options, names: Sequence[str], source: Any) -> "Pictures":
    from gan_jax.editing.explorer.captions import read_captions
    from gan_jax.editing.explorer.latents import latent_pictures

    captions = None
    if "captions" in run.built.provides:
        captions = read_captions([("", source), *_train_split(run.built, source)])
    return latent_pictures(
        run.built.sampler,
        run.state,
        classes=names,
        captions=captions,
        label=options.label,
        sample=run.sample,
    )


def _train_split(built: "Built", held_out: "Source") -> "list[tuple[str, Source]]":
    """The training split by its name, unless it is missing or the held-out one."""
    from gan_jax.build.data import find_data

    try:
        train = find_data(built, "train")
    except UserError:  # no such split, or data that is not here
        return []
    return [] if train is None or train.fingerprint == held_out.fingerprint else [("train", train)]


def open_files(run: Run) -> "tuple[Part, ...]":
    """The parts of a game that translates pictures or voices; none of another one."""
    from gan_jax.training import run_dir

    if "translation" not in run.built.provides:
        return ()
    speakers = run_dir.read_config(run.workdir)["data"].get("speakers")
    return (_translations(run) if speakers is None else _voices(run, speakers),)


def _held_out(built: "Built") -> "Source | None":
    """The data that examples are taken from; None, and why, where it is missing."""
    from gan_jax.build.data import find_data

    try:
        return find_data(built)
    except UserError as error:
        print(f"no held-out examples: {error}")
        return None


def _translations(run: Run) -> "Part":
    from gan_jax.build.data import data_shape
    from gan_jax.editing.explorer import translations
    from gan_jax.grids import to_uint8

    sampler, source = run.built.sampler, _held_out(run.built)
    resolution, _, channels = data_shape(run.built.experiment.data)
    columns = {} if source is None else sampler.conditions(source, translations.EXAMPLES)
    sides = {direction: direction.partition("2")[0] for direction in sampler.directions}
    return translations.make_part(
        sampler,
        run.state,
        {way: to_uint8(columns[side]) for way, side in sides.items() if side in columns},
        channels=channels,
        resolution=resolution,
        sample=run.sample,
    )


def _voices(run: Run, facts: JsonObject) -> "Part":
    import jax

    from gan_jax.data.speech import from_facts
    from gan_jax.data.world import read_wave
    from gan_jax.editing.explorer import voices
    from gan_jax.evaluation.voices import convert_file
    from gan_jax.reporting.voices import spectrograms

    sampler, source = run.built.sampler, _held_out(run.built)
    speakers, key = from_facts(facts), jax.random.key(0)
    translate = voices.in_pieces(functools.partial(sampler.translate, run.state, key))

    def convert(path: Path, out: Path, direction: str) -> None:
        convert_file(path, out, translate, speakers, direction)

    def spectrogram(path: Path) -> bytes:
        wave, rate = read_wave(path)
        return spectrograms({"": wave}, rate)

    def examples(direction: str) -> "list[np.ndarray]":
        if source is None or source.speakers is None:
            return []
        return [one.wave for one in source.speakers.utterances[direction.partition("2")[0]][:3]]

    held_out = {direction: examples(direction) for direction in sampler.directions}
    converter = voices.Converter(convert, spectrogram, held_out, speakers.rate)
    return voices.make_part(converter, sample=run.sample)
