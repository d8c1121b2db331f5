"""The captions that a text-to-image generator can be given: those of the data, and free text."""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gan_jax.data.pipeline import Source
from gan_jax.editing.explorer import requests
from gan_jax.editing.explorer.routes import Request, Response, Route
from gan_jax.errors import UserError

SHOWN = 50  # captions of a search
LONGEST = 500  # characters of free text


class Caption(NamedTuple):
    """A caption of the data: its split ("" for the held-out one), its row, its words."""

    split: str
    row: int
    words: str


class Captions(NamedTuple):
    """Captions by number, the held-out ones first.

    Attributes:
        all: the captions, without repetitions.
        sources: the splits by name.
        encode: free text to its embedding; None where embeddings are a table of the data.
    """

    all: tuple[Caption, ...]
    sources: dict[str, Source]
    encode: Callable[[str], Float[np.ndarray, " e"]] | None

    def embedding(self, number: int) -> Float[np.ndarray, " e"]:
        """The embedding of a caption of the data."""
        caption = self.all[number]
        return np.asarray(self.sources[caption.split].records[caption.row]["text"], np.float32)


def read_captions(splits: Sequence[tuple[str, Source]]) -> Captions:
    """Collect the captions of a data set.

    Args:
        splits: by the name that `sample --split` takes, the held-out one first, with the name "".

    Raises:
        UserError: for data without captions.
    """
    found: dict[str, Caption] = {}
    for split, source in splits:
        if source.captions is None:
            raise UserError(f"data set {source.name!r} has no captions to choose from")
        for row, words in enumerate(source.captions()):
            found.setdefault(words, Caption(split, row, words))
    return Captions(tuple(found.values()), dict(splits), splits[0][1].encode)


def search(captions: Captions, text: str) -> list[dict[str, int | str | bool]]:
    """The first captions that hold all words of a text, in their order."""
    words = text.casefold().split()
    found = []
    for number, caption in enumerate(captions.all):
        if all(word in caption.words.casefold() for word in words):
            found.append({"number": number, "words": caption.words, "held_out": not caption.split})
        if len(found) == SHOWN:
            break
    return found


def route(captions: Captions) -> Route:
    """The route of searches: '/captions?find=red apple' to JSON."""

    def answer(request: Request) -> Response:
        (text,) = requests.required(requests.read(request.query, {"find": str}), "find")
        content = json.dumps(search(captions, text)).encode()
        return Response(HTTPStatus.OK, "application/json", content)

    return Route(answer)
