"""Translation of a picture that is dropped on the page."""

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from gan_jax.editing.explorer import requests
from gan_jax.editing.explorer.routes import Part, Request, Response, Route, png
from gan_jax.errors import UserError
from gan_jax.game import State
from gan_jax.sampling.files import padded_sides, read_picture, translate_padded
from gan_jax.sampling.sampler import Sampler

PICTURES = frozenset({"image/png", "image/jpeg", "image/webp"})
MAX_PIXELS = 2**22  # that are translated at once: more would take minutes and gigabytes
SIDES = (64, 128, 256, 512, 1024)  # pixels, to which larger pictures may be shrunk
EXAMPLES = 8  # of each direction

Direction = str
"""Such as "x2y"."""


def make_part(
    sampler: Sampler,
    state: State,
    examples: Mapping[Direction, UInt8[np.ndarray, "n h w c"]],
    *,
    channels: int,
    resolution: int,
    sample: Sequence[str] = (),
) -> Part:
    """Make the routes of translations; each direction is compiled at the size of the data.

    Args:
        sampler: of the game.
        state: whose networks translate.
        examples: held-out pictures by direction.
        channels: of the pictures, 1 or 3.
        resolution: of the data, pixels.
        sample: the words of the command that samples the run.
    """
    key = jax.random.key(0)  # of `sample --input` without a seed
    compiled: dict[Direction, set[tuple[int, int]]] = {d: set() for d in sampler.directions}

    def translate(direction: Direction, picture: UInt8[np.ndarray, "h w c"]) -> np.ndarray:
        def run(pictures: Float[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n h w c"]:
            return sampler.translate(state, key, direction, pictures)

        made = translate_padded(run, picture, sampler.multiple)
        compiled[direction].add(padded_sides(picture.shape[:2], sampler.multiple))
        return made

    for direction in sampler.directions:
        translate(direction, np.zeros((resolution, resolution, channels), np.uint8))

    def facts() -> dict[str, object]:
        return {
            "directions": {
                direction: {
                    "examples": len(examples.get(direction, ())),
                    "compiled": sorted(compiled[direction]),
                    "command": [*sample, "--direction", direction, "--input"],
                }
                for direction in sampler.directions
            },
            "accepts": sorted(PICTURES),
            "sides": SIDES,
            "multiple": sampler.multiple,
        }

    routes = {
        "/translate": Route(_translator(translate, sampler.directions, channels), PICTURES),
        "/example": Route(_example(examples)),
    }
    return Part("translations", facts, routes)


def _translator(
    translate: Callable[[Direction, np.ndarray], np.ndarray],
    directions: Sequence[Direction],
    channels: int,
) -> Callable[[Request], Response]:
    fields = {
        "direction": requests.choice("direction", directions),
        "side": requests.number("side", int, 0, max(SIDES)),
    }

    def answer(request: Request) -> Response:
        values = requests.read(request.query, fields)
        (direction,) = requests.required(values, "direction")
        picture = shrink(read_picture(request.content, channels), values.get("side", 0))
        height, width = picture.shape[:2]
        if height * width > MAX_PIXELS:
            raise UserError(
                f"the picture has {height} x {width} pixels, more than {MAX_PIXELS:,}: choose a "
                "smaller size, or use `gan-jax sample --input`"
            )
        return png(translate(direction, picture))

    return answer


def _example(
    examples: Mapping[Direction, UInt8[np.ndarray, "n h w c"]],
) -> Callable[[Request], Response]:
    fields = {
        "direction": requests.choice("direction", examples),
        "row": requests.number("row", int, 0, EXAMPLES - 1),
    }

    def answer(request: Request) -> Response:
        values = requests.read(request.query, fields)
        direction, row = requests.required(values, "direction", "row")
        if row >= len(examples[direction]):
            raise UserError(f"row = {row}: there are {len(examples[direction])} examples")
        return png(examples[direction][row])

    return answer


def shrink(picture: UInt8[np.ndarray, "h w c"], side: int) -> UInt8[np.ndarray, "i j c"]:
    """Shrink a picture until its longer side is at most `side` pixels; 0 leaves it as it is."""
    height, width, channels = picture.shape
    longer = max(height, width)
    if not side or longer <= side:
        return picture
    size = (max(1, round(width * side / longer)), max(1, round(height * side / longer)))
    image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
    shrunk = image.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(shrunk).reshape(size[1], size[0], channels)
