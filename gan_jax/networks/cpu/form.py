"""The type of an algorithm for convolutions."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from jaxtyping import Array

from gan_jax.networks.geometry import Geometry

Operation = Literal["conv", "input_gradient", "kernel_gradient"]
"""A convolution is a trilinear form of image x, kernel k and output gradient y; each operation is
its partial gradient: conv(x, k), input_gradient(y, k), kernel_gradient(x, y)."""


class Form(NamedTuple):
    """An algorithm for a convolution and its gradients."""

    name: str
    run: Mapping[Operation, Callable[[Geometry, Array, Array], Array]]
