"""The static part of a convolution: shapes, stride, padding and dtype."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from gan_jax.errors import UserError

Pair = tuple[int, int]  # (height, width)
Padding = int | str | Sequence[Pair]


class Axis(NamedTuple):
    """A convolution along the height or the width."""

    size: int  # of the kernel
    stride: int
    padding: Pair  # (before, after)
    image: int
    output: int


class Geometry(NamedTuple):
    """All that is known of a convolution when it is traced; hashable."""

    size: Pair  # of the kernel
    stride: Pair
    padding: tuple[Pair, Pair]  # (top, bottom), (left, right)
    image: Pair  # of the convolution's input
    batch: int
    channels: int  # of the input
    features: int  # of the output
    dtype: jnp.dtype

    @property
    def output(self) -> Pair:
        """Height and width of the output."""
        h, w = (
            (n + sum(p) - k) // s + 1
            for n, p, k, s in zip(self.image, self.padding, self.size, self.stride, strict=True)
        )
        return h, w

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """The convolution along the height and along the width."""
        rows, columns = zip(
            self.size, self.stride, self.padding, self.image, self.output, strict=True
        )
        return Axis(*rows), Axis(*columns)


def to_pair(value: int | Sequence[int]) -> Pair:
    """Repeat a number for both axes, or make a tuple of two numbers."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def explicit_padding(padding: Padding, image: Pair, size: Pair, stride: Pair) -> tuple[Pair, Pair]:
    """Convert padding to numbers, ((top, bottom), (left, right)).

    Raises:
        UserError: A string is neither "SAME" nor "VALID".
    """
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise UserError(f"padding {padding!r} is neither 'SAME' nor 'VALID' nor numbers")
        rows, columns = lax.padtype_to_pads(image, size, stride, padding)
    elif isinstance(padding, int):
        rows = columns = (padding, padding)
    else:
        rows, columns = padding
    return (rows[0], rows[1]), (columns[0], columns[1])
