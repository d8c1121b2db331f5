"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv:1706.08500).

Arithmetic is float64: in 2048 dimensions float32 changes the third digit. Moments are accumulated
batch by batch. Up to as many samples as dimensions, the centred samples represent the singular
covariance, and the distance is computed from their small Gram matrix.
"""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gan_jax.errors import UserError


class Moments(NamedTuple):
    """Mean and unbiased covariance of `count` samples in d dimensions.

    Attributes:
        count: number of samples n.
        mean: of the samples.
        cov: covariance; None if count <= d.
        rows: centred samples divided by sqrt(count - 1), so that rows^T rows is the covariance;
            None if count > d.
    """

    count: int
    mean: Float[np.ndarray, " d"]
    cov: Float[np.ndarray, "d d"] | None
    rows: Float[np.ndarray, "n d"] | None


def moments(features: np.ndarray | Iterable[np.ndarray]) -> Moments:
    """Compute the moments of features.

    Batches are merged by their means and scatter matrices, so that no array is larger than d x d.

    Args:
        features: [n d], or batches [b d].

    Raises:
        UserError: fewer than two samples, features without exactly two axes, or values that are not
            finite.

    References:
        Chan, Golub & LeVeque 1983, equation 1.5.
    """
    batches = [features] if isinstance(features, np.ndarray) else features
    count, mean, scatter, few = 0, np.zeros(0), None, []
    for batch in batches:
        batch = _checked(batch)
        if scatter is None:
            few.append(batch)
            if sum(map(len, few)) <= batch.shape[1]:
                continue
            batch, few = np.concatenate(few), []
            scatter, mean = np.zeros((batch.shape[1],) * 2), np.zeros(batch.shape[1])
        own = batch.mean(axis=0)
        centred, shift, total = batch - own, own - mean, count + len(batch)
        scatter += centred.T @ centred + np.outer(shift, shift) * (count * len(batch) / total)
        mean = mean + shift * (len(batch) / total)
        count = total
    if scatter is not None:
        return Moments(count, mean, scatter / (count - 1), None)
    rows = np.concatenate(few) if few else np.zeros((0, 0))
    if len(rows) < 2:
        raise UserError(f"a covariance needs at least 2 samples, not {len(rows)}")
    mean = rows.mean(axis=0)
    return Moments(len(rows), mean, None, (rows - mean) / np.sqrt(len(rows) - 1))


def _checked(batch: np.ndarray) -> np.ndarray:
    if batch.ndim != 2:
        raise UserError(f"features have shape {batch.shape}; [samples dimensions] is needed")
    if not np.isfinite(batch).all():
        raise UserError("features are not finite: the images hold NaN or infinity")
    return batch.astype(np.float64)


def frechet_distance(
    real: Moments, fake: Moments, *, name: str = "the Fréchet distance", warn: bool = True
) -> float:
    """Compute |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)), equation 6.

    Args:
        real: moments of real features.
        fake: moments of generated features.
        name: of the metric, for the warning.
        warn: whether to warn of too few samples.

    Returns:
        The squared distance in squared units of the features, >= 0.

    Raises:
        UserError: the two sets differ in dimension.

    Warns:
        UserWarning: a set has no more samples than dimensions, so that its covariance is singular
            and the distance is biased upwards.

    References:
        Heusel et al. 2017, arXiv:1706.08500.
    """
    if real.mean.shape != fake.mean.shape:
        raise UserError(
            f"features of {len(real.mean)} and {len(fake.mean)} dimensions cannot be compared"
        )
    fewest, dimensions = min(real.count, fake.count), len(real.mean)
    if warn and fewest <= dimensions:
        warnings.warn(
            f"{name} rests on {fewest} samples in {dimensions} dimensions: the covariance is "
            "singular and the distance biased upwards, even between equal distributions (Binkowski "
            "et al. 2018, appendix D); compare it only at this number of samples, or report KID",
            UserWarning,
            stacklevel=2,
        )
    shift = real.mean - fake.mean
    distance = shift @ shift + _trace(real) + _trace(fake) - 2.0 * _trace_of_root(real, fake)
    return max(float(distance), 0.0)


def _trace(m: Moments) -> float:
    if m.rows is not None:
        return float(np.sum(m.rows**2))
    assert m.cov is not None
    return float(np.trace(m.cov))


def _trace_of_root(a: Moments, b: Moments) -> float:
    """Compute tr((C1 C2)^(1/2)) from a symmetric matrix with the spectrum of C1 C2.

    With C1 = R^T R the matrix is R C2 R^T; R are the rows if there are few, else the symmetric
    square root of C1.
    """
    if a.rows is None and b.rows is not None:
        a, b = b, a
    root = a.rows if a.rows is not None else _symmetric_root(a.cov)
    half = root @ b.rows.T if b.rows is not None else None
    product = half @ half.T if half is not None else root @ b.cov @ root.T
    values = np.linalg.eigvalsh((product + product.T) / 2.0)
    return float(np.sqrt(np.clip(values, 0.0, None)).sum())


def _symmetric_root(cov: np.ndarray | None) -> np.ndarray:
    assert cov is not None
    values, vectors = np.linalg.eigh(cov)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
