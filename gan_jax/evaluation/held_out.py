"""What a generator learned by heart: distances to held-out pictures, and nearest neighbours."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from gan_jax.errors import UserError
from gan_jax.evaluation.context import EvalContext
from gan_jax.evaluation.reference import image_bar, open_reference
from gan_jax.metrics.features import extract, to_uint8
from gan_jax.metrics.kernel import kernel_distance
from gan_jax.metrics.names import metric_name


def require_training_split(split: str) -> None:
    """Raises UserError where samples are compared with the test split already."""
    if split.startswith("test"):
        raise UserError(f"this metric needs the training split, not {split!r}, which it opens too")


def held_out_distance(context: EvalContext) -> dict[str, float]:
    """Compute KID to the held-out pictures, and by how much it exceeds KID to the training ones.

    KID is unbiased at any count, so that splits of different sizes compare. A generator that copies
    its training pictures has a gap above that of real pictures, which is 0 on average.

    Raises:
        UserError: the samples are compared with the test split already, as translations are.
    """
    require_training_split(context.split)
    network = context.features()
    splits = {context.split: context.source, "test": context.other("test")}
    with image_bar("features of samples") as progress:
        fakes, _ = extract(network, context.stream_samples(context.count), progress=progress)
    references = [
        open_reference(source, context.real, split, network) for split, source in splits.items()
    ]
    train, test = (kernel_distance(known.pooled, fakes).mean for known in references)
    options = {"real_count": len(references[1].pooled)}

    def name(quantity: str) -> str:
        return metric_name(quantity, context.count, "test", network.label, **options)

    return {name("held_out_kid"): test, name("kid_gap"): test - train}


class Neighbours(NamedTuple):
    """Samples and the training pictures nearest to them in the feature space.

    Attributes:
        samples: the first samples, as a grid of them would show.
        pictures: of each, its nearest training pictures, the nearest first.
        distances: their Euclidean distances, divided by the median distance of a training picture
            to the nearest other one: far below 1 is a copy.
    """

    samples: UInt8[np.ndarray, "n h w c"]
    pictures: UInt8[np.ndarray, "n k h w c"]
    distances: Float[np.ndarray, "n k"]


MEDIAN_OF = 1000  # training pictures whose nearest others give the unit of the distances


def nearest_neighbours(context: EvalContext, *, count: int = 8, k: int = 5) -> Neighbours:
    """Find the training pictures nearest to the first samples.

    Args:
        context: what to draw from and compare with.
        count: samples.
        k: neighbours of each.
    """
    network = context.features()
    samples = to_uint8(context.sample(count))
    features, _ = extract(network, samples)
    known = open_reference(context.source, context.real, context.split, network).pooled
    distances = _distances(features, known)
    order = np.argsort(distances, axis=1)[:, :k]
    own = _distances(known[:MEDIAN_OF], known)
    own[np.arange(len(own)), np.arange(len(own))] = np.inf
    unit = max(float(np.median(own.min(axis=1))), 1e-6)  # 0 where most pictures are twins
    pictures = context.source.records.take(order.ravel())[context.real]
    return Neighbours(
        samples,
        pictures.reshape(*order.shape, *pictures.shape[1:]),
        np.take_along_axis(distances, order, 1) / unit,
    )


def _distances(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> np.ndarray:
    squares = (a**2).sum(1)[:, None] - 2.0 * a @ b.T + (b**2).sum(1)
    return np.sqrt(np.maximum(squares, 0.0))
