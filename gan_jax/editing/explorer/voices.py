"""Conversion of a recording that is dropped on the page or made with the microphone."""

import contextlib
import io
import tempfile
import wave
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from gan_jax.editing.explorer import requests
from gan_jax.editing.explorer.routes import Part, Request, Response, Route
from gan_jax.errors import UserError

T = TypeVar("T")

RECORDINGS = {
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/wave": ".wav",
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/ogg": ".ogg",
    "audio/mpeg": ".mp3",
}
"""The suffix of a recording's file, by its content type."""

PIECES = 8  # that the network converts at once: one program serves recordings of any length

Translate = Callable[[str, Float[np.ndarray, "n t m"]], Float[np.ndarray, "n t m"]]
"""By direction, "x2y" or "y2x": pieces of a recording to pieces of the other voice."""


class Converter(NamedTuple):
    """How recordings are converted.

    Attributes:
        convert: `(path, out, direction)` writes a recording in the other voice to `out`.
        spectrogram: of a recording, as a PNG.
        examples: waveforms of held-out recordings in [-1, 1], by direction.
        rate: of the examples, samples per second.
    """

    convert: Callable[[Path, Path, str], object]
    spectrogram: Callable[[Path], bytes]
    examples: Mapping[str, Sequence[Float[np.ndarray, " n"]]]
    rate: int


def in_pieces(translate: Translate) -> Translate:
    """Translate `PIECES` pieces at a time, the last ones filled up."""

    def fixed(direction: str, pieces: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(pieces), PIECES):
            rows = np.minimum(np.arange(start, start + PIECES), len(pieces) - 1)
            parts.append(translate(direction, pieces[rows]))
        return np.concatenate(parts)[: len(pieces)]

    return fixed


def make_part(converter: Converter, *, sample: Sequence[str] = ()) -> Part:
    """Make the routes of conversions, after one of each direction's first example."""
    directions = {
        direction: {
            "examples": len(waves),
            "command": [*sample, "--direction", direction, "--input"],
        }
        for direction, waves in converter.examples.items()
    }
    convert = _converter(converter)
    for direction, waves in converter.examples.items():
        for first in waves[:1]:
            content = encode_wave(first, converter.rate)
            with contextlib.suppress(UserError):  # which the page shows for that example
                convert(Request(f"direction={direction}", content, "audio/wav"))
    accepts = frozenset(RECORDINGS)
    routes = {
        "/convert": Route(convert, accepts),
        "/spectrogram": Route(_spectrogram(converter), accepts),
        "/recording": Route(_recording(converter)),
    }
    facts = {"directions": directions, "accepts": sorted(accepts)}
    return Part("voices", lambda: facts, routes)


def _converter(converter: Converter) -> Callable[[Request], Response]:
    fields = {"direction": requests.choice("direction", converter.examples)}

    def answer(request: Request) -> Response:
        values = requests.read(request.query, fields)
        (direction,) = requests.required(values, "direction")
        with tempfile.TemporaryDirectory() as folder:
            path, out = _written(request, Path(folder)), Path(folder) / "converted.wav"
            _hide_folder(lambda: converter.convert(path, out, direction), path)
            return Response(HTTPStatus.OK, "audio/wav", out.read_bytes())

    return answer


def _spectrogram(converter: Converter) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        requests.read(request.query, {})
        with tempfile.TemporaryDirectory() as folder:
            path = _written(request, Path(folder))
            png = _hide_folder(lambda: converter.spectrogram(path), path)
            return Response(HTTPStatus.OK, "image/png", png)

    return answer


def _recording(converter: Converter) -> Callable[[Request], Response]:
    most = max(map(len, converter.examples.values())) - 1
    fields = {
        "direction": requests.choice("direction", converter.examples),
        "row": requests.number("row", int, 0, most),
    }

    def answer(request: Request) -> Response:
        values = requests.read(request.query, fields)
        direction, row = requests.required(values, "direction", "row")
        waves = converter.examples[direction]
        if row >= len(waves):
            raise UserError(f"row = {row}: there are {len(waves)} examples")
        return Response(HTTPStatus.OK, "audio/wav", encode_wave(waves[row], converter.rate))

    return answer


def _written(request: Request, folder: Path) -> Path:
    path = folder / f"recording{RECORDINGS[request.content_type]}"
    path.write_bytes(request.content)
    return path


def _hide_folder(run: Callable[[], T], path: Path) -> T:
    """Run; an error then names the recording, not where it was kept for a moment."""
    try:
        return run()
    except UserError as error:
        raise UserError(str(error).replace(str(path), "the recording")) from error


def encode_wave(samples: Float[np.ndarray, " n"], rate: int) -> bytes:
    """Encode one channel of 16 bits as a WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return content.getvalue()
