"""Every metric by name, of any sampler against a data set: what `train` and `evaluate.py` call."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import jax
import numpy as np
from tqdm import tqdm

from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.data.toy import modes
from gan_jax.errors import UserError, nearest
from gan_jax.evaluation import attribute_editing, representation
from gan_jax.evaluation.context import PROBES, Subject
from gan_jax.evaluation.translation import translations
from gan_jax.evaluation.voices import voices
from gan_jax.metrics import classification, compare, features, perceptual
from gan_jax.metrics.features import Features, Progress
from gan_jax.metrics.mode_coverage import mode_coverage
from gan_jax.metrics.names import better, metric_name
from gan_jax.metrics.path_length import path_length
from gan_jax.progress import clock

FEATURES: Mapping[str, Callable[[], Features]] = {
    **features.FEATURES,
    "fashion-cnn": lambda: classification.fashion().features,
}
GROUPS = {"prdc": ("precision_recall", "density_coverage")}  # one word for several metrics
COMPARISONS = compare.COMPARISONS
OF_FEATURES = {*COMPARISONS, "intra_fid", "pairs", "r_precision", "translations"}
OF_DISTANCES = {"ppl", "diversity", "pairs"}
OF_TEST = {
    *("label_accuracy", "accuracy_score", "augmentation", "pairs", "r_precision"),
    *("linear_probe", "bounds"),
}
PATH_PAIRS, DIVERSITY_PAIRS, MIXTURE_SAMPLES = 1000, 1000, 2500


Metric = Callable[[Subject], dict[str, float]]


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """The metrics asked for, groups taken apart. Raises UserError naming the nearest valid one."""
    valid = {*COMPARISONS, *OTHERS, *GROUPS}
    names = [name.replace("-", "_") for name in names]
    for name in names:
        if name not in valid:
            raise UserError(f"no metric {name!r}; did you mean {nearest(name, valid)}?")
    return tuple(dict.fromkeys(one for name in names for one in GROUPS.get(name, (name,))))


def find_features(name: str) -> Callable[[], Features]:
    """What loads a feature network. Raises UserError naming the nearest valid one."""
    if name not in FEATURES:
        raise UserError(f"no features {name!r}; did you mean {nearest(name, FEATURES)}?")
    return FEATURES[name]


def require(
    names: Iterable[str],
    source: Source,
    network: Callable[[], Features],
    other: Callable[[str], Source],
) -> None:
    """Opens what the metrics of `names` take: networks, and the test split.

    Raises UserError for an unknown name, for pictures' metrics of data that has none, and for what
    cannot be opened.
    """
    names = _fitting(names, source)
    if OF_FEATURES & set(names):
        network()
    if OF_DISTANCES & set(names):
        perceptual.efficientnet_distance()
    if OF_TEST & set(names):
        other("test")


def _fitting(names: Iterable[str], source: Source) -> tuple[str, ...]:
    """The metrics of `names`. Raises UserError for pictures' metrics of data that has none."""
    names = expand(names)
    pictures = [name for name in names if name != "mode_coverage"]
    if pictures and source.name.startswith("toy/"):
        raise UserError(f"metric {pictures[0]!r} needs pictures; {source.name!r} has none")
    return names


def measure(names: Sequence[str], subject: Subject) -> Iterator[dict[str, float]]:
    """The metrics of `names` one after the other; those that compare share one pass.

    Raises UserError for an unknown name, for pictures' metrics of data that has none, and for a
    quantity of which nobody has said which way is better.
    """
    names = _fitting(names, subject.source)
    compared = [name for name in names if name in COMPARISONS]
    if compared:
        s = subject
        made = _compare(compared, s.source, s.sample, s.real, s.split, s.count, s.features)
        yield _directed(made)
    for name in names:
        if name in OTHERS:
            with clock(f"measuring {name}", delay=2.0):
                found = OTHERS[name](subject)
            yield _directed(found)


def _directed(found: dict[str, float]) -> dict[str, float]:
    """The same quantities. Raises UserError for one whose direction is unknown."""
    for name in found:
        better(name)
    return found


def compare_real(
    names: Sequence[str],
    source: Source,
    others: Source,
    *,
    column: str,
    split: str,
    count: int,
    features: Callable[[], Features],
) -> dict[str, float]:
    """The metrics of `names` of the first `count` pictures of `others`, real ones, for samples.

    Raises UserError for a metric that does not compare samples with data, and for no pictures.
    """
    names = _fitting(names, source)
    for name in names:
        if name not in COMPARISONS:
            guess = nearest(name, COMPARISONS)
            raise UserError(f"metric {name!r} is not of real pictures; did you mean {guess}?")
    if not names:
        raise UserError("real pictures are compared by --metrics such as fid, kid or prdc")
    count = min(count, others.size or count)
    batches = eval_batches(others, 256, count=count)
    images = np.concatenate([batch[column] for batch in batches])
    return _compare(names, source, lambda _: images, column, split, count, features)


def _compare(
    names: Sequence[str],
    source: Source,
    sample: Callable[[int], np.ndarray],
    column: str,
    split: str,
    count: int,
    features: Callable[[], Features],
) -> dict[str, float]:
    network, size, known = features(), source.size, source.fingerprint
    if source.sides:  # which do not correspond: the shorter one is read once, not over and over
        sizes = {column: len(side) for side in source.sides for column in side[0]}
        size = sizes.pop(column)
        count, known = min(count, *sizes.values()), f"{known}, all of side {column}"

    def real() -> Iterator[np.ndarray]:
        return (batch[column] for batch in eval_batches(source, 256, count=size))

    with _bar(f"features of {source.name}") as progress:
        reference = compare.reference(
            real, network, split=split, fingerprint=known, progress=progress
        )
    with _bar("features of samples") as progress:
        return compare.compare(
            sample,
            reference,
            network,
            metrics=names,
            count=count,
            progress=progress,
        )


def _modes(subject: Subject) -> dict[str, float]:
    if not subject.source.name.startswith("toy/"):
        raise UserError(f"metric 'mode_coverage' needs a toy mixture, not {subject.source.name!r}")
    return mode_coverage(subject.sample(MIXTURE_SAMPLES), *modes(subject.source.name))


def _path_length(subject: Subject) -> dict[str, float]:
    if subject.paths is None:
        raise UserError("metric 'ppl' needs a generator with a latent space")
    distance, key = perceptual.efficientnet_distance(), jax.random.key(0)
    results = {}
    for space in subject.paths():
        for full in (True, False):
            with _bar(f"path length in {space.space}") as progress:
                results |= path_length(
                    space, distance, key, count=PATH_PAIRS, full=full, progress=progress
                )
    return results


def _diversity(subject: Subject) -> dict[str, float]:
    """The mean perceptual distance of independent samples (Zhu et al. 2017, arXiv:1711.11586)."""
    distance = perceptual.efficientnet_distance()
    samples = subject.sample(2 * DIVERSITY_PAIRS)
    values = perceptual.measure(distance, samples[:DIVERSITY_PAIRS], samples[DIVERSITY_PAIRS:])
    label = f"{distance.metric}-{distance.label}"
    return {metric_name("diversity", DIVERSITY_PAIRS, None, label): float(np.mean(values))}


OTHERS: Mapping[str, Metric] = {
    "mode_coverage": _modes,
    "ppl": _path_length,
    "diversity": _diversity,
    **PROBES,
    "translations": translations,
    "voices": voices,
    "linear_probe": representation.linear_probes,
    "bounds": representation.bounds,
    "attribute_edit": attribute_editing.attribute_edit,
}


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    """A progress line that goes away, for what takes longer than a second."""
    with tqdm(desc=what, unit="image", leave=False, delay=1.0) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
