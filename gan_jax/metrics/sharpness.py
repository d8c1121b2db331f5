"""Sharpness of images, as variance of the Laplacian."""

import numpy as np

from gan_jax.metrics.features import Images, to_uint8


def sharpness(images: Images) -> float:
    """Compute the mean over images [n h w c] of the variance of the Laplacian of grey levels.

    It is 0 for a constant image; blur lowers and noise raises it, so compare it with the value of
    real images.

    Returns:
        Mean variance in squared uint8 levels.

    References:
        Pech-Pacheco et al. 2000, doi:10.1109/ICPR.2000.903548.
    """
    grey = to_uint8(images).mean(axis=-1, dtype=np.float64)
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return float((around - 4.0 * inner).var(axis=(1, 2)).mean())
