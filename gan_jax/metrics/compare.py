"""Compute several metrics of generated images from one pass through the feature network.

The statistics of real images, a `Reference`, are computed once and cached under a key of everything
they depend on. Results have full names (`metric_name`), so that values that are not comparable have
different names.
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
from gan_jax.metrics.sliced import sliced_wasserstein
from gan_jax.metrics.weights import cache_dir

_FORMAT = 2  # version of the cached files and features; increment it when either changes


class Reference(NamedTuple):
    """Features of the real images of a split."""

    label: str  # `Features.label`
    split: str
    moments: Moments
    pooled: Float[np.ndarray, "n d"]


class Fakes(NamedTuple):
    """Features and logits of the generated images."""

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
    """Compute or load the reference of a split's images.

    Args:
        real: returns the images, at once or in parts; called only if the cache lacks them.
        features: the feature network.
        split: of the images, for names.
        fingerprint: identifies the pixels, as `Source.fingerprint` does.
        progress: called with (images done, images or None).

    Returns:
        The reference, cached in `$GAN_JAX_CACHE/reference`.

    Raises:
        UserError: there are no images, or the cache cannot be written or read.
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
            os.replace(part, file)  # atomic
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
        raise UserError(
            f"{file} is damaged; delete it and it is computed again: {error}"
        ) from error


def compare(
    sample: Callable[[int], Images | Iterable[Images]] | Images,
    real: Reference,
    features: Features,
    *,
    metrics: Sequence[str],
    count: int,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Compute metrics of `count` generated images.

    Args:
        sample: images, float in [-1, 1] or uint8; or a function of their number, which may return
            them in parts.
        real: reference computed with the same features.
        features: the feature network.
        metrics: keys of `COMPARISONS`.
        count: number of generated images.
        progress: called with (images done, images).

    Returns:
        Full metric name -> value.

    Raises:
        UserError: an unknown metric, too few samples, or a reference of other features.

    Warns:
        UserWarning: the number of samples biases a metric.
    """
    for name in metrics:
        if name not in COMPARISONS:
            raise UserError(f"no metric {name!r}; did you mean {nearest(name, COMPARISONS)}?")
    if real.label != features.label:
        raise UserError(f"the reference was made with {real.label}, not {features.label}")
    images = sample(count) if callable(sample) else sample[:count]

    def shown(done: int, _: int | None) -> None:
        if progress is not None:
            progress(done, count)

    fakes = Fakes(*extract(features, images, progress=shown))
    if len(fakes.pooled) < count:
        raise UserError(f"{count} samples are needed, {len(fakes.pooled)} were given")
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


def _swd(fakes: Fakes, real: Reference) -> dict[str, float]:
    return {_name("swd", fakes, real): sliced_wasserstein(real.pooled, fakes.pooled)}


def _precision_recall(fakes: Fakes, real: Reference) -> dict[str, float]:
    values = precision_recall(real.pooled, fakes.pooled)._asdict()
    return {_name(metric, fakes, real, "k=3"): value for metric, value in values.items()}


def _density_coverage(fakes: Fakes, real: Reference) -> dict[str, float]:
    values = density_coverage(real.pooled, fakes.pooled)._asdict()
    return {_name(metric, fakes, real, "k=5"): value for metric, value in values.items()}


def _inception_score(fakes: Fakes, real: Reference) -> dict[str, float]:
    name = metric_name("inception_score", len(fakes.logits), None, real.label)
    return {name: inception_score(fakes.logits).mean}


Comparison = Callable[[Fakes, Reference], dict[str, float]]
"""Generated and real features -> full metric names and values."""

COMPARISONS: Mapping[str, Comparison] = {
    "fid": _fid,
    "kid": _kid,
    "swd": _swd,
    "precision_recall": _precision_recall,
    "density_coverage": _density_coverage,
    "inception_score": _inception_score,
}
