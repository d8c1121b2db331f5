"""Open an experiment's data set, and check that its game can use it."""

import jax
from jaxtyping import PyTree

from gan_jax import config
from gan_jax.build.parts import Built
from gan_jax.build.spec import GAMES
from gan_jax.config import Experiment
from gan_jax.data import captions, listing
from gan_jax.data.pipeline import Source, open_source
from gan_jax.data.registry import find_dataset
from gan_jax.data.source import warn_once
from gan_jax.errors import NoSplit, UserError
from gan_jax.game import Batch
from gan_jax.sampling.conditions import to_float


def data_shape(data: config.Data) -> tuple[int, ...]:
    """The shape of one real sample: an image [h w c], a point [d] or a segment of speech [t m]."""
    own = find_dataset(data.name)
    if own is not None and own.shape is not None:
        return own.shape(data)
    if data.name in config.VOICES:
        return (data.frames, data.cepstra)
    if data.name.startswith("toy/"):
        return (2,)
    return (data.resolution, data.resolution, data.channels)


def open_data(experiment: Experiment, split: str | None = None) -> Source:
    """Open the experiment's data set; embedded sets are prepared at their first use.

    Args:
        experiment: names the data set.
        split: the split; None for the experiment's.

    Raises:
        UserError: if the data is missing or lacks what the game needs.
    """
    data = experiment.data
    own = find_dataset(data.name)
    if own is not None:
        source = own.open(data, split or data.split, experiment.seed)
        check_data(experiment.game, source)
        return source
    source = open_source(
        data.name,
        split=split or data.split,
        path=data.path,
        resolution=data.resolution,
        channels=data.channels,
        resize=data.resize,
        on_bad_image=data.on_bad_image,
        data_dir=data.data_dir,
        seed=experiment.seed,
        direction=data.direction,
        frames=data.frames,
        cepstra=data.cepstra,
        encoding=data.encoding,
    )
    if "text" in GAMES[type(experiment.game)].columns and source.class_names:
        source = source if "text" in source.records[0] else captions.with_class_names(source)
    check_data(experiment.game, source)
    return source


def with_classes(experiment: Experiment) -> Experiment:
    """Set `game.classes` to the number that the data has, if the experiment leaves it open.

    Raises:
        UserError: if the data is missing or has no classes.
    """
    if not config.counts_classes(experiment):
        return experiment
    source = open_data(experiment)
    if source.num_classes is None:
        lacks = f"data set {source.name!r} has no classes, and game.condition needs them"
        if source.name != "folder":
            raise UserError(lacks)
        stray = listing.first_unlabelled(experiment.data.path or "")
        raise UserError(
            f"{lacks}: every picture must lie in a sub-folder, of two or more, that is named after "
            f"its class, and {stray!r} lies in none"
        )
    return config.change(experiment, {"game.classes": source.num_classes})


SHIPPED = {
    **{"x": "emoji_pairs", "y": "emoji_pairs"},
    **{"text": "emoji_noto", "label": "fashion_mnist_10k"},
}


def columns(game: config.Game, name: str) -> tuple[str, ...]:
    """The columns of a batch that a game reads, with the data set `name`."""
    needs, own = GAMES[type(game)].columns, find_dataset(name)
    if needs == ("image",):
        needs = (own.column,) if own else ("x",) if name.startswith("toy/") else needs
    return (*needs, *(["label"] if getattr(game, "classes", 0) else []))


def check_data(game: config.Game, source: Source) -> None:
    """Raise UserError if the data lacks a column or classes that the game needs."""
    classes = getattr(game, "classes", 0)
    record = source.records[0]
    for column in columns(game, source.name):
        if column not in record:
            fits = SHIPPED.get(column, "fashion_mnist_10k")
            has = f"data.name = {source.name!r} has {', '.join(record)}"
            raise UserError(f"{has} and no {column!r}, which this game needs; try {fits!r}")
    if classes and source.num_classes != classes:
        known = f"data set {source.name!r} has {source.num_classes}"
        raise UserError(f"game.classes = {classes}: {known}")
    numbers = getattr(game, "text", None)
    if numbers is not None and record["text"].shape != (numbers,):
        known = f"data set {source.name!r} has vectors of {len(record['text'])}"
        raise UserError(f"game.text = {numbers}: {known}")


def held_out(built: Built, source: Source) -> Source:
    """The data that grids and metrics take conditions from.

    The test split where samples begin with data (and there is one), else the data set itself.
    """
    return test_split(built.experiment, source) if built.held_out else source


def test_split(experiment: Experiment, source: Source) -> Source:
    """The experiment's test split, or `source` with a warning where it has none."""
    try:
        return open_data(experiment, "test")
    except NoSplit as error:
        warn_once(f"what is shown and measured was trained on: {error}")
        return source


def find_data(built: Built, split: str | None = None, *, needed: bool = False) -> Source | None:
    """Open the data that grids and metrics take conditions from, if it is available.

    Returns:
        The source; None if the data is missing and nothing needs it.

    Raises:
        UserError: if the data is missing, and samples begin with data, or `split` is given, or it
            is `needed`.
    """
    if built.stand_in:
        stand_in = config.change(built.experiment, {"data.name": built.stand_in})
        built = built._replace(experiment=stand_in)
    try:
        source = open_data(built.experiment, split)
    except UserError:
        if needed or split or built.held_out or len(data_shape(built.experiment.data)) < 3:
            raise
        return None
    return source if split else held_out(built, source)


def to_real(batch: Batch, classes: int = 0) -> dict[str, PyTree]:
    """Convert a host batch to what games read.

    Images become float32 in [-1, 1]; labels become one-hot vectors named "condition"; the column
    that a game from noise imitates ("image", or points "x" [b d]) is named "real".
    """
    found = {}
    for name, value in batch.items():
        generated = name == "image" or (name == "x" and value.ndim == 2)
        found["real" if generated else name] = to_float(value)
    if classes and "label" in found:
        found["condition"] = jax.nn.one_hot(found["label"], classes)
    return found
