"""Inception Score: confidence and diversity of a classifier's predictions.

Salimans et al. 2016, arXiv:1606.03498, section 4. The published score uses the ImageNet Inception;
scores of other classifiers are not comparable, and the metric's name states the classifier.
"""

import itertools

import numpy as np
from jaxtyping import Float
from scipy.special import log_softmax

from gan_jax.errors import UserError
from gan_jax.metrics.kernel import Estimate


def inception_score(logits: Float[np.ndarray, "n classes"], *, splits: int = 10) -> Estimate:
    """Compute exp(E KL(p(y|x) || p(y))) on each of `splits` consecutive parts, in float64.

    Args:
        logits: of samples in random order.
        splits: number of parts.

    Returns:
        Mean and standard deviation over the parts; values lie between 1 and the number of classes.

    Raises:
        UserError: fewer samples than splits, or features without classes.
    """
    if not logits.shape[1]:
        raise UserError("inception_score needs classes; did you mean --features inception-2015?")
    if len(logits) < splits:
        raise UserError(f"{splits} splits need at least as many samples, not {len(logits)}")
    log_p = log_softmax(logits.astype(np.float64), axis=1)
    edges = [i * len(logits) // splits for i in range(splits + 1)]
    scores = [_score(log_p[a:b]) for a, b in itertools.pairwise(edges)]
    return Estimate(float(np.mean(scores)), float(np.std(scores)))


def _score(log_p: Float[np.ndarray, "n classes"]) -> float:
    p = np.exp(log_p)
    marginal = np.log(p.mean(axis=0, keepdims=True))
    return float(np.exp(np.sum(p * (log_p - marginal), axis=1).mean()))
