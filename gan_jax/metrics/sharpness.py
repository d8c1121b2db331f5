"""Sharpness: how much of the fine detail of real pictures samples have."""

import numpy as np

from gan_jax.metrics.features import Images, to_uint8


def sharpness(images: Images) -> float:
    """The mean over images [n h w c] of the variance of the Laplacian of their grey levels.

    A usual measure of focus (Pech-Pacheco et al. 2000, ICPR): 0 for a constant image; blur lowers
    it, noise raises it, so it is to be read as a share of the real images', 1 being theirs.
    """
    grey = to_uint8(images).mean(axis=-1, dtype=np.float64)
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return float((around - 4.0 * inner).var(axis=(1, 2)).mean())
