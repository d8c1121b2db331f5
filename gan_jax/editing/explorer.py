"""A local page to play with a space of styles: sliders on the left, pictures A and B on the right.

`answer` turns a request's path into what the browser gets; `serve` puts it on a port. Everything
that a request may ask for is in `Wish`; nothing of it compiles anything new.
"""

import dataclasses
import html
import io
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from gan_jax.editing.style_space import CUTOFF, Direction, LatentSpace
from gan_jax.editing.styles import bands, broadcast, choose, mask, push, replace, truncate
from gan_jax.errors import UserError, nearest
from gan_jax.grids import to_uint8

PAGE = Path(__file__).with_name("explorer.html")
MOST = 2**31 - 1  # of a seed
REACH = 6.0  # how far a slider may push, in standard deviations
PSI = 2.0  # the most of truncation, either way


@dataclass(frozen=True)
class Wish:
    """One picture: a seed's, with another seed's styles in layers `mix`, pushed in layers `edit`.

    `noise` 0 is the constant noise, any other number a draw. `push` holds a strength for each
    direction by its number.
    """

    seed: int = 0
    psi: float = 0.7
    other: int = 1
    mix: tuple[int, ...] = ()
    edit: tuple[int, ...] = ()
    noise: int = 0
    push: tuple[tuple[int, float], ...] = ()


def read_wish(query: str, layers: int, directions: int) -> Wish:
    """Reads 'seed=3&psi=0.7&mix=0-3&d2=1.5'. Raises UserError for anything it cannot mean."""
    wish, pushes = Wish(edit=tuple(range(layers))), {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        match name:
            case "seed" | "other" | "noise":
                found: Any = _number(name, value, int, 0, MOST)
            case "psi":
                found = _number(name, value, float, -PSI, PSI)
            case "mix" | "edit":
                found = choose(value, layers) if value else ()
            case _ if name[:1] == "d" and name[1:].isdecimal() and int(name[1:]) < directions:
                pushes[int(name[1:])] = _number(name, value, float, -REACH, REACH)
                continue
            case _:
                valid = [one.name for one in dataclasses.fields(Wish) if one.name != "push"]
                close = nearest(name, [*valid, *(f"d{n}" for n in range(directions))])
                raise UserError(f"no parameter {name!r}; did you mean {close}?")
        wish = dataclasses.replace(wish, **{name: found})
    return dataclasses.replace(wish, push=tuple(sorted(pushes.items())))


def _number(name: str, value: str, kind: type, least: float, most: float) -> Any:
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:  # NaN is refused as well
        what = "a whole number" if kind is int else "a number"
        raise UserError(f"{name} = {value!r}: {what} from {least:g} to {most:g} is needed")
    return number


class Explorer(NamedTuple):
    """What the page shows: `draw` a wish's picture; `directions` the sliders; `title` the run."""

    draw: Callable[[Wish], UInt8[np.ndarray, "h w c"]]
    directions: Sequence[Direction]
    layers: int
    size: int
    title: str


def make_explorer(
    space: LatentSpace, directions: Sequence[Direction], *, title: str = ""
) -> Explorer:
    """Compiles the two programs that draw every picture, one with noise and one without."""
    styles, layers = space.styles, space.styles.layers
    steps = np.stack([np.zeros_like(styles.mean), *(one.step for one in directions)])
    truncated = mask(range(min(CUTOFF, layers)), layers)

    def picture(
        w: Float[Array, "2 n"],
        psi: Float[Array, ""],
        mixed: Array,
        edited: Array,
        strengths: Float[Array, " k"],
        key: Any = None,
    ) -> Float[Array, "h w c"]:
        both = truncate(broadcast(w, layers), styles.mean, psi, truncated)
        ws = replace(both[:1], both[1:], mixed)
        ws = push(ws, (strengths @ jnp.asarray(steps))[None], edited)
        return styles.synthesise(ws, key)[0]

    compiled = jax.jit(picture)  # twice: with a key and without
    lock = Lock()  # one program at a time: two would only slow each other down

    def draw(wish: Wish) -> np.ndarray:
        strengths = np.zeros(len(steps), np.float32)
        for number, strength in wish.push:
            strengths[number + 1] = strength
        w = np.concatenate([_w(space, seed) for seed in (wish.seed, wish.other)])
        values = (w, np.float32(wish.psi), mask(wish.mix, layers), mask(wish.edit, layers))
        with lock:
            key = jax.random.key(wish.noise) if wish.noise else None
            return to_uint8(np.asarray(compiled(*values, strengths, key)))

    size = draw(Wish()).shape[0]
    draw(Wish(noise=1))
    return Explorer(draw, directions, layers, size, title)


def _w(space: LatentSpace, seed: int) -> Float[np.ndarray, "1 w"]:
    """The first sample of a seed: the one that `sample.py --seed` draws first."""
    return space.draw(jax.random.key(seed), np.zeros(1, int))


def milliseconds(explorer: Explorer, pictures: int = 20) -> float:
    """How long a picture takes, from the wish to the PNG, in the median of some."""
    times = []
    for number in range(pictures):
        start = time.perf_counter()
        png(explorer.draw(Wish(seed=number, psi=0.5)))
        times.append(time.perf_counter() - start)
    return 1000.0 * float(np.median(times))


def png(picture: UInt8[np.ndarray, "h w c"]) -> bytes:
    """The bytes of a PNG, packed lightly: it goes no farther than this machine."""
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


class Answer(NamedTuple):
    """What goes back: the status, the content's type, the content."""

    status: HTTPStatus
    kind: str
    content: bytes


def answer(explorer: Explorer, target: str) -> Answer:
    """The answer to a request: the page at '/', a picture at '/picture?seed=3&...'.

    A parameter that cannot be meant is answered by 400 and one line, an unknown path by 404.
    """
    where = urlsplit(target)
    if where.path == "/":
        return Answer(HTTPStatus.OK, "text/html; charset=utf-8", page(explorer))
    if where.path != "/picture":
        return _line(HTTPStatus.NOT_FOUND, f"nothing at {where.path!r}; try '/'")
    try:
        wish = read_wish(where.query, explorer.layers, len(explorer.directions))
    except UserError as error:
        return _line(HTTPStatus.BAD_REQUEST, str(error))
    return Answer(HTTPStatus.OK, "image/png", png(explorer.draw(wish)))


def _line(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", " ".join(text.split()).encode() + b"\n")


def page(explorer: Explorer) -> bytes:
    """The page, with what it must know of the run written into it."""
    facts: Mapping[str, Any] = {
        "layers": explorer.layers,
        "size": explorer.size,
        "reach": REACH,
        "bands": {name: f"{one[0]}-{one[-1]}" for name, one in bands(explorer.layers).items()},
        "directions": [one.name for one in explorer.directions],
    }
    text = PAGE.read_text(encoding="utf-8")
    text = text.replace("TITLE", html.escape(explorer.title))
    return text.replace('"FACTS"', json.dumps(facts).replace("<", "\\u003c")).encode()


def serve(explorer: Explorer, host: str, port: int) -> ThreadingHTTPServer:
    """A server bound to an address, not running yet; port 0 takes a free one.

    Raises UserError when the address cannot be had.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = answer(explorer, self.path)
            self.send_response(found.status)
            self.send_header("Content-Type", found.kind)
            self.send_header("Content-Length", str(len(found.content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(found.content)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing: a dragged slider asks a hundred times."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Says nothing of a browser that went away; anything else as usual."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    try:
        return Server((host, port), Handler)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    except OverflowError as error:
        raise UserError(f"cannot listen on {host}:{port}: a port is below 65536") from error
