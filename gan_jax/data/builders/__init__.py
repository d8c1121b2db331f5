"""The project's own data sets, as TFDS builders; one declaration each."""

from gan_jax.data.builders.base import ImageSet
from gan_jax.data.builders.fashion_mnist import FASHION_MNIST, FASHION_MNIST_10K

DECLARED: dict[str, ImageSet] = {one.name: one for one in (FASHION_MNIST_10K, FASHION_MNIST)}
"""Every data set that this project declares itself, by name."""
