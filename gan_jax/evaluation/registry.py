"""The metrics of the package by name, and computing any of them for an evaluation context."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import jax
import numpy as np

from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.data.toy import modes
from gan_jax.errors import UserError, nearest
from gan_jax.evaluation import attribute_editing, caption_accuracy, representation
from gan_jax.evaluation.captions import r_precision
from gan_jax.evaluation.context import EvalContext, num_classes
from gan_jax.evaluation.detail import relative_sharpness
from gan_jax.evaluation.held_out import held_out_distance, require_training_split
from gan_jax.evaluation.labels import accuracy_score, augmentation, intra_fid, label_accuracy
from gan_jax.evaluation.pairs import pairs, require_pairs
from gan_jax.evaluation.reference import image_bar, open_reference
from gan_jax.evaluation.spec import (
    METRICS,
    Direction,
    MetricSpec,
    better,
    register_metric,
)
from gan_jax.evaluation.translation import translations
from gan_jax.evaluation.voices import voices
from gan_jax.metrics import classification, compare, features, perceptual
from gan_jax.metrics.features import Features
from gan_jax.metrics.mode_coverage import mode_coverage
from gan_jax.metrics.names import metric_name, with_options
from gan_jax.metrics.path_length import path_length
from gan_jax.progress import clock

FEATURES: Mapping[str, Callable[[], Features]] = {
    **features.FEATURES,
    "fashion-cnn": lambda: classification.fashion().features,
}
GROUPS = {"prdc": ("precision_recall", "density_coverage")}  # one word for several metrics
COMPARISONS = compare.COMPARISONS
OF_NETWORKS = {"discriminator features", "likelihood"}  # needs of metrics without samples
PATH_PAIRS, DIVERSITY_PAIRS, MIXTURE_SAMPLES = 1000, 1000, 2500


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Replace groups such as "prdc" by their metrics, each once.

    Raises:
        UserError: for an unknown metric, naming the nearest.
    """
    valid = {*METRICS, *GROUPS}
    names = [name.replace("-", "_") for name in names]
    for name in names:
        if name not in valid:
            raise UserError(f"no metric {name!r}; did you mean {nearest(name, valid)}?")
    return tuple(dict.fromkeys(metric for name in names for metric in GROUPS.get(name, (name,))))


def using_features(names: Iterable[str]) -> tuple[str, ...]:
    """The metrics of `names` whose values depend on the feature extractor."""
    return tuple(name for name in expand(names) if "features" in METRICS[name].uses)


def find_features(name: str) -> Callable[[], Features]:
    """The function that loads a feature extractor.

    Raises:
        UserError: for an unknown one, naming the nearest.
    """
    if name not in FEATURES:
        raise UserError(f"no features {name!r}; did you mean {nearest(name, FEATURES)}?")
    return FEATURES[name]


def require(
    names: Iterable[str],
    source: Source,
    network: Callable[[], Features],
    other: Callable[[str], Source],
    split: str,
) -> None:
    """Open everything that metrics need, and check that the data has it.

    Args:
        names: the metrics.
        source: the data set.
        network: loads the feature extractor.
        other: opens another split by name.
        split: the name of the split that samples are compared with.

    Raises:
        UserError: for an unknown metric, for a metric of images on other data, and for what cannot
            be opened or is not in the data.
    """
    uses = frozenset[str]().union(*(METRICS[name].uses for name in _fitting(names, source)))
    opened: Mapping[str, Callable[[], object]] = {
        "mixture": lambda: require_mixture(source),
        "classes": lambda: num_classes(source),
        "attributes": lambda: attribute_editing.reader(source),
        "captioned attributes": lambda: caption_accuracy.reader(source),
        "training split": lambda: require_training_split(split),
        "features": network,
        "distance": perceptual.efficientnet_distance,
        "test": lambda: other("test"),
        "pairs": lambda: require_pairs(other("test")),
    }
    for use, open_ in opened.items():
        if use in uses:
            open_()


def _fitting(names: Iterable[str], source: Source) -> tuple[str, ...]:
    """The metrics of `names`. Raises UserError for a metric of images on other data."""
    names = expand(names)
    of_images = [name for name in names if "images" in METRICS[name].needs]
    columns = source.records[0]
    if of_images and not any(columns[n].ndim == 3 for n in ("image", "x") if n in columns):
        raise UserError(f"metric {of_images[0]!r} needs images; {source.name!r} has none")
    return names


def measure(
    names: Sequence[str], context: EvalContext, options: Sequence[str] = ()
) -> Iterator[dict[str, float]]:
    """Compute metrics one after the other; those that compare distributions share one pass.

    Args:
        names: the metrics.
        context: what they are computed from.
        options: how the samples were made, for the names of metrics of samples.

    Yields:
        The values of each metric, under full names.

    Raises:
        UserError: for an unknown metric, for a metric of images on other data, and for a quantity
            that its metric does not declare.
    """
    names = _fitting(names, context.source)
    compared = [name for name in names if name in COMPARISONS]
    if compared:
        s = context
        made = _compare(compared, s.source, s.stream_samples, s.real, s.split, s.count, s.features)
        yield _named(made, options)
    for name in names:
        compute = METRICS[name].compute
        if compute is not None:
            with clock(f"measuring {name}", delay=2.0):
                values = compute(context)
            yield _named(values, () if METRICS[name].needs & OF_NETWORKS else options)


def _named(values: dict[str, float], options: Sequence[str]) -> dict[str, float]:
    """The values with options in their names.

    Raises UserError for a quantity whose direction is unknown.
    """
    for name in values:
        better(name)
    return {with_options(name, *options): value for name, value in values.items()}


def compare_pictures(
    names: Sequence[str],
    source: Source,
    others: Source,
    *,
    column: str,
    split: str,
    count: int,
    features: Callable[[], Features],
) -> dict[str, float]:
    """Compute metrics of the first `count` images of `others` in the place of samples.

    A folder of images has them in its column 'image'; other data sets in the same one as `source`.

    Raises:
        UserError: for a metric that does not compare distributions, and for no metrics.
    """
    names = _fitting(names, source)
    for name in names:
        if name not in COMPARISONS:
            guess = nearest(name, COMPARISONS)
            raise UserError(f"metric {name!r} is not of given pictures; did you mean {guess}?")
    if not names:
        raise UserError("given pictures are compared by --metrics such as fid, kid or prdc")
    count = min(count, others.size or count)
    own = column if column in others.records[0] else "image"

    def read(count: int) -> Iterator[np.ndarray]:
        return (batch[own] for batch in eval_batches(others, 256, count=count))

    return _compare(names, source, read, column, split, count, features)


def _compare(
    names: Sequence[str],
    source: Source,
    sample: Callable[[int], Iterable[np.ndarray]],
    column: str,
    split: str,
    count: int,
    features: Callable[[], Features],
) -> dict[str, float]:
    network = features()
    if source.sides:  # which do not correspond: samples come from the other side
        count = min(count, *(len(side) for side in source.sides if column not in side[0]))
    reference = open_reference(source, column, split, network)
    with image_bar("features of samples") as progress:
        return compare.compare(
            sample,
            reference,
            network,
            metrics=names,
            count=count,
            progress=progress,
        )


def require_mixture(source: Source) -> None:
    """Raises UserError for data that is no toy mixture."""
    if not source.name.startswith("toy/"):
        raise UserError(f"metric 'mode_coverage' needs a toy mixture, not {source.name!r}")


def _modes(context: EvalContext) -> dict[str, float]:
    require_mixture(context.source)
    return mode_coverage(context.sample(MIXTURE_SAMPLES), *modes(context.source.name))


def _path_length(context: EvalContext) -> dict[str, float]:
    if context.paths is None:
        raise UserError("metric 'ppl' needs a generator with a latent space")
    distance, key = perceptual.efficientnet_distance(), jax.random.key(0)
    results = {}
    for space in context.paths():
        for full in (True, False):
            with image_bar(f"path length in {space.space}") as progress:
                results |= path_length(
                    space, distance, key, count=PATH_PAIRS, full=full, progress=progress
                )
    return results


def _diversity(context: EvalContext) -> dict[str, float]:
    """The mean perceptual distance of independent samples (Zhu et al. 2017, arXiv:1711.11586)."""
    distance = perceptual.efficientnet_distance()
    samples = context.sample(2 * DIVERSITY_PAIRS)
    values = perceptual.measure(distance, samples[:DIVERSITY_PAIRS], samples[DIVERSITY_PAIRS:])
    label = f"{distance.metric}-{distance.label}"
    return {metric_name("diversity", DIVERSITY_PAIRS, None, label): float(np.mean(values))}


def _each(way: Direction, *quantities: str) -> dict[str, Direction]:
    return dict.fromkeys(quantities, way)


IMAGES, EXTRACTOR, TEST = frozenset({"images"}), frozenset({"features"}), frozenset({"test"})
LABELS = IMAGES | {"labels"}
DISTANCE = frozenset({"distance"})
PAIRWISE: Mapping[str, Direction] = {
    **_each("lower", "l1_error", "perceptual", "lpips", "kid", "fid"),
    **_each("higher", "psnr", "ssim"),
}

for _spec in (
    MetricSpec("fid", None, _each("lower", "fid"), IMAGES, EXTRACTOR),
    MetricSpec("kid", None, _each("lower", "kid"), IMAGES, EXTRACTOR),
    MetricSpec("swd", None, _each("lower", "swd"), IMAGES, EXTRACTOR),
    MetricSpec("precision_recall", None, _each("higher", "precision", "recall"), IMAGES, EXTRACTOR),
    MetricSpec("density_coverage", None, _each("higher", "density", "coverage"), IMAGES, EXTRACTOR),
    MetricSpec("inception_score", None, _each("higher", "inception_score"), IMAGES, EXTRACTOR),
    MetricSpec(
        "mode_coverage",
        _modes,
        _each("higher", "modes", "high_quality"),
        uses=frozenset({"mixture"}),
    ),
    MetricSpec(
        "ppl",
        _path_length,
        _each("lower", *(f"ppl_{space}{ends}" for space in "zw" for ends in ("full", "end"))),
        IMAGES | {"latents"},
        DISTANCE,
    ),
    MetricSpec("diversity", _diversity, _each("higher", "diversity"), IMAGES, DISTANCE),
    MetricSpec(
        "label_accuracy",
        label_accuracy,
        _each("higher", "label_accuracy"),
        LABELS,
        EXTRACTOR | TEST,
    ),
    MetricSpec("intra_fid", intra_fid, _each("lower", "intra_fid"), LABELS, EXTRACTOR),
    MetricSpec("accuracy_score", accuracy_score, _each("higher", "accuracy_score"), LABELS, TEST),
    MetricSpec(
        "augmentation",
        augmentation,
        _each("higher", "accuracy_real", "accuracy_both", "accuracy_generated"),
        LABELS,
        TEST | {"training split"},
    ),
    MetricSpec(
        "pairs",
        pairs,
        PAIRWISE,
        IMAGES | {"translation"},
        EXTRACTOR | DISTANCE | {"pairs"},
    ),
    MetricSpec(
        "r_precision",
        r_precision,
        _each("higher", "r_precision"),
        IMAGES | {"captions"},
        EXTRACTOR | TEST,
    ),
    MetricSpec(
        "held_out",
        held_out_distance,
        _each("lower", "held_out_kid", "kid_gap"),
        IMAGES,
        EXTRACTOR | TEST | {"training split"},
    ),
    MetricSpec(
        "caption_accuracy",
        caption_accuracy.caption_accuracy,
        _each(
            "higher",
            *("caption_accuracy", "caption_exact"),
            *("chance_caption_accuracy", "chance_caption_exact"),
        ),
        IMAGES | {"captions"},
        TEST | {"captioned attributes"},
    ),
    MetricSpec("sharpness", relative_sharpness, _each("higher", "sharpness"), IMAGES),
    MetricSpec(
        "translations",
        translations,
        {**PAIRWISE, **_each("lower", "cycle_x", "cycle_y")},
        IMAGES | {"translation"},
        EXTRACTOR,
    ),
    MetricSpec(
        "voices",
        voices,
        {
            **_each("lower", "mcd", "gv", "ms"),
            **_each("higher", "accepted"),
            **_each("neither", "f0_mean", "f0_std"),  # the target's own pitch stands beside them
        },
        frozenset({"voices"}),
    ),
    MetricSpec(
        "linear_probe",
        representation.linear_probes,
        _each("higher", "linear_probe"),
        IMAGES | {"discriminator features"},
        TEST | {"classes"},
    ),
    MetricSpec(
        "bounds",
        representation.bounds,
        {
            **_each("higher", "elbo", "iw_bound"),
            **_each("lower", "bits_per_dim", "reconstruction_error"),
        },
        IMAGES | {"likelihood"},
        TEST,
    ),
    MetricSpec(
        "attribute_edit",
        attribute_editing.attribute_edit,
        _each(
            "higher",
            "attribute_edit",
            "attribute_flip",
            "chance_attribute_edit",
            "attribute_accuracy",
        ),
        IMAGES | {"styles"},
        TEST | {"attributes"},
    ),
):
    register_metric(_spec)
