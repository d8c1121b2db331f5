"""What a metric computes from: the evaluation context."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.errors import UserError
from gan_jax.metrics.features import Features
from gan_jax.metrics.path_length import Paths

Conditions = dict[str, np.ndarray]


class EvalContext(NamedTuple):
    """What a metric computes from: a sampler beside the data set it was trained on.

    Attributes:
        draw: `(conditions)` to samples: images uint8 [n h w c], points [n d], speech [n t m].
        conditions: `(source, n)` to the conditions of n samples, class after class.
        source: the data set.
        other: opens another split of it by name.
        real: the column that samples imitate.
        split: the name of the split that `source` is.
        count: samples to draw.
        features: loads the feature extractor.
        paths: paths between latents, for path length; None without latents.
        probe_network: the discriminator or encoder, as a `representation.ProbeNetwork`.
        bounds: the model of a game with a likelihood, as a `build.parts.Bounds`.
        space: the space of styles, as an `editing.style_space.LatentSpace`.
        translate: `(direction, images)` to images, in [-1, 1].
        directions: those of `translate`.
        imitated: like `conditions`, but with classes as frequent as in the data, in random order.
        stream: like `draw`, in batches.
    """

    draw: Callable[[Conditions], np.ndarray]
    conditions: Callable[[Source, int], Conditions]
    source: Source
    other: Callable[[str], Source]
    real: str
    split: str
    count: int
    features: Callable[[], Features]
    paths: Callable[[], tuple[Paths, ...]] | None = None
    probe_network: Any = None
    bounds: Any = None
    space: Callable[[], Any] | None = None
    translate: Callable[[str, np.ndarray], np.ndarray] | None = None
    directions: tuple[str, ...] = ("x2y", "y2x")
    imitated: Callable[[Source, int], Conditions] | None = None
    stream: Callable[[Conditions], Iterable[np.ndarray]] | None = None

    def sample(self, count: int) -> np.ndarray:
        """`count` samples, of classes as frequent as in the data."""
        return self.draw((self.imitated or self.conditions)(self.source, count))

    def stream_samples(self, count: int) -> Iterable[np.ndarray]:
        """The same samples in batches: 50,000 pictures may not fit into memory."""
        if self.stream is None:
            return [self.sample(count)]
        return self.stream((self.imitated or self.conditions)(self.source, count))


def column(source: Source, name: str, count: int | None = None) -> np.ndarray:
    """One column of the first `count` rows (default: all).

    Raises UserError when the data set has no such column.
    """
    if name not in source.records[0]:
        raise UserError(f"data set {source.name!r} has no {name!r}: this metric needs it")
    return np.concatenate([batch[name] for batch in eval_batches(source, 256, count=count)])


def num_classes(source: Source) -> int:
    """How many classes a data set has. Raises UserError when it has no labels."""
    if source.num_classes is None:
        raise UserError(f"data set {source.name!r} has no labels: this metric needs them")
    return source.num_classes
