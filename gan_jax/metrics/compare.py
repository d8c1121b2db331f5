"""Generated against real images by any set of metrics, from one pass through the feature network.

The real side, a `Reference`, is computed once and cached under everything it depends on. Results
carry full names (`metric_name`), so numbers that are not comparable do not share one.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gan_jax.errors import UserError, nearest
from gan_jax.metrics.features import Features, Images, Progress, extract
from gan_jax.metrics.frechet import Moments, frechet_distance, moments
from gan_jax.metrics.inception_score import inception_score
from gan_jax.metrics.kernel import kernel_distance
from gan_jax.metrics.names import metric_name
from gan_jax.metrics.precision_recall import density_coverage, precision_recall
from gan_jax.metrics.weights import cache_dir

_FORMAT = 2  # of the cached files and of the features in them: raise it when either changes


class Reference(NamedTuple):
    """What is known of the real images of a split, as seen by one feature network."""

    label: str  # `Features.label`
    split: str
    moments: Moments
    pooled: Float[np.ndarray, "n d"]


class Fakes(NamedTuple):
    """The generated side of a comparison."""

    pooled: Float[np.ndarray, "n d"]
    logits: Float[np.ndarray, "n k"]


def reference(
    real: Callable[[], Images | Iterable[Images]],
    features: Features,
    *,
    split: str,
    fingerprint: str,
    progress: Progress | None = None,
) -> Reference:
    """The reference of a split's images; `real` is called only when it is not in the cache.

    `fingerprint` identifies the pixels (a data source's). The cache is `$GAN_JAX_CACHE/reference`.
    Raises UserError when there is no image, or the cache cannot be written or read.
    """
    key = {
        "format": _FORMAT,
        "features": features.label,
        "resolution": features.resolution,
        "weights": features.weights,
        "split": split,
        "data": fingerprint,
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    file = cache_dir() / "reference" / f"{features.name}-{split}-{name}.npz"
    cached = _load(file)
    if cached is None:
        pooled, _ = extract(features, real(), progress=progress)
        cached = pooled, moments(pooled)
        _save(file, *cached)
    return Reference(features.label, split, cached[1], cached[0])


def _save(file: Path, pooled: np.ndarray, m: Moments) -> None:
    arrays = {"pooled": pooled} | ({} if m.cov is None else {"mean": m.mean, "cov": m.cov})
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            part = Path(folder, file.name)
            np.savez(part, allow_pickle=False, **arrays)
            os.replace(part, file)  # a killed program leaves no half file
    except OSError as error:
        raise UserError(f"cannot write the cache (set GAN_JAX_CACHE): {error}") from error


def _load(file: Path) -> tuple[np.ndarray, Moments] | None:
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as stored:
            pooled = stored["pooled"]
            if "cov" not in stored:
                return pooled, moments(pooled)
            return pooled, Moments(len(pooled), stored["mean"], stored["cov"], None)
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{file} is damaged; delete it and it is made again: {error}") from error


def compare(
    sample: Callable[[int], Images] | Images,
    real: Reference,
    features: Features,
    *,
    metrics: Sequence[str],
    count: int,
    progress: Progress | None = None,
) -> dict[str, float]:
    """The metrics of `COMPARISONS` named in `metrics`, of `count` samples, under full names.

    `sample(n)` gives n images, float [-1, 1] or uint8; or they are given. Warns (UserWarning) where
    a count biases a metric. Raises UserError for an unknown metric, too few samples, or a reference
    made with other features.
    """
    for name in metrics:
        if name not in COMPARISONS:
            raise UserError(f"no metric {name!r}; did you mean {nearest(name, COMPARISONS)}?")
    if real.label != features.label:
        raise UserError(f"the reference was made with {real.label}, not {features.label}")
    images = sample(count) if callable(sample) else sample
    if len(images) < count:
        raise UserError(f"{count} samples are needed, {len(images)} were given")
    fakes = Fakes(*extract(features, images[:count], progress=progress))
    results: dict[str, float] = {}
    for name in metrics:
        results |= COMPARISONS[name](fakes, real)
    return results


def _name(metric: str, fakes: Fakes, real: Reference, *options: str) -> str:
    return metric_name(
        metric,
        len(fakes.pooled),
        real.split,
        real.label,
        *options,
        real_count=len(real.pooled),
    )


def _fid(fakes: Fakes, real: Reference) -> dict[str, float]:
    name = _name("fid", fakes, real)
    return {name: frechet_distance(real.moments, moments(fakes.pooled), name=name)}


def _kid(fakes: Fakes, real: Reference) -> dict[str, float]:
    return {_name("kid", fakes, real): kernel_distance(real.pooled, fakes.pooled).mean}


def _precision_recall(fakes: Fakes, real: Reference) -> dict[str, float]:
    found = precision_recall(real.pooled, fakes.pooled)._asdict()
    return {_name(metric, fakes, real, "k=3"): value for metric, value in found.items()}


def _density_coverage(fakes: Fakes, real: Reference) -> dict[str, float]:
    found = density_coverage(real.pooled, fakes.pooled)._asdict()
    return {_name(metric, fakes, real, "k=5"): value for metric, value in found.items()}


def _inception_score(fakes: Fakes, real: Reference) -> dict[str, float]:
    name = metric_name("inception_score", len(fakes.logits), None, real.label)
    return {name: inception_score(fakes.logits).mean}


Comparison = Callable[[Fakes, Reference], dict[str, float]]
COMPARISONS: Mapping[str, Comparison] = {
    "fid": _fid,
    "kid": _kid,
    "precision_recall": _precision_recall,
    "density_coverage": _density_coverage,
    "inception_score": _inception_score,
}
