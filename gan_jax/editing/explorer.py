"""A local web page to edit generated pictures by sliders.

`respond` turns the path of an HTTP request into a response; `serve` binds a server to a port. An
`EditRequest` holds everything that a picture may depend on; no request compiles anything.
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
from gan_jax.editing.styles import bands, broadcast, mask, parse_layers, push, replace, truncate
from gan_jax.errors import UserError, nearest
from gan_jax.grids import to_uint8

PAGE = Path(__file__).with_name("explorer.html")
MAX_SEED = 2**31 - 1
MAX_STRENGTH = 6.0  # of an edit, in standard deviations of w, in both directions
MAX_PSI = 2.0  # of truncation, in both directions


@dataclass(frozen=True)
class EditRequest:
    """What to draw: the picture of a seed, mixed with another's and edited.

    Attributes:
        seed: of the picture.
        psi: truncation, 1 for none.
        other: the seed of the styles to mix in.
        mix: the layers that take the styles of `other`.
        edit: the layers that edits change.
        noise: 0 for the constant noise, any other number for a draw.
        push: pairs of a direction's number and the strength of the edit along it.
    """

    seed: int = 0
    psi: float = 0.7
    other: int = 1
    mix: tuple[int, ...] = ()
    edit: tuple[int, ...] = ()
    noise: int = 0
    push: tuple[tuple[int, float], ...] = ()


def read_request(query: str, layers: int, directions: int) -> EditRequest:
    """Parse the query of a URL, such as 'seed=3&psi=0.7&mix=0-3&d2=1.5'.

    Args:
        query: the fields of an `EditRequest`; `d2` is the strength along direction 2.
        layers: the number of layers.
        directions: the number of directions.

    Raises:
        UserError: for an unknown parameter, or a value out of range.
    """
    request, pushes = EditRequest(edit=tuple(range(layers))), {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        match name:
            case "seed" | "other" | "noise":
                parsed: Any = _number(name, value, int, 0, MAX_SEED)
            case "psi":
                parsed = _number(name, value, float, -MAX_PSI, MAX_PSI)
            case "mix" | "edit":
                parsed = parse_layers(value, layers) if value else ()
            case _ if name[:1] == "d" and name[1:].isdecimal() and int(name[1:]) < directions:
                pushes[int(name[1:])] = _number(name, value, float, -MAX_STRENGTH, MAX_STRENGTH)
                continue
            case _:
                valid = [field.name for field in dataclasses.fields(EditRequest)]
                valid.remove("push")
                close = nearest(name, [*valid, *(f"d{n}" for n in range(directions))])
                raise UserError(f"no parameter {name!r}; did you mean {close}?")
        request = dataclasses.replace(request, **{name: parsed})
    return dataclasses.replace(request, push=tuple(sorted(pushes.items())))


def _number(name: str, value: str, kind: type, least: float, most: float) -> Any:
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:  # NaN is refused as well
        needed = "a whole number" if kind is int else "a number"
        raise UserError(f"{name} = {value!r}: {needed} from {least:g} to {most:g} is needed")
    return number


class Explorer(NamedTuple):
    """What the page shows.

    Attributes:
        draw: an `EditRequest` to its picture.
        directions: those that have a slider.
        layers: the number of layers.
        size: the side of a picture, pixels.
        title: of the page.
    """

    draw: Callable[[EditRequest], UInt8[np.ndarray, "h w c"]]
    directions: Sequence[Direction]
    layers: int
    size: int
    title: str


def make_explorer(
    space: LatentSpace, directions: Sequence[Direction], *, title: str = ""
) -> Explorer:
    """Compile the programs that draw every picture, with drawn and with constant noise."""
    styles, layers = space.styles, space.styles.layers
    steps = np.stack([np.zeros_like(styles.mean), *(direction.step for direction in directions)])
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
    lock = Lock()  # two pictures at once would slow each other down

    def draw(request: EditRequest) -> np.ndarray:
        strengths = np.zeros(len(steps), np.float32)
        for number, strength in request.push:
            strengths[number + 1] = strength
        w = np.concatenate([_w(space, seed) for seed in (request.seed, request.other)])
        psi = np.float32(request.psi)
        mixed, edited = mask(request.mix, layers), mask(request.edit, layers)
        with lock:
            key = jax.random.key(request.noise) if request.noise else None
            return to_uint8(np.asarray(compiled(w, psi, mixed, edited, strengths, key)))

    size = draw(EditRequest()).shape[0]
    draw(EditRequest(noise=1))
    return Explorer(draw, directions, layers, size, title)


def _w(space: LatentSpace, seed: int) -> Float[np.ndarray, "1 w"]:
    """The first sample of a seed, which `gan-jax sample --seed` draws first as well."""
    return space.draw(jax.random.key(seed), np.zeros(1, int))


def milliseconds(explorer: Explorer, pictures: int = 20) -> float:
    """The median time of a picture, from the request to the PNG."""
    times = []
    for number in range(pictures):
        start = time.perf_counter()
        png(explorer.draw(EditRequest(seed=number, psi=0.5)))
        times.append(time.perf_counter() - start)
    return 1000.0 * float(np.median(times))


def png(picture: UInt8[np.ndarray, "h w c"]) -> bytes:
    """Encode a PNG, with light compression: it is sent within this machine."""
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


class Response(NamedTuple):
    """An HTTP response: its status, the type of its content, the content."""

    status: HTTPStatus
    content_type: str
    content: bytes


def respond(explorer: Explorer, target: str) -> Response:
    """Respond to a request: the page at '/', a picture at '/picture?seed=3&...'.

    A bad parameter has status 400 and one line of text, an unknown path 404.
    """
    url = urlsplit(target)
    if url.path == "/":
        return Response(HTTPStatus.OK, "text/html; charset=utf-8", page(explorer))
    if url.path != "/picture":
        return _text(HTTPStatus.NOT_FOUND, f"nothing at {url.path!r}; try '/'")
    try:
        request = read_request(url.query, explorer.layers, len(explorer.directions))
    except UserError as error:
        return _text(HTTPStatus.BAD_REQUEST, str(error))
    return Response(HTTPStatus.OK, "image/png", png(explorer.draw(request)))


def _text(status: HTTPStatus, text: str) -> Response:
    return Response(status, "text/plain; charset=utf-8", " ".join(text.split()).encode() + b"\n")


def page(explorer: Explorer) -> bytes:
    """The HTML page, with the layers and directions of the run filled in."""
    facts: Mapping[str, Any] = {
        "layers": explorer.layers,
        "size": explorer.size,
        "max_strength": MAX_STRENGTH,
        "bands": {name: f"{band[0]}-{band[-1]}" for name, band in bands(explorer.layers).items()},
        "directions": [direction.name for direction in explorer.directions],
    }
    text = PAGE.read_text(encoding="utf-8")
    text = text.replace("TITLE", html.escape(explorer.title))
    return text.replace('"FACTS"', json.dumps(facts).replace("<", "\\u003c")).encode()


def serve(explorer: Explorer, host: str, port: int) -> ThreadingHTTPServer:
    """Bind a server to an address; the caller runs it. Port 0 takes a free port.

    Raises:
        UserError: when the address is taken or invalid.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            response = respond(explorer, self.path)
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(response.content)

        def log_message(self, format: str, *args: Any) -> None:
            """Do not log: a dragged slider sends a hundred requests."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore a browser that closed the connection; report other errors as usual."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    try:
        return Server((host, port), Handler)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    except OverflowError as error:
        raise UserError(f"cannot listen on {host}:{port}: a port is below 65536") from error
