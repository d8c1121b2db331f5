"""What is known of a metric, in one value; a user's own register like ours."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from gan_jax.errors import UserError, nearest
from gan_jax.metrics import names

Direction = Literal["lower", "higher", "neither"]


class MetricSpec(NamedTuple):
    """A metric.

    Attributes:
        name: what `run.metrics` and `--metrics` call it.
        compute: `(context) -> {name: value}`, where a name is a quantity, or one with everything
            that the number depends on (`metrics.names.metric_name`). None for those of
            `metrics.compare`, which share one pass over the features.
        better: of every quantity that it returns, which way is better.
        needs: capabilities of the experiment (`build.parts.CAPABILITIES`).
        uses: what is opened or looked for before training, so that no round is lost for it:
            "features" (the feature extractor), "distance" (the perceptual distance's), "test" (the
            test split), "pairs" (pairs in it), "training split" (samples are compared with it),
            and in the data "classes", "attributes", "captioned attributes", or a "mixture".
    """

    name: str
    compute: Callable[[Any], dict[str, float]] | None
    better: Mapping[str, Direction]
    needs: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()


METRICS: dict[str, MetricSpec] = {}


def register_metric(spec: MetricSpec) -> None:
    """Make a metric known to experiments by its name.

    Raises:
        UserError: if the package has a metric of that name.
    """
    old = METRICS.get(spec.name)
    if old is not None and old.compute is not spec.compute and _is_ours(old):
        raise UserError(f"gan_jax has a metric {spec.name!r} already; give yours another name")
    METRICS[spec.name] = spec


def _is_ours(spec: MetricSpec) -> bool:
    return spec.compute is None or spec.compute.__module__.startswith("gan_jax.")


# A metric's baselines and directions: copy_kid, x2y_l1_error, real_label_accuracy.
_PREFIX = re.compile(r"(copy_|colour_|matched_|mean_|real_|target_)?(x2y_|y2x_)?")


def bare(name: str) -> str:
    """A quantity without the prefixes of baselines and directions, or that of a full name."""
    return _PREFIX.sub("", names.quantity(name), count=1)


def better(name: str, unknown: Direction | None = None) -> Direction:
    """Which way a quantity is better.

    Args:
        name: the quantity, or a metric's full name.
        unknown: what an unknown quantity is. Pages show numbers of older revisions too.

    Raises:
        UserError: for an unknown quantity, if `unknown` is not given: a guess would keep the worst
            checkpoint as the best.
    """
    known: dict[str, Direction] = {"training_seconds": "lower"}
    for spec in METRICS.values():
        known |= spec.better
    found = bare(name)
    if found in known:
        return known[found]
    if unknown is None:
        raise UserError(f"no quantity {found!r} of a metric; did you mean {nearest(found, known)}?")
    return unknown


def is_score(name: str) -> bool:
    """Whether a name in metrics.jsonl is a metric's, and not a round's own."""
    return names.is_score(name) or better(name, unknown="neither") != "neither"
