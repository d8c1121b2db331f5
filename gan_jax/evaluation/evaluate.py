"""Measures a state's samples, or real images, against a data set."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Array, Key

from gan_jax import config
from gan_jax.build.common import current, floats
from gan_jax.build.data import data_shape, held_out, open_data, test_split
from gan_jax.build.networks import make_network, of_field
from gan_jax.build.parts import CAPABILITIES, Built
from gan_jax.config import Dcgan, Experiment
from gan_jax.data.pipeline import Source
from gan_jax.editing.style_space import one_class, open_space
from gan_jax.errors import UserError
from gan_jax.evaluation import registry, voices
from gan_jax.evaluation.representation import Eye
from gan_jax.evaluation.spec import better
from gan_jax.game import Net, State
from gan_jax.metrics.features import to_uint8
from gan_jax.metrics.names import split_name
from gan_jax.sampling.conditions import Conditions, as_in_data


def check_metrics(built: Built, names: tuple[str, ...] | None = None) -> None:
    """Checks that the experiment can have its metrics (or those of `names`), and its best one.

    Raises:
        UserError: for an unknown metric, feature network or quantity, and for a metric that needs
            what the game, its networks or its data do not provide.
    """
    run = built.experiment.run
    has = built.provides | _of_data(built.experiment)
    of_field("run.features", registry.find_features, run.features)
    for name in of_field("run.metrics", registry.expand, run.metrics if names is None else names):
        for need in sorted(registry.METRICS[name].needs - has):
            raise UserError(f"run.metrics: {name!r} needs {CAPABILITIES.get(need, need)}")
        least = 2 * built.classes
        if name == "intra_fid" and run.metric_samples < least:
            at_least = f"run.metric_samples of at least {least}, two a class"
            raise UserError(f"run.metrics: {name!r} needs {at_least}")
    highest(run.best)


def _of_data(experiment: Experiment) -> set[str]:
    if experiment.data.name in config.VOICES:
        return {"voices"}
    return {"images"} if len(data_shape(experiment.data)) == 3 else set()


def highest(best: str) -> bool:
    """Whether the best checkpoint has the highest value of the quantity `best`.

    Raises UserError for no known quantity, and for one of which neither way is better.
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
    features: str | None = None,
) -> dict[str, float]:
    """All that `measure` finds."""
    asked = {"split": split, "metrics": metrics, "count": count, "features": features}
    found = measure(built, state, key, source, **asked)
    return {name: value for some in found for name, value in some.items()}


def measure(
    built: Built,
    state: State,
    key: Key[Array, ""],
    source: Source,
    *,
    split: str | None = None,
    metrics: tuple[str, ...] = (),
    count: int | None = None,
    features: str | None = None,
) -> Iterator[dict[str, float]]:
    """The metrics of a state's samples against a data source, one after the other.

    By default those that the experiment names. Samples that begin with data are those of the test
    split, compared with it, at most one each.
    """
    run = built.experiment.run
    subject = make_subject(
        *(built, state, key, source),
        split=split,
        count=count or run.metric_samples,
        features=features or run.features,
    )
    yield from registry.measure(metrics or run.metrics, subject)


def measure_real(
    built: Built,
    source: Source,
    others: Source,
    *,
    split: str | None = None,
    metrics: tuple[str, ...] = (),
    count: int | None = None,
    features: str | None = None,
) -> dict[str, float]:
    """The metrics of real pictures in place of samples, `real_fid1k-train[...]`: those of `others`.

    A perfect generator would have as much, by the same count, split and network. Without `metrics`
    those of the experiment that compare samples with data.
    """
    run = built.experiment.run
    named = metrics or tuple(n for n in registry.expand(run.metrics) if n in registry.COMPARISONS)
    found = registry.compare_real(
        *(named, source, others),
        column=built.real,
        split=split_name(split or built.experiment.data.split),
        count=count or run.metric_samples,
        features=registry.find_features(features or run.features),
    )
    return {f"real_{name}": value for name, value in found.items()}


def require_metrics(experiment: Experiment, source: Source) -> None:
    """Opens what the experiment's metrics will take, before there is a round to lose.

    Raises UserError where something is not there.
    """
    if experiment.run.metrics:
        network = registry.find_features(experiment.run.features)
        registry.require(
            experiment.run.metrics, source, network, lambda split: open_data(experiment, split)
        )
        if source.speakers is not None:  # the report plays prompts as well
            voices.common(test_split(experiment, source).speakers, "x2y")


def make_subject(
    built: Built,
    state: State,
    key: Key[Array, ""],
    source: Source,
    *,
    split: str | None,
    count: int,
    features: str,
) -> registry.Subject:
    """A state's samples beside a data source: what metrics take."""
    experiment, sampler = built.experiment, built.sampler
    if built.held_out and split is None:
        apart = held_out(built, source)
        source, split = apart, experiment.data.split if apart is source else "test"
        count = min(count, source.size or count)
    convert = to_uint8 if len(data_shape(experiment.data)) == 3 else np.asarray

    def imitated(source: Source, count: int) -> Conditions:
        return as_in_data(sampler.conditions(source, count), source)

    return registry.Subject(
        draw=lambda conditions: sampler.draw(state, key, conditions, convert=convert),
        conditions=sampler.conditions,
        imitated=imitated,
        source=source,
        other=lambda split: open_data(experiment, split),
        real=built.real,
        split=split_name(split or experiment.data.split),
        count=count,
        features=registry.find_features(features),
        paths=lambda: built.exact().paths(state, imitated(source, PATH_CONDITIONS)),
        eye=make_eye(built, state),
        bounds=built.bounds and built.bounds(state),
        space=lambda: open_space(built.game, sampler, state, one_class(built.classes)),
        translate=lambda *what: sampler.translate(state, key, *what),
    )


def make_eye(built: Built, state: State) -> Eye | None:
    """The network that looks at pictures, if its class can be trained on labels as well."""
    experiment = built.experiment
    name = "encoder" if "encoder" in built.game.nets else "discriminator"
    net = built.game.nets.get(name)
    if not isinstance(net, Net) or not isinstance(experiment.discriminator.network, Dcgan):
        return None
    shape = data_shape(experiment.data)

    def twin(classes: int) -> Net:
        module = make_network(experiment, "discriminator", shape, outputs=classes)
        return Net(module, (floats(*shape),))

    return Eye(net, current(state, name), twin)


PATH_CONDITIONS = 512  # labels or captions that paths are drawn with
