"""Mode coverage of a known mixture of Gaussians (Metz et al. 2017; Srivastava et al. 2017)."""

import numpy as np
from jaxtyping import Float


def mode_coverage(
    samples: Float[np.ndarray, "n d"], centres: Float[np.ndarray, "m d"], std: float
) -> dict[str, float]:
    """Count the modes that samples cover, and the share of high-quality samples.

    A sample is of high quality if it lies within three standard deviations of its nearest centre; a
    mode is covered if it is the nearest of at least one such sample.

    Args:
        samples: generated points.
        centres: means of the mixture.
        std: isotropic standard deviation of a component.

    Returns:
        'modes', the number of covered modes, and 'high_quality', a share in [0, 1].

    References:
        VEEGAN, arXiv:1705.07761, section 4.1.
    """
    distance = np.linalg.norm(samples[:, None, :] - centres[None, :, :], axis=-1)
    own, good = distance.argmin(axis=1), distance.min(axis=1) <= 3.0 * std
    return {"modes": float(len(np.unique(own[good]))), "high_quality": float(good.mean())}
