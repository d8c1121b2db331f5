"""Augmentation of all that a discriminator sees, against overfitting on small data sets.

DiffAugment (Zhao et al. 2020, arXiv:2006.10738), and ADA (Karras et al. 2020, arXiv:2006.06676):
its pipeline `bgc` (appendix B) and the control of its probability (section 3). Reals and fakes go
through the same transforms, which are differentiable, so that the generator learns through them.

A transform is `(key, image [h w c] in [-1, 1], p) -> image`: each of its operations is applied with
probability `p`, independently. The key of an example is folded with its global number, so the
result does not depend on how the batch is split over devices. An operation is a function of two
uniform numbers in [0, 1): a transform draws all numbers that it needs at once, because on the CPU
every separate draw costs compile time (27 s against 3 in the game of a small R3GAN).
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Int, Key, Scalar

Image = Float[Array, "h w c"]
Probability = float | Float[Array, ""]
Number = float | Float[Array, ""]  # drawn for an image, or constant
Transform = Callable[[Key[Array, ""], Image, Probability], Image]
Uniforms = Float[Array, "2"]
Operation = Callable[[Uniforms, Image], Image]


class Adaptive(NamedTuple):
    """ADA's control of p: every `every` rounds p moves by `every * speed` towards the target.

    The statistic is r_t = E[sign D(real)], which is 1 when all reals are classified as real. Its
    state is a dict: `p`, the sum `signs` of the statistic since p last moved, and over how many
    `rounds` (Karras et al. 2020, arXiv:2006.06676, section 3.1).

    Attributes:
        speed: the change of p per round. The paper's p can go from 0 to 1 in 500,000 images: the
            batch size over that number.
        target: of the statistic.
        every: rounds between moves of p.
    """

    speed: float
    target: float = 0.6
    every: int = 4

    def init(self) -> dict[str, Array]:
        """The state before the first round: p is 0."""
        floats = {name: jnp.zeros((), jnp.float32) for name in ("p", "signs")}  # separate buffers
        return {**floats, "rounds": jnp.zeros((), jnp.int32)}

    def update(self, state: Mapping[str, Array]) -> dict[str, Array]:
        """Move p at the start of a round if `every` rounds have passed; p stays at or above 0.

        The statistic is that of the rounds before, averaged over devices by now. As in the paper
        there is no upper bound.
        """
        due = state["rounds"] == self.every
        error = state["signs"] / self.every - self.target
        p = jnp.maximum(state["p"] + self.every * self.speed * jnp.sign(error), 0.0)
        moved = {**self.init(), "p": p}
        return {name: jnp.where(due, moved[name], state[name]) for name in moved}

    def observe(
        self, state: Mapping[str, Array], real: Float[Array, "b *p"], threshold: float
    ) -> dict[str, Array]:
        """Add the statistic of this device's real logits; the caller averages over devices."""
        sign = jnp.mean(jnp.sign(real - threshold))
        return {**state, "signs": state["signs"] + sign, "rounds": state["rounds"] + 1}


@dataclass(frozen=True)
class Augment:
    """A transform and its probability: a number, a function of the round, or adaptive.

    With `paired`, the real and the fake of the same number see the same random numbers in a move.
    """

    transform: Transform
    p: float | Callable[[Scalar], Scalar] | Adaptive = 1.0
    paired: bool = False

    @property
    def control(self) -> Adaptive | None:
        """What moves p, where p is adaptive."""
        return self.p if isinstance(self.p, Adaptive) else None

    def probability(self, round: Any, state: Mapping[str, Array] | None = None) -> Float[Array, ""]:
        """Return the p of a round; an adaptive p is read from the `state` of its control."""
        if isinstance(self.p, Adaptive):
            if state is None:
                raise ValueError("an adaptive p is in the state of its control, which is missing")
            return state["p"]
        return jnp.asarray(self.p(round) if callable(self.p) else self.p, jnp.float32)

    def __call__(
        self, x: Float[Array, "b *d"], key: Key[Array, ""], index: Int[Array, " b"], p: Probability
    ) -> Float[Array, "b *d"]:
        """Transform every image by random numbers of its own.

        Args:
            x: the images.
            key: the key of this pass.
            index: the global numbers of the examples.
            p: the probability of each operation.
        """
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(index)
        return jax.vmap(self.transform, (0, 0, None))(keys, x, p)


# DiffAugment: the strengths are the paper's.


def policy(*operations: Operation) -> Transform:
    """Apply the operations in this order; the paper always applies all (p = 1)."""

    def transform(key: Key[Array, ""], x: Image, p: Probability) -> Image:
        return _apply_each(operations, jax.random.uniform(key, (len(operations), 3)), x, p)

    return transform


def _apply_each(
    operations: tuple[Operation, ...],
    uniforms: Float[Array, "n 3"],
    x: Image,
    p: Probability,
) -> Image:
    """Apply each operation with probability p, which the last of its three numbers decides."""
    for operation, u in zip(operations, uniforms, strict=True):
        x = jnp.where(u[2] < p, operation(u[:2], x), x)
    return x


def _to_normal(u: Array) -> Array:
    """Map U[0, 1) to N(0, 1); 2^-24, half a step, keeps the argument off the infinite ends."""
    return math.sqrt(2.0) * jax.scipy.special.erfinv(2.0 * u - 1.0 + 2.0**-24)


def _to_integer(u: Array, count: int) -> Array:
    """Map U[0, 1) to one of 0, ..., count - 1."""
    return jnp.floor(u * count).astype(jnp.int32)


def _to_angle(u: Array) -> Array:
    """Map U[0, 1) to U[-pi, pi)."""
    return math.pi * (2.0 * u - 1.0)


def shift_brightness(u: Uniforms, x: Image) -> Image:
    """Add U[-0.5, 0.5] to all pixels."""
    return x + u[0] - 0.5


def scale_saturation(u: Uniforms, x: Image) -> Image:
    """Scale every pixel's distance from its own grey by U[0, 2]; grey images stay."""
    grey = jnp.mean(x, axis=-1, keepdims=True)
    return grey + (x - grey) * 2.0 * u[0]


def scale_contrast(u: Uniforms, x: Image) -> Image:
    """Scale the distance from the image's mean by U[0.5, 1.5]."""
    mean = jnp.mean(x)
    return mean + (x - mean) * (0.5 + u[0])


def translate(u: Uniforms, x: Image) -> Image:
    """Translate by whole pixels, up to an eighth of either side, and fill with zeros."""
    limits = [int(side / 8 + 0.5) for side in x.shape[:2]]
    start = [_to_integer(v, 2 * n + 1) for v, n in zip(u, limits, strict=True)]
    padded = jnp.pad(x, (*((n, n) for n in limits), (0, 0)))
    return jax.lax.dynamic_slice(padded, (*start, 0), x.shape)


def cut_out(u: Uniforms, x: Image, share: float = 0.5) -> Image:
    """Zero a window of a share of either side at a uniform place: up to half of it lies outside.

    A window of even size has one place more than the side, so that both ends are alike.
    """

    def window(u: Array, side: int) -> Array:
        size = int(share * side + 0.5)
        first = _to_integer(u, side + 1 - size % 2) - size // 2
        place = jnp.arange(side)
        return (place >= first) & (place < first + size)

    return _zero(x, *map(window, u[:2], x.shape[:2]))


def cut_around(u: Uniforms, x: Image) -> Image:
    """Zero the pixels whose centres are within a quarter of either side of a uniform point.

    The cutout of ADA (Karras et al. 2020, appendix B).
    """

    def window(u: Array, side: int) -> Array:
        return jnp.abs((jnp.arange(side) + 0.5) / side - u) < 0.25

    return _zero(x, *map(window, u[:2], x.shape[:2]))


def _zero(x: Image, rows: Array, columns: Array) -> Image:
    """Zero the pixels of the rows [h] and columns [w] that are True."""
    return jnp.where((rows[:, None] & columns[None])[..., None], 0.0, x)


COLOUR = (shift_brightness, scale_saturation, scale_contrast)
diffaugment: Transform = policy(*COLOUR, translate, cut_out)

translation_cutout: Transform = policy(translate, functools.partial(cut_out, share=0.2))
"""DiffAugment without its changes of colour, which a generator of drawings would learn, and with a
smaller cutout, that of Projected GAN's code (Sauer et al. 2021)."""


# ADA's pipeline (Karras et al. 2020, appendix B). Geometric operations are 3x3 matrices on
# homogeneous coordinates (column, row, 1) in pixels from the image's centre, as maps from the new
# image to the old; their product warps the image once. Colours are affine maps [c + 1, c + 1] of a
# pixel.

Size = tuple[int, int]  # height, width
Geometric = Callable[[Uniforms, Size], Float[Array, "3 3"]]
Colour = Callable[[Uniforms, int], Float[Array, "n n"]]

# As a share of a side: the maximum of the integer translation, the deviation of the fractional one
TRANSLATION = 0.125
SCALE = 0.2 * math.log(2.0)  # standard deviation of the logarithm of both scalings
BRIGHTNESS = 0.2  # standard deviation of the number that is added
CONTRAST = 0.5 * math.log(2.0)  # standard deviation of the logarithm of the factor
SATURATION = math.log(2.0)  # standard deviation of the logarithm of the factor


def _matrix(a: Number, b: Number, c: Number, d: Number, x: Number = 0.0, y: Number = 0.0) -> Array:
    """The map (column, row) -> (a column + b row + x, c column + d row + y), [3 3]."""
    entries = (a, b, x, c, d, y, 0.0, 0.0, 1.0)
    return jnp.stack([jnp.asarray(entry, jnp.float32) for entry in entries]).reshape(3, 3)


def x_flip(u: Uniforms, size: Size) -> Float[Array, "3 3"]:
    """Swap left and right with probability one half."""
    return _matrix(jnp.where(u[0] < 0.5, 1.0, -1.0), 0.0, 0.0, 1.0)


def quarter_rotation(u: Uniforms, size: Size) -> Float[Array, "3 3"]:
    """Rotate by 0, 90, 180 or 270 degrees, without rounding."""
    turns = _to_integer(u[0], 4)
    cosine = jnp.array([1.0, 0.0, -1.0, 0.0])[turns]
    sine = jnp.array([0.0, 1.0, 0.0, -1.0])[turns]
    return _matrix(cosine, -sine, sine, cosine)


def integer_translation(u: Uniforms, size: Size) -> Float[Array, "3 3"]:
    """Translate by up to an eighth of either side, rounded to pixels."""
    share = TRANSLATION * (2.0 * u - 1.0)
    return _matrix(1.0, 0.0, 0.0, 1.0, jnp.round(share[0] * size[1]), jnp.round(share[1] * size[0]))


def isotropic_scaling(u: Uniforms, size: Size) -> Float[Array, "3 3"]:
    """Scale both sides by a log-normal factor."""
    scale = jnp.exp(SCALE * _to_normal(u[0]))
    return _matrix(scale, 0.0, 0.0, scale)


def rotation(u: Uniforms, size: Size) -> Float[Array, "3 3"]:
    """Rotate by an angle from U[-pi, pi)."""
    angle = _to_angle(u[0])
    return _matrix(jnp.cos(angle), -jnp.sin(angle), jnp.sin(angle), jnp.cos(angle))


def anisotropic_scaling(u: Uniforms, size: Size) -> Float[Array, "3 3"]:
    """Scale the width by a log-normal factor and the height by its inverse."""
    scale = jnp.exp(SCALE * _to_normal(u[0]))
    return _matrix(scale, 0.0, 0.0, 1.0 / scale)


def fractional_translation(u: Uniforms, size: Size) -> Float[Array, "3 3"]:
    """Translate by normal numbers whose deviation is an eighth of either side."""
    share = TRANSLATION * _to_normal(u)
    return _matrix(1.0, 0.0, 0.0, 1.0, share[0] * size[1], share[1] * size[0])


def _same(p: Array) -> Array:
    """The probability of an operation that happens once."""
    return p


def _of_two(p: Array) -> Array:
    """The probability of each of two rotations, so that one or both happen with probability p."""
    return 1.0 - jnp.sqrt(jnp.maximum(1.0 - p, 0.0))


BLIT: tuple[tuple[Geometric, Callable[[Array], Array]], ...] = (
    (x_flip, _same),
    (quarter_rotation, _same),
    (integer_translation, _same),
)
GEOMETRY: tuple[tuple[Geometric, Callable[[Array], Array]], ...] = (
    (isotropic_scaling, _same),
    (rotation, _of_two),
    (anisotropic_scaling, _same),
    (rotation, _of_two),
    (fractional_translation, _same),
)


def _affine(matrix: Array, shift: Array | float = 0.0) -> Float[Array, "n n"]:
    """The homogeneous matrix of `pixel -> matrix @ pixel + shift`."""
    n = len(matrix)
    column = jnp.broadcast_to(jnp.asarray(shift, jnp.float32), (n,))[:, None]
    return jnp.block([[matrix, column], [jnp.zeros((1, n)), jnp.ones((1, 1))]])


def _luma(channels: int) -> Float[Array, "c c"]:
    """The projection on the luma (grey) axis."""
    return jnp.full((channels, channels), 1.0 / channels)


def brightness(u: Uniforms, channels: int) -> Float[Array, "n n"]:
    """Add a normal number."""
    return _affine(jnp.eye(channels), BRIGHTNESS * _to_normal(u[0]))


def contrast(u: Uniforms, channels: int) -> Float[Array, "n n"]:
    """Scale by a log-normal factor."""
    return _affine(jnp.exp(CONTRAST * _to_normal(u[0])) * jnp.eye(channels))


def luma_flip(u: Uniforms, channels: int) -> Float[Array, "n n"]:
    """Reflect the luma and keep the chroma, with probability one half."""
    flip = jnp.where(u[0] < 0.5, 0.0, 1.0)
    return _affine(jnp.eye(channels) - 2.0 * flip * _luma(channels))


def hue(u: Uniforms, channels: int) -> Float[Array, "n n"]:
    """Rotate RGB about the luma axis by an angle from U[-pi, pi) (Rodrigues' formula)."""
    angle = _to_angle(u[0])
    cross = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3.0)
    straight = jnp.cos(angle) * jnp.eye(3) + (1.0 - jnp.cos(angle)) * _luma(3)
    return _affine(straight + jnp.sin(angle) * cross)


def saturation(u: Uniforms, channels: int) -> Float[Array, "n n"]:
    """Scale the distance from the luma axis by a log-normal factor."""
    scale = jnp.exp(SATURATION * _to_normal(u[0]))
    return _affine(_luma(channels) + scale * (jnp.eye(channels) - _luma(channels)))


LIGHT: tuple[Colour, ...] = (brightness, contrast, luma_flip)
CHROMA: tuple[Colour, ...] = (hue, saturation)  # of RGB images only: a grey image has no chroma


def pipeline(
    *,
    geometry: tuple[tuple[Geometric, Callable[[Array], Array]], ...] = BLIT + GEOMETRY,
    light: tuple[Colour, ...] = LIGHT,
    chroma: tuple[Colour, ...] = CHROMA,
    colour_multiplier: float = 1.0,
    after: tuple[Operation, ...] = (),
) -> Transform:
    """Compose a transform of ADA's kind; without arguments it is the paper's `bgc`.

    The warp reads the image as if mirrored at its edges, bilinearly. The paper's filter, a wavelet
    at twice the resolution, is left out, as reals and fakes lose the same detail.

    Args:
        geometry: operations and their probabilities as functions of p; applied first, as one warp.
        light: colour operations on images of any number of channels.
        chroma: colour operations on RGB images.
        colour_multiplier: colour operations have the probability `colour_multiplier * p`.
        after: operations on the image at the end.
    """

    def transform(key: Key[Array, ""], x: Image, p: Probability) -> Image:
        p = jnp.asarray(p)
        colours = light + (chroma if x.shape[2] == 3 else ())
        uniforms = jax.random.uniform(key, (len(geometry) + len(colours) + len(after), 3))
        ends = (len(geometry), len(geometry) + len(colours))
        for_geometry, for_colours, for_after = jnp.split(uniforms, ends)
        if geometry:
            x = warp(x, _geometric_matrix(geometry, for_geometry, (x.shape[0], x.shape[1]), p))
        if colours:
            x = recolour(x, _colour_matrix(colours, for_colours, x.shape[2], colour_multiplier * p))
        return _apply_each(after, for_after, x, p)

    return transform


def _geometric_matrix(
    operations: tuple[tuple[Geometric, Callable[[Array], Array]], ...],
    uniforms: Float[Array, "n 3"],
    size: Size,
    p: Array,
) -> Float[Array, "3 3"]:
    """The product of the operations that happen, the first on the left: new image to old."""
    matrix = jnp.eye(3)
    for (draw, probability), u in zip(operations, uniforms, strict=True):
        factor = jnp.where(u[2] < probability(p), draw(u[:2], size), jnp.eye(3))
        matrix = _product(matrix, factor)
    return matrix


def _colour_matrix(
    operations: tuple[Colour, ...], uniforms: Float[Array, "n 3"], channels: int, p: Array
) -> Float[Array, "c c"]:
    """The product of the operations that happen, the first on the right."""
    matrix = identity = jnp.eye(channels + 1)
    for draw, u in zip(operations, uniforms, strict=True):
        matrix = _product(jnp.where(u[2] < p, draw(u[:2], channels), identity), matrix)
    return matrix


def _product(a: Array, b: Array) -> Array:
    """Multiply in full float32 on every processor: bfloat16 would round coordinates."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def warp(x: Image, inverse: Float[Array, "3 3"]) -> Image:
    """Set the pixel at `q` (from the centre) to the image's value at `inverse @ q`.

    The interpolation is bilinear; outside, the image is mirrored without repeating the edge. A map
    of pixels onto pixels is exact. It takes four gathers: on the CPU 30 times faster than the same
    sum as matrix products.
    """
    height, width, _ = x.shape
    middle = (height - 1) / 2.0, (width - 1) / 2.0
    row, column = jnp.arange(height)[:, None] - middle[0], jnp.arange(width)[None] - middle[1]
    columns = inverse[0, 0] * column + inverse[0, 1] * row + inverse[0, 2] + middle[1]
    rows = inverse[1, 0] * column + inverse[1, 1] * row + inverse[1, 2] + middle[0]

    def read(plane: Array) -> Array:
        return map_coordinates(plane, [rows, columns], order=1, mode="mirror")

    return jax.vmap(read, -1, -1)(x)


def recolour(x: Image, matrix: Float[Array, "n n"]) -> Image:
    """Apply a homogeneous affine map [c + 1, c + 1] to every pixel."""
    channels = x.shape[-1]
    mixed = jnp.einsum(
        "hwc,dc->hwd", x, matrix[:channels, :channels], precision=jax.lax.Precision.HIGHEST
    )
    return mixed + matrix[:channels, channels][None, None]


bgc: Transform = pipeline()
bgc_cutout: Transform = pipeline(colour_multiplier=0.5, after=(cut_around,))
"""`bgc` with colours half as likely, and cutout: what the authors of R3GAN train with."""
