"""The Fréchet distance between Gaussians fitted to features (Heusel et al. 2017, arXiv:1706.08500).

Everything is float64: in 2048 dimensions float32 moves the third digit. Moments are accumulated in
a stream; while there are no more samples than dimensions the samples themselves stand for the
covariance, which is then singular, and the distance comes from their small Gram matrix.
"""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gan_jax.errors import UserError


class Moments(NamedTuple):
    """Mean and unbiased covariance of `count` samples.

    `rows` are the centred samples over sqrt(count - 1), whose Gram matrix is the covariance: kept
    in place of `cov` while count <= d.
    """

    count: int
    mean: Float[np.ndarray, " d"]
    cov: Float[np.ndarray, "d d"] | None
    rows: Float[np.ndarray, "n d"] | None


def moments(features: np.ndarray | Iterable[np.ndarray]) -> Moments:
    """Moments of features [n d], given at once or in batches [b d].

    Batches are merged by their means and scatters (Chan, Golub & LeVeque 1983, equation 1.5), so
    nothing larger than d x d is held. Raises UserError for fewer than two samples, for features of
    other than two axes, and for values that are not finite.
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
    """|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)), equation 6; >= 0, in squared features.

    A set with no more samples than dimensions has a singular covariance and biases the distance
    upwards; a UserWarning says so under `name`, unless `warn` is false. Raises UserError when the
    two sets differ in dimension.
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
            "et al. 2018, appendix D); compare it only at this very count, or report KID",
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
    """tr((C1 C2)^(1/2)) as the eigenvalues of a symmetric matrix with the spectrum of C1 C2.

    With C1 = R^T R that matrix is R C2 R^T: R are the few rows, else the symmetric root of C1.
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
