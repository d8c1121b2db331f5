"""Measures a state's samples, or real images, against a data set."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Array, Key

from gan_jax import config
from gan_jax.build.averages import choose_average, is_default
from gan_jax.build.common import current, floats
from gan_jax.build.data import data_shape, held_out, open_data, test_split
from gan_jax.build.networks import make_network, of_field
from gan_jax.build.parts import CAPABILITIES, Built
from gan_jax.config import Experiment
from gan_jax.data.pipeline import Source, open_source
from gan_jax.editing.style_space import one_class, open_space
from gan_jax.errors import UserError, nearest
from gan_jax.evaluation import registry, voices
from gan_jax.evaluation.representation import ProbeNetwork
from gan_jax.evaluation.spec import bare, better
from gan_jax.game import Net, State
from gan_jax.metrics.features import to_uint8
from gan_jax.metrics.names import split_name
from gan_jax.sampling.conditions import Conditions, as_in_data


def check_metrics(built: Built, checked: tuple[str, ...] | None = None) -> None:
    """Checks that the experiment can have its metrics (or those of `checked`), and its best one.

    Raises:
        UserError: for an unknown metric, feature network or quantity, and for a metric that needs
            what the game, its networks or its data do not provide.
    """
    run = built.experiment.run
    has = built.provides | _of_data(built.experiment)
    of_field("run.features", registry.find_features, run.features)
    names = run.metrics if checked is None else checked
    metrics = of_field("run.metrics", registry.expand, names)
    for name in metrics:
        for need in sorted(registry.METRICS[name].needs - has):
            lacks = built.missing.get(need) or CAPABILITIES.get(need, need)
            raise UserError(f"run.metrics: {name!r} needs {lacks}")
        least = 2 * built.classes
        if name == "intra_fid" and run.metric_samples < least:
            at_least = f"run.metric_samples of at least {least}, two a class"
            raise UserError(f"run.metrics: {name!r} needs {at_least}")
    highest(run.best)
    if checked is None and metrics and run.best:
        found = {quantity for name in metrics for quantity in registry.METRICS[name].better}
        if bare(run.best) not in found:
            near = nearest(run.best, found)
            raise UserError(f"run.best = {run.best!r} is not measured; did you mean {near}?")


def _of_data(experiment: Experiment) -> set[str]:
    if experiment.data.name in config.VOICES:
        return {"voices"}
    return {"images"} if len(data_shape(experiment.data)) == 3 else set()


def highest(best: str) -> bool:
    """Whether the best checkpoint has the highest value of the quantity `best`.

    Raises:
        UserError: for an unknown quantity, and for one of which neither direction is better.
    """
    direction = of_field("run.best", better, best) if best else "lower"
    if direction == "neither":
        raise UserError(f"run.best = {best!r}: neither more nor less of it is better")
    return direction == "higher"


def evaluate(
    built: Built,
    state: State,
    key: Key[Array, ""],
    source: Source,
    *,
    split: str | None = None,
    metrics: tuple[str, ...] = (),
    count: int | None = None,
    features: Sequence[str] = (),
    ema: float | None = None,
) -> dict[str, float]:
    """Compute the metrics of a state's samples; the arguments are those of `measure`."""
    options = {"split": split, "metrics": metrics, "count": count, "features": features, "ema": ema}
    results = measure(built, state, key, source, **options)
    return {name: value for values in results for name, value in values.items()}


def measure(
    built: Built,
    state: State,
    key: Key[Array, ""],
    source: Source,
    *,
    split: str | None = None,
    metrics: tuple[str, ...] = (),
    count: int | None = None,
    features: Sequence[str] = (),
    ema: float | None = None,
) -> Iterator[dict[str, float]]:
    """Compute the metrics of a state's samples one after the other.

    Args:
        built: the experiment as objects.
        state: the state whose samples are measured.
        key: of the samples' noise.
        source: the data that they are compared with.
        split: its split; None for the experiment's. Samples that begin with data, as translations
            do, are then those of the test split, at most one for each of its rows.
        metrics: their names; empty for those of the experiment.
        count: samples to draw; None for the experiment's number.
        features: feature extractors, one after the other; empty for the experiment's.
        ema: the half-life in kimg of the averaged networks that make the samples; None for the
            first.

    Yields:
        The values of each metric, under full names; those of samples name a half-life that is not
        the first.

    Raises:
        UserError: for a half-life that the run does not keep.
    """
    run, state = built.experiment.run, choose_average(built, state, ema)
    names, option = metrics or run.metrics, () if is_default(built, ema) else (f"ema={ema:g}",)
    for network in features or (run.features,):
        context = make_context(
            built,
            state,
            key,
            source,
            split=split,
            count=count or run.metric_samples,
            features=network,
        )
        yield from registry.measure(names, context, option)
        names = registry.using_features(names)  # of the others no value changes


def measure_pictures(
    built: Built,
    source: Source,
    others: Source,
    *,
    split: str | None = None,
    metrics: tuple[str, ...] = (),
    count: int | None = None,
    features: Sequence[str] = (),
    prefix: str = "real_",
) -> dict[str, float]:
    """Compute metrics of given images in the place of samples: `real_fid1k-train[...]`.

    Of real images they are what a perfect generator would reach with the same count, split and
    features.

    Args:
        built: the experiment as objects.
        source: the data that the images are compared with.
        others: the images.
        split: the name of the split that `source` is; None for the experiment's.
        metrics: their names; empty for those of the experiment that compare distributions.
        count: images to use; None for the experiment's number.
        features: feature extractors, one after the other; empty for the experiment's.
        prefix: of the names: "real_" for real images, empty for another program's samples.
    """
    run = built.experiment.run
    named = metrics or tuple(n for n in registry.expand(run.metrics) if n in registry.COMPARISONS)
    found: dict[str, float] = {}
    for network in features or (run.features,):
        found |= registry.compare_pictures(
            named,
            source,
            others,
            column=built.real,
            split=split_name(split or built.experiment.data.split),
            count=count or run.metric_samples,
            features=registry.find_features(network),
        )
    return {f"{prefix}{name}": value for name, value in found.items()}


def open_pictures(built: Built, path: str) -> Source:
    """Open a folder or zip of pictures, resized as an experiment's data, to compare with it.

    Raises:
        UserError: for a path that holds no pictures, and for an experiment without images.
    """
    data = built.experiment.data
    if "images" not in _of_data(built.experiment):
        raise UserError(f"a folder of pictures cannot be compared with {data.name!r}: no pictures")
    side, _, channels = data_shape(data)
    return open_source(
        "folder",
        split="all",
        path=path,
        resolution=side,
        channels=channels,
        resize=data.resize,
        on_bad_image=data.on_bad_image,
    )


def require_metrics(experiment: Experiment, source: Source, split: str | None = None) -> None:
    """Open everything that the experiment's metrics need, before the first round.

    Args:
        experiment: the experiment.
        source: the training data.
        split: the split that samples are compared with; None for the experiment's.

    Raises:
        UserError: for a feature extractor, a split or a recording that is missing, and for data
            that a metric cannot measure.
    """
    if experiment.run.metrics:
        network = registry.find_features(experiment.run.features)
        registry.require(
            experiment.run.metrics,
            source,
            network,
            lambda other: open_data(experiment, other),
            split or experiment.data.split,
        )
        if source.speakers is not None:  # the report plays prompts as well
            voices.common(test_split(experiment, source).speakers, "x2y")


def compared_with(built: Built, source: Source) -> tuple[Source, str]:
    """The data that samples are compared with where no split is named, and its split."""
    shown = held_out(built, source)
    return shown, built.experiment.data.split if shown is source else "test"


def make_context(
    built: Built,
    state: State,
    key: Key[Array, ""],
    source: Source,
    *,
    split: str | None,
    count: int,
    features: str,
) -> registry.EvalContext:
    """The evaluation context of a state's samples and a data set."""
    experiment, sampler = built.experiment, built.sampler
    if built.held_out and split is None:
        source, split = compared_with(built, source)
        count = min(count, source.size or count)
    convert = to_uint8 if len(data_shape(experiment.data)) == 3 else np.asarray

    def imitated(source: Source, count: int) -> Conditions:
        return as_in_data(sampler.conditions(source, count), source)

    return registry.EvalContext(
        draw=lambda conditions: sampler.draw(state, key, conditions, convert),
        stream=lambda conditions: sampler.stream(state, key, conditions, convert),
        conditions=sampler.conditions,
        imitated=imitated,
        source=source,
        other=lambda split: open_data(experiment, split),
        real=built.real,
        split=split_name(split or experiment.data.split),
        count=count,
        features=registry.find_features(features),
        paths=lambda: built.exact().paths(state, imitated(source, PATH_CONDITIONS)),
        probe_network=make_probe_network(built, state),
        bounds=built.bounds and built.bounds(state),
        space=lambda: open_space(built.game, sampler, state, one_class(built.classes)),
        translate=lambda *what: sampler.translate(state, key, *what),
        directions=sampler.directions,
    )


def make_probe_network(built: Built, state: State) -> ProbeNetwork | None:
    """The discriminator (or encoder) if its features can be probed, else None."""
    experiment = built.experiment
    name = "encoder" if "encoder" in built.game.nets else "discriminator"
    net = built.game.nets.get(name)
    if not isinstance(net, Net) or "discriminator features" not in built.provides:
        return None
    shape = data_shape(experiment.data)

    def twin(classes: int) -> Net:
        module = make_network(experiment, "discriminator", shape, outputs=classes)
        return Net(module, (floats(*shape),))

    return ProbeNetwork(net, current(state, name), twin)


PATH_CONDITIONS = 512  # labels or captions, of which paths between latents draw one each
