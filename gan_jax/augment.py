"""What a discriminator sees instead of pictures, so that it cannot learn a small data set by heart.

DiffAugment (Zhao et al. 2020, arXiv:2006.10738), and ADA (Karras et al. 2020, arXiv:2006.06676):
its pipeline `bgc` (appendix B) and the control of its probability (section 3). Reals and fakes go
through the same transforms, which are differentiable, so that the generator learns through them.

A transform is `(key, picture [h w c] in [-1, 1], p) -> picture`: every operation in it happens with
probability `p` of its own. The key of an example is folded with its global number, so the result
does not depend on how the batch is split over devices. An operation is a function of two uniform
numbers in [0, 1): a transform draws all it needs at once, because on the CPU every draw of its own
costs compile time (27 s against 3 in the game of a small R3GAN).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Int, Key, Scalar

Picture = Float[Array, "h w c"]
Chance = float | Float[Array, ""]
Transform = Callable[[Key[Array, ""], Picture, Chance], Picture]
Draws = Float[Array, "2"]
Operation = Callable[[Draws, Picture], Picture]


class Adaptive(NamedTuple):
    """ADA's control: every `every` rounds p moves by `every * speed` towards `target`.

    What is held at `target` is E[sign D(real)], 1 when D has learned all reals by heart. The
    paper's p can go from 0 to 1 in 500,000 images: `speed` is the batch size over that number.
    """

    speed: float
    target: float = 0.6
    every: int = 4


class Augment(NamedTuple):
    """A transform and its probability: a number, a function of the round, or adaptive."""

    transform: Transform
    p: float | Callable[[Scalar], Scalar] | Adaptive = 1.0


def augmented(
    transform: Transform,
    x: Float[Array, "b *d"],
    key: Key[Array, ""],
    index: Int[Array, " b"],
    p: Chance,
) -> Float[Array, "b *d"]:
    """Every picture transformed by draws of its own; `index` are the examples' global numbers."""
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(index)
    return jax.vmap(transform, (0, 0, None))(keys, x, p)


# The control of p. Its memory: p, the signs summed since p last moved, and over how many rounds.


def opening() -> dict[str, Array]:
    """The memory before the first round: p is 0."""
    floats = {name: jnp.zeros((), jnp.float32) for name in ("p", "signs")}  # a donated buffer each
    return {**floats, "rounds": jnp.zeros((), jnp.int32)}


def adapt(control: Adaptive, memory: Mapping[str, Array]) -> dict[str, Array]:
    """The memory at a round's start: moved if enough rounds were seen; p stays at or above 0.

    It reads what the rounds before left, by then averaged over the devices. As in the paper there
    is no upper bound.
    """
    due = memory["rounds"] == control.every
    error = memory["signs"] / control.every - control.target
    moved = jnp.maximum(memory["p"] + control.every * control.speed * jnp.sign(error), 0.0)
    fresh = {**opening(), "p": moved}
    return {name: jnp.where(due, fresh[name], memory[name]) for name in fresh}


def observe(
    memory: Mapping[str, Array], real: Float[Array, "b *p"], threshold: float
) -> dict[str, Array]:
    """The memory after this device's reals were judged; its floats are to be averaged."""
    sign = jnp.mean(jnp.sign(real - threshold))
    return {**memory, "signs": memory["signs"] + sign, "rounds": memory["rounds"] + 1}


def probability(augment: Augment, memory: Any, batch: Mapping[str, Any]) -> Float[Array, ""]:
    """The p of a round: a schedule reads it in the batch, an adaptive p is in `memory`."""
    if isinstance(augment.p, Adaptive):
        return memory["p"]
    p = augment.p(batch["round"]) if callable(augment.p) else augment.p
    return jnp.asarray(p, jnp.float32)


# DiffAugment: every operation with its paper's strength.


def policy(*operations: Operation) -> Transform:
    """The operations in this order; the paper always applies all (p = 1)."""

    def transform(key: Key[Array, ""], x: Picture, p: Chance) -> Picture:
        return _one_by_one(operations, jax.random.uniform(key, (len(operations), 3)), x, p)

    return transform


def _one_by_one(operations: tuple[Operation, ...], draws: Array, x: Array, p: Chance) -> Array:
    """Each operation with probability p, decided by the last of its three numbers."""
    for operation, u in zip(operations, draws, strict=True):
        x = jnp.where(u[2] < p, operation(u[:2], x), x)
    return x


def _normal(u: Array) -> Array:
    """A uniform number as a standard normal one; half a step from 0 and 1, which are infinite."""
    return math.sqrt(2.0) * jax.scipy.special.erfinv(2.0 * u - 1.0 + 2.0**-24)


def _whole(u: Array, count: int) -> Array:
    """A uniform number as one of 0, ..., count - 1."""
    return jnp.floor(u * count).astype(jnp.int32)


def _angle(u: Array) -> Array:
    return math.pi * (2.0 * u - 1.0)


def shift_brightness(u: Draws, x: Picture) -> Picture:
    """Adds U[-0.5, 0.5] to all pixels."""
    return x + u[0] - 0.5


def scale_saturation(u: Draws, x: Picture) -> Picture:
    """Scales every pixel's distance from its own grey by U[0, 2]; grey pictures stay."""
    grey = jnp.mean(x, axis=-1, keepdims=True)
    return grey + (x - grey) * 2.0 * u[0]


def scale_contrast(u: Draws, x: Picture) -> Picture:
    """Scales the distance from the picture's mean by U[0.5, 1.5]."""
    mean = jnp.mean(x)
    return mean + (x - mean) * (0.5 + u[0])


def translate(u: Draws, x: Picture) -> Picture:
    """Moves by whole pixels, up to an eighth of either side; zeros come in."""
    most = [int(side / 8 + 0.5) for side in x.shape[:2]]
    start = [_whole(one, 2 * n + 1) for one, n in zip(u, most, strict=True)]
    padded = jnp.pad(x, (*((n, n) for n in most), (0, 0)))
    return jax.lax.dynamic_slice(padded, (*start, 0), x.shape)


def cut_out(u: Draws, x: Picture) -> Picture:
    """Zeros in a window of half either side, anywhere: up to half of it lies outside.

    A window of even size has one place more than the side, so that both ends are alike.
    """

    def window(u: Array, side: int) -> Array:
        size = int(side / 2 + 0.5)
        first = _whole(u, side + 1 - size % 2) - size // 2
        place = jnp.arange(side)
        return (place >= first) & (place < first + size)

    return _without(x, *map(window, u[:2], x.shape[:2]))


def cut_around(u: Draws, x: Picture) -> Picture:
    """Zeros in the pixels whose centres are within a quarter of either side of a point: ADA's."""

    def window(u: Array, side: int) -> Array:
        return jnp.abs((jnp.arange(side) + 0.5) / side - u) < 0.25

    return _without(x, *map(window, u[:2], x.shape[:2]))


def _without(x: Picture, rows: Array, columns: Array) -> Picture:
    return jnp.where((rows[:, None] & columns[None])[..., None], 0.0, x)


COLOUR = (shift_brightness, scale_saturation, scale_contrast)
diffaugment: Transform = policy(*COLOUR, translate, cut_out)


# ADA's pipeline. Geometric operations are 3x3 matrices on homogeneous coordinates (column, row, 1)
# in pixels from the picture's centre, as maps from the new picture to the old; their product warps
# the picture once. Colours are affine maps [c + 1, c + 1] of a pixel.

Size = tuple[int, int]  # height, width
Geometric = Callable[[Draws, Size], Float[Array, "3 3"]]
Colour = Callable[[Draws, int], Float[Array, "n n"]]

EIGHTH = 0.125  # of a side: the largest integer translation, the deviation of the fractional one
SCALE = 0.2 * math.log(2.0)  # deviation of the logarithm of both scalings
BRIGHTNESS = 0.2  # deviation of what is added
CONTRAST = 0.5 * math.log(2.0)  # deviation of the contrast's logarithm
SATURATION = math.log(2.0)  # and of the saturation's


def _matrix(a: Any, b: Any, c: Any, d: Any, x: Any = 0.0, y: Any = 0.0) -> Float[Array, "3 3"]:
    """(column, row) -> (a column + b row + x, c column + d row + y)."""
    entries = (a, b, x, c, d, y, 0.0, 0.0, 1.0)
    return jnp.stack([jnp.asarray(entry, jnp.float32) for entry in entries]).reshape(3, 3)


def mirror(u: Draws, size: Size) -> Float[Array, "3 3"]:
    """Left and right change places, or not: an even draw."""
    return _matrix(jnp.where(u[0] < 0.5, 1.0, -1.0), 0.0, 0.0, 1.0)


def quarter_turn(u: Draws, size: Size) -> Float[Array, "3 3"]:
    """0 to 3 quarter turns, in exact numbers."""
    turns = _whole(u[0], 4)
    cosine = jnp.array([1.0, 0.0, -1.0, 0.0])[turns]
    sine = jnp.array([0.0, 1.0, 0.0, -1.0])[turns]
    return _matrix(cosine, -sine, sine, cosine)


def whole_translation(u: Draws, size: Size) -> Float[Array, "3 3"]:
    """Up to an eighth of either side, rounded to pixels."""
    share = EIGHTH * (2.0 * u - 1.0)
    return _matrix(1.0, 0.0, 0.0, 1.0, jnp.round(share[0] * size[1]), jnp.round(share[1] * size[0]))


def isotropic_scaling(u: Draws, size: Size) -> Float[Array, "3 3"]:
    """Both sides by one log-normal factor."""
    scale = jnp.exp(SCALE * _normal(u[0]))
    return _matrix(scale, 0.0, 0.0, scale)


def rotation(u: Draws, size: Size) -> Float[Array, "3 3"]:
    """By any angle."""
    angle = _angle(u[0])
    return _matrix(jnp.cos(angle), -jnp.sin(angle), jnp.sin(angle), jnp.cos(angle))


def anisotropic_scaling(u: Draws, size: Size) -> Float[Array, "3 3"]:
    """One side by a log-normal factor, the other by its inverse."""
    scale = jnp.exp(SCALE * _normal(u[0]))
    return _matrix(scale, 0.0, 0.0, 1.0 / scale)


def fractional_translation(u: Draws, size: Size) -> Float[Array, "3 3"]:
    """Normal, an eighth of either side its deviation."""
    share = EIGHTH * _normal(u)
    return _matrix(1.0, 0.0, 0.0, 1.0, share[0] * size[1], share[1] * size[0])


def _always(p: Array) -> Array:
    return p


def _either(p: Array) -> Array:
    """The probability of each of two rotations, one of which is to happen with probability p."""
    return 1.0 - jnp.sqrt(jnp.maximum(1.0 - p, 0.0))


BLIT: tuple[tuple[Geometric, Callable[[Array], Array]], ...] = (
    (mirror, _always),
    (quarter_turn, _always),
    (whole_translation, _always),
)
GEOMETRY: tuple[tuple[Geometric, Callable[[Array], Array]], ...] = (
    (isotropic_scaling, _always),
    (rotation, _either),
    (anisotropic_scaling, _always),
    (rotation, _either),
    (fractional_translation, _always),
)


def _affine(matrix: Array, shift: Any = 0.0) -> Float[Array, "n n"]:
    """`pixel -> matrix @ pixel + shift`, homogeneous."""
    n = len(matrix)
    column = jnp.broadcast_to(jnp.asarray(shift, jnp.float32), (n,))[:, None]
    return jnp.block([[matrix, column], [jnp.zeros((1, n)), jnp.ones((1, 1))]])


def _luma(channels: int) -> Float[Array, "c c"]:
    """The projection on the grey axis."""
    return jnp.full((channels, channels), 1.0 / channels)


def brightness(u: Draws, channels: int) -> Float[Array, "n n"]:
    """Adds a normal number."""
    return _affine(jnp.eye(channels), BRIGHTNESS * _normal(u[0]))


def contrast(u: Draws, channels: int) -> Float[Array, "n n"]:
    """Scales by a log-normal factor."""
    return _affine(jnp.exp(CONTRAST * _normal(u[0])) * jnp.eye(channels))


def luma_flip(u: Draws, channels: int) -> Float[Array, "n n"]:
    """Light and dark change places, colours stay, or not: an even draw."""
    flip = jnp.where(u[0] < 0.5, 0.0, 1.0)
    return _affine(jnp.eye(channels) - 2.0 * flip * _luma(channels))


def hue(u: Draws, channels: int) -> Float[Array, "n n"]:
    """Turns the three colours about the grey axis, by any angle (Rodrigues' formula)."""
    angle = _angle(u[0])
    cross = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3.0)
    straight = jnp.cos(angle) * jnp.eye(3) + (1.0 - jnp.cos(angle)) * _luma(3)
    return _affine(straight + jnp.sin(angle) * cross)


def saturation(u: Draws, channels: int) -> Float[Array, "n n"]:
    """Scales the distance from the grey axis by a log-normal factor."""
    scale = jnp.exp(SATURATION * _normal(u[0]))
    return _affine(_luma(channels) + scale * (jnp.eye(channels) - _luma(channels)))


LIGHT: tuple[Colour, ...] = (brightness, contrast, luma_flip)
CHROMA: tuple[Colour, ...] = (hue, saturation)  # of colour pictures only: a grey one has neither


def pipeline(
    *,
    geometry: tuple[tuple[Geometric, Callable[[Array], Array]], ...] = BLIT + GEOMETRY,
    light: tuple[Colour, ...] = LIGHT,
    chroma: tuple[Colour, ...] = CHROMA,
    colour_share: float = 1.0,
    after: tuple[Operation, ...] = (),
) -> Transform:
    """Geometry, then colour, then `after`; without arguments the paper's `bgc`.

    Colours happen with probability `colour_share * p`. The warp reads the picture as if mirrored at
    its edges, bilinearly; the paper's filter, a wavelet at twice the resolution, is left out, as
    reals and fakes lose the same detail.
    """

    def transform(key: Key[Array, ""], x: Picture, p: Chance) -> Picture:
        p, size, channels = jnp.asarray(p), (x.shape[0], x.shape[1]), x.shape[2]
        colours = light + (chroma if channels == 3 else ())
        draws = jax.random.uniform(key, (len(geometry) + len(colours) + len(after), 3))
        warping, colouring, ending = jnp.split(draws, (len(geometry), len(geometry) + len(colours)))
        inverse = jnp.eye(3)
        for (draw, share), u in zip(geometry, warping, strict=True):
            inverse = _product(inverse, jnp.where(u[2] < share(p), draw(u[:2], size), jnp.eye(3)))
        x = warp(x, inverse) if geometry else x
        mixed = neutral = jnp.eye(channels + 1)
        for draw, u in zip(colours, colouring, strict=True):
            likely = u[2] < colour_share * p
            mixed = _product(jnp.where(likely, draw(u[:2], channels), neutral), mixed)
        x = recolour(x, mixed) if colours else x
        return _one_by_one(after, ending, x, p)

    return transform


def _product(a: Array, b: Array) -> Array:
    """In full float32 on every processor: a coordinate must not be rounded to bfloat16."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def warp(x: Picture, inverse: Float[Array, "3 3"]) -> Picture:
    """The picture whose pixel at `q` (from the centre) is the old one's at `inverse @ q`.

    Bilinear; what lies outside is mirrored without repeating the edge. A map of pixels onto pixels
    is exact. Four gathers: on the CPU 30 times faster than the same sum as matrix products.
    """
    height, width, _ = x.shape
    middle = (height - 1) / 2.0, (width - 1) / 2.0
    row, column = jnp.arange(height)[:, None] - middle[0], jnp.arange(width)[None] - middle[1]
    columns = inverse[0, 0] * column + inverse[0, 1] * row + inverse[0, 2] + middle[1]
    rows = inverse[1, 0] * column + inverse[1, 1] * row + inverse[1, 2] + middle[0]

    def read(plane: Array) -> Array:
        return map_coordinates(plane, [rows, columns], order=1, mode="mirror")

    return jax.vmap(read, -1, -1)(x)


def recolour(x: Picture, matrix: Float[Array, "n n"]) -> Picture:
    """Every pixel through the homogeneous affine map."""
    channels = x.shape[-1]
    mixed = jnp.einsum(
        "hwc,dc->hwd", x, matrix[:channels, :channels], precision=jax.lax.Precision.HIGHEST
    )
    return mixed + matrix[:channels, channels][None, None]


bgc: Transform = pipeline()
bgc_cutout: Transform = pipeline(colour_share=0.5, after=(cut_around,))
"""`bgc` with colours half as likely, and cutout: what the authors of R3GAN train with."""
