"""Data sets declared by this package, prepared through TFDS builders."""

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
from gan_jax.data.builders.ink_faces import FACES_INK_COLOUR
from gan_jax.data.builders.maps import MAPS, MAPS_UNPAIRED

DECLARED: dict[str, ImageSet] = {
    declared.name: declared
    for declared in (
        *(FASHION_MNIST_10K, FASHION_MNIST, MAPS, MAPS_UNPAIRED, AVATARS),
        *(EMOJI_PAIRS, EMOJI_NOTO_TWEMOJI, FACES_INK_COLOUR),
        *(EMOJI_NOTO, EMOJI_TWEMOJI, EMOJI_FLUENT_FLAT, EMOJI_FLUENT_3D),
    )
}
"""Data sets declared by this package, by name."""


def find_set(name: str) -> ImageSet | None:
    """Return a declared data set, or drawn faces such as 'avatars_60000x64'; None if unknown.

    Raises:
        UserError: an invalid name of drawn faces.
    """
    if name in DECLARED:
        return DECLARED[name]
    faces = drawn_avatars.parse(name)
    return faces and drawn_avatars.declare(faces)
