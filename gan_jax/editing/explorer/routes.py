"""What the server and the parts of the page exchange: requests, responses, routes."""

import io
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image


class Request(NamedTuple):
    """What a route gets: the query of the URL, and the content that was posted."""

    query: str
    content: bytes = b""
    content_type: str = ""


class Response(NamedTuple):
    """An HTTP response: its status, the type of its content, the content."""

    status: HTTPStatus
    content_type: str
    content: bytes


class Route(NamedTuple):
    """How a path is answered.

    Attributes:
        answer: a request to its response; it raises `UserError` for a bad one.
        accepts: the content types of a POST; a route without any answers GET.
    """

    answer: Callable[[Request], Response]
    accepts: frozenset[str] = frozenset()


class Part(NamedTuple):
    """What a capability of the game adds to the page.

    Attributes:
        name: of its section, and of its facts.
        facts: gives what the page's script must know, JSON-serialisable.
        routes: by path.
    """

    name: str
    facts: Callable[[], Mapping[str, object]]
    routes: Mapping[str, Route]


class Explorer(NamedTuple):
    """The page: its title, and a part for each capability."""

    title: str
    parts: tuple[Part, ...]

    @property
    def routes(self) -> dict[str, Route]:
        """The routes of all parts, by path."""
        return {path: route for part in self.parts for path, route in part.routes.items()}


def encode(picture: UInt8[np.ndarray, "h w c"]) -> bytes:
    """Encode a PNG, with light compression: it is sent within this machine."""
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def png(picture: UInt8[np.ndarray, "h w c"]) -> Response:
    """Respond with a picture."""
    return Response(HTTPStatus.OK, "image/png", encode(picture))


def text(content: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Respond with one line of text."""
    line = " ".join(content.split()).encode() + b"\n"
    return Response(status, "text/plain; charset=utf-8", line)
