"""A recording that is posted is converted as `sample --input` converts a file."""

import io
import wave

import jax
import numpy as np
import pytest
from helpers.explorer import ask, fresh, served

from gan_jax.editing.explorer import voices
from gan_jax.editing.explorer.voices import Converter, encode_wave, in_pieces
from gan_jax.errors import UserError

RATE = 8000
TONE = (0.3 * np.sin(np.arange(4000) * 0.2)).astype(np.float32)


def samples(content):
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def halved(path, out, direction):
    """A conversion that can be seen: half as loud, in the direction y2x reversed as well."""
    numbers, rate = samples(path.read_bytes())
    if not numbers.any():
        raise UserError(f"{path}: it is silent")
    turned = numbers[::-1] if direction == "y2x" else numbers
    out.write_bytes(encode_wave(turned / 65534.0, rate))


@pytest.fixture(scope="module")
def address():
    examples = {"x2y": [TONE, TONE[:2000]], "y2x": []}
    converter = Converter(halved, lambda path: b"png" + path.suffix.encode(), examples, RATE)
    with served(voices.make_part(converter, sample=("sample", "RUN"))) as found:
        yield found


def test_a_recording_makes_the_round_trip(address):
    sent = encode_wave(TONE, RATE)
    numbers, rate = samples(sent)
    reply = ask(f"{address}/convert?direction=x2y", sent, "audio/wav")
    assert (reply.status, reply.kind) == (200, "audio/wav")
    back, same_rate = samples(reply.content)
    assert rate == same_rate == RATE
    assert np.abs(2 * back - numbers).max() <= 1
    turned, _ = samples(ask(f"{address}/convert?direction=y2x", sent, "audio/wav").content)
    np.testing.assert_array_equal(turned, back[::-1])


def test_examples_and_spectrograms(address):
    reply = ask(f"{address}/recording?direction=x2y&row=1")
    assert len(samples(reply.content)[0]) == 2000
    assert ask(f"{address}/spectrogram", reply.content, "audio/ogg").content == b"png.ogg"
    assert ask(f"{address}/recording?direction=y2x&row=0").status == 400


def test_an_error_names_the_recording_not_where_it_was_kept(address):
    reply = ask(f"{address}/convert?direction=x2y", encode_wave(0 * TONE, RATE), "audio/wav")
    assert reply.status == 400 and reply.line == "the recording: it is silent"
    assert ask(f"{address}/convert?direction=x2y", b"1", "video/mp4").status == 415


def test_pieces_of_any_number_have_one_shape():
    shapes = []

    def translate(direction, pieces):
        shapes.append(pieces.shape)
        return 2.0 * pieces

    for count in (1, 8, 19):
        pieces = np.arange(count * 6, dtype=np.float32).reshape(count, 2, 3)
        np.testing.assert_array_equal(in_pieces(translate)("x2y", pieces), 2.0 * pieces)
    assert set(shapes) == {(voices.PIECES, 2, 3)}


def test_a_run_of_voices_converts_in_pieces_as_it_does_at_once():
    built, state = fresh("cyclegan_vc.py:mask")
    data = built.experiment.data
    pieces = np.random.RandomState(0).normal(size=(11, data.frames, data.cepstra))

    def translate(direction, pieces):
        return built.sampler.translate(state, jax.random.key(0), direction, pieces)

    pieces = pieces.astype(np.float32)
    at_once = translate("x2y", pieces)
    np.testing.assert_allclose(in_pieces(translate)("x2y", pieces), at_once, atol=2e-5)
