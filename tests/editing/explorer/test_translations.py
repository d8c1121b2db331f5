"""A picture that is posted is translated as `sample --input` translates a file."""

import io

import jax
import numpy as np
import pytest
from helpers.explorer import ask, compiled_by, fresh, served
from PIL import Image

from gan_jax.build import data as build_data
from gan_jax.commands import explore
from gan_jax.editing.explorer import translations
from gan_jax.errors import UserError
from gan_jax.sampling.files import translate_files

SIDE = 32
DRAW = np.random.RandomState(0)
EXAMPLES = {"x2y": DRAW.randint(0, 255, (3, SIDE, SIDE, 3)).astype(np.uint8)}


@pytest.fixture(scope="module")
def translated():
    """A run's sampler and state, its part of the page, and where it is served."""
    built, state = fresh("pix2pix.py:emoji")
    made = translations.make_part(
        built.sampler, state, EXAMPLES, channels=3, resolution=SIDE, sample=("sample", "RUN")
    )
    with served(made) as address:
        yield built.sampler, state, made, address


def encoded(picture, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return file.getvalue()


def from_file(sampler, state, content, folder, suffix):
    """What `sample --input` writes of the same bytes."""
    path = folder / f"picture.{suffix}"
    path.write_bytes(content)

    def translate(pictures):
        return sampler.translate(state, jax.random.key(0), "x2y", pictures)

    multiple = sampler.multiple
    list(translate_files(translate, path, folder / "out", channels=3, multiple=multiple))
    return np.asarray(Image.open(folder / "out" / "picture.png")).astype(int)


@pytest.mark.parametrize(("kind", "height", "width"), [("PNG", 32, 32), ("WEBP", 21, 40)])
def test_a_posted_picture_is_translated_as_a_file_is(translated, tmp_path, kind, height, width):
    sampler, state, _, address = translated
    content = encoded(DRAW.randint(0, 255, (height, width, 3)).astype(np.uint8), kind)
    reply = ask(f"{address}/translate?direction=x2y", content, f"image/{kind.lower()}")
    assert reply.picture.shape == (height, width, 3)
    expected = from_file(sampler, state, content, tmp_path, kind.lower())
    np.testing.assert_array_equal(reply.picture, expected)


def test_a_turned_photograph_is_turned_upright(translated, tmp_path):
    sampler, state, _, address = translated
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by a quarter
    content = encoded(DRAW.randint(0, 255, (24, 32, 3)).astype(np.uint8), "JPEG", exif=exif)
    reply = ask(f"{address}/translate?direction=x2y", content, "image/jpeg")
    assert reply.picture.shape == (32, 24, 3)
    np.testing.assert_array_equal(
        reply.picture, from_file(sampler, state, content, tmp_path, "jpg")
    )


def test_a_large_picture_is_shrunk_only_where_that_is_asked_for():
    picture = np.zeros((100, 200, 3), np.uint8)
    assert translations.shrink(picture, 0) is picture
    assert translations.shrink(picture, 256) is picture
    assert translations.shrink(picture, 64).shape == (32, 64, 3)
    assert translations.shrink(picture[..., :1], 64).shape == (32, 64, 1)


def test_the_first_picture_of_a_size_compiles_and_the_page_knows(translated):
    _, _, made, address = translated
    whole = encoded(EXAMPLES["x2y"][0])
    other = encoded(np.zeros((40, 48, 3), np.uint8))
    url = f"{address}/translate?direction=x2y"
    ask(url, whole)

    def sizes():
        return made.facts()["directions"]["x2y"]["compiled"]

    assert (SIDE, SIDE) in sizes() and (64, 64) not in sizes()
    assert not compiled_by(lambda: ask(url, whole))
    assert compiled_by(lambda: ask(url, other))
    assert len(sizes()) > 1
    assert not compiled_by(lambda: ask(url, other))


@pytest.mark.parametrize(
    ("query", "content", "complaint"),
    [
        ("direction=x2y", b"", "no picture: it is empty"),
        ("direction=x2y", b"\x89PNG\r\n", "no picture"),
        ("direction=y2x", b"", "direction = 'y2x'"),
        ("side=64", b"", "'direction' is missing"),
        ("direction=x2y&side=-1", b"", "side = '-1'"),
    ],
)
def test_a_bad_upload_is_400_and_one_line(translated, query, content, complaint):
    reply = ask(f"{translated[-1]}/translate?{query}", content)
    assert reply.status == 400 and complaint in reply.line


def test_a_picture_of_too_many_pixels_is_refused(translated, monkeypatch):
    monkeypatch.setattr(translations, "MAX_PIXELS", 1000)
    reply = ask(f"{translated[-1]}/translate?direction=x2y", encoded(EXAMPLES["x2y"][0]))
    assert reply.status == 400 and "choose a smaller size" in reply.line


def test_examples_are_those_of_the_data(translated):
    reply = ask(f"{translated[-1]}/example?direction=x2y&row=2")
    np.testing.assert_array_equal(reply.picture, EXAMPLES["x2y"][2])
    reply = ask(f"{translated[-1]}/example?direction=x2y&row=3")
    assert reply.status == 400 and "there are 3 examples" in reply.line


def test_a_run_whose_data_is_missing_is_opened_without_examples(monkeypatch, capsys, tmp_path):
    built, state = fresh("pix2pix.py:emoji")
    run = explore.Run(tmp_path, built, 0, state, ("sample", "RUN"))

    def missing(built):
        raise UserError("the data is not there")

    monkeypatch.setattr(build_data, "find_data", missing)
    directions = explore._translations(run).facts()["directions"]
    assert directions["x2y"]["examples"] == 0
    assert capsys.readouterr().out == "no held-out examples: the data is not there\n"
    monkeypatch.undo()
    assert explore._translations(run).facts()["directions"]["x2y"]["examples"] == 8
