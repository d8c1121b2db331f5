"""Routes of generated pictures: one of a seed, a gallery of seeds, a walk from A to B.

What a picture is made of, styles or latents, is the matter of a `Pictures`. Every picture is drawn
alone, by a program that was compiled at the start: a picture of the gallery or of a walk is the
one that its own request draws, to the bit.
"""

import dataclasses
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from gan_jax.editing.explorer import requests
from gan_jax.editing.explorer.requests import MAX_SEED
from gan_jax.editing.explorer.routes import Part, Request, Response, Route, encode, png, text
from gan_jax.errors import UserError
from gan_jax.grids import image_grid, save_animation

GALLERY, GALLERY_COLUMNS = 24, 6
WALK_FRAMES, WALK_FPS = 24, 20.0  # from A to B; the animation also goes back
GIF_SIDE = 256  # pixels, to which an animation enlarges smaller pictures

Settings = Any
"""A frozen dataclass with a field `seed`: everything that a picture may depend on."""

Picture = UInt8[np.ndarray, "h w c"]


class Command(NamedTuple):
    """A command that draws a picture.

    Attributes:
        words: of the command line; none where no command draws the picture.
        note: what the command leaves out.
    """

    words: tuple[str, ...]
    note: str = ""


class Pictures(NamedTuple):
    """How a generator's pictures are drawn.

    Attributes:
        read: the query of a request to its settings; raises `UserError`.
        draw: settings to a picture.
        between: `(a, b, t)` to the picture at t from 0 to 1 between those of two settings; None
            where there is nothing between them.
        command: settings to the command that draws their picture.
        facts: what the page's script must know of the controls.
        routes: those that only this kind of pictures has.
    """

    read: Callable[[str], Settings]
    draw: Callable[[Settings], Picture]
    between: Callable[[Settings, Settings, float], Picture] | None
    command: Callable[[Settings], Command]
    facts: Mapping[str, object]
    routes: Mapping[str, Route] = {}


_drawing = Lock()  # two pictures at once would slow each other down


def make_part(pictures: Pictures) -> Part:
    """Draw a picture of each kind, so that no request compiles anything, and make the routes."""
    settings = pictures.read("")
    shape = pictures.draw(settings).shape
    routes = {
        "/picture": Route(lambda request: png(draw(pictures, pictures.read(request.query)))),
        "/command": Route(lambda request: _command(pictures, request)),
        **pictures.routes,
    }
    if pictures.between is not None:
        pictures.between(settings, settings, 0.5)
        routes |= {
            "/gallery": Route(lambda request: png(gallery(pictures, request.query))),
            "/walk": Route(lambda request: png(_walk(pictures, request.query))),
            "/walk.gif": Route(lambda request: _animation(pictures, request.query)),
        }
    facts = {
        "height": shape[0],
        "width": shape[1],
        "max_seed": MAX_SEED,
        "gallery": GALLERY,
        "gallery_columns": GALLERY_COLUMNS,
        "walk": pictures.between is not None,
        **pictures.facts,
    }
    return Part("pictures", lambda: facts, routes)


def draw(pictures: Pictures, settings: Settings) -> Picture:
    """Draw a picture, alone."""
    with _drawing:
        return pictures.draw(settings)


def gallery(pictures: Pictures, query: str) -> Picture:
    """Draw a sheet of the pictures of consecutive seeds, all else being equal.

    Other requests are answered between two of its pictures.
    """
    settings = pictures.read(query)
    seeds = [(settings.seed + number) % (MAX_SEED + 1) for number in range(GALLERY)]
    sheet = [draw(pictures, dataclasses.replace(settings, seed=seed)) for seed in seeds]
    return image_grid(np.stack(sheet), GALLERY_COLUMNS, scale=1)


def walk(pictures: Pictures, a: Settings, b: Settings, places: Sequence[float]) -> list[Picture]:
    """Draw the pictures at places from 0 to 1 between two others."""
    assert pictures.between is not None
    found = []
    for place in places:
        with _drawing:
            found.append(pictures.between(a, b, place))
    return found


def _ends(pictures: Pictures, query: str) -> tuple[Settings, Settings, float]:
    """The settings of A and of B, whose queries are the parameters a and b, and the place t."""
    fields = {"a": str, "b": str, "t": requests.number("t", float, 0.0, 1.0)}
    values = requests.read(query, fields)
    a, b = requests.required(values, "a", "b")
    return pictures.read(a), pictures.read(b), values.get("t", 0.5)


def _walk(pictures: Pictures, query: str) -> Picture:
    a, b, place = _ends(pictures, query)
    return walk(pictures, a, b, [place])[0]


def _animation(pictures: Pictures, query: str) -> Response:
    """A GIF from A to B and back; it repeats."""
    a, b, _ = _ends(pictures, query)
    there = walk(pictures, a, b, np.linspace(0.0, 1.0, WALK_FRAMES).tolist())
    scale = max(1, GIF_SIDE // there[0].shape[0])
    frames = [image_grid(frame[None], 1, scale=scale) for frame in (*there, *there[-2:0:-1])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "walk.gif"
        save_animation(path, frames, fps=WALK_FPS)
        return Response(png(frames[0]).status, "image/gif", path.read_bytes())


def _command(pictures: Pictures, request: Request) -> Response:
    """The command on one line; where it leaves something out, '  # ' and what."""
    words, note = pictures.command(pictures.read(request.query))
    if not words:
        raise UserError(note)
    return text(shlex.join(words) + (f"  # {note}" if note else ""))


def milliseconds(pictures: Pictures, count: int = 20) -> float:
    """The median time of a picture, from its settings to the PNG."""
    times, settings = [], pictures.read("")
    for number in range(count):
        start = time.perf_counter()
        encode(pictures.draw(dataclasses.replace(settings, seed=number)))
        times.append(time.perf_counter() - start)
    return 1000.0 * float(np.median(times))
