"""The project's own data sets, as TFDS builders; one declaration each."""

from gan_jax.data.builders import drawn_avatars
from gan_jax.data.builders.avatars import AVATARS
from gan_jax.data.builders.base import ImageSet
from gan_jax.data.builders.emoji import (
    EMOJI_FLUENT_3D,
    EMOJI_FLUENT_FLAT,
    EMOJI_NOTO,
    EMOJI_NOTO_TWEMOJI,
    EMOJI_PAIRS,
    EMOJI_TWEMOJI,
)
from gan_jax.data.builders.fashion_mnist import FASHION_MNIST, FASHION_MNIST_10K
from gan_jax.data.builders.maps import MAPS

DECLARED: dict[str, ImageSet] = {
    one.name: one
    for one in (
        *(FASHION_MNIST_10K, FASHION_MNIST, MAPS, AVATARS, EMOJI_PAIRS, EMOJI_NOTO_TWEMOJI),
        *(EMOJI_NOTO, EMOJI_TWEMOJI, EMOJI_FLUENT_FLAT, EMOJI_FLUENT_3D),
    )
}
"""Every data set that this project declares itself, by name."""


def find_set(name: str) -> ImageSet | None:
    """Find a data set of this project's own: a declared one, or drawn faces ('avatars_60000x64').

    Raises:
        UserError: a name of drawn faces that cannot be read.
    """
    if name in DECLARED:
        return DECLARED[name]
    faces = drawn_avatars.parse(name)
    return faces and drawn_avatars.declare(faces)
