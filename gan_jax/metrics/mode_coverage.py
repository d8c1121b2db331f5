"""Which modes of a known mixture a generator reaches (Metz et al. 2017; Srivastava et al. 2017)."""

import numpy as np
from jaxtyping import Float


def mode_coverage(
    samples: Float[np.ndarray, "n d"], centres: Float[np.ndarray, "m d"], std: float
) -> dict[str, float]:
    """`modes`, the number of covered modes, and `high_quality`, the share of samples near one.

    A sample belongs to its nearest centre and is of high quality within three standard deviations
    of it; a mode is covered when at least one such sample is its own (VEEGAN, arXiv:1705.07761,
    section 4.1).
    """
    distance = np.linalg.norm(samples[:, None, :] - centres[None, :, :], axis=-1)
    own, good = distance.argmin(axis=1), distance.min(axis=1) <= 3.0 * std
    return {"modes": float(len(np.unique(own[good]))), "high_quality": float(good.mean())}
