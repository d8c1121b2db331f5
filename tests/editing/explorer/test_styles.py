"""Pictures of styles: what a request says is what is drawn, and what all pictures have."""

import io
import json
from urllib.parse import quote

import numpy as np
import pytest
from helpers.explorer import ask, compiled_by
from helpers.toy_styles import LAYERS, SIDE, W, make_space
from PIL import Image, ImageSequence

from gan_jax.editing.explorer import pictures, styles
from gan_jax.editing.explorer.styles import Classes, EditRequest, read_request
from gan_jax.editing.figures import FIGURES, FigureOptions


def picture(address, query):
    return ask(f"{address}/picture?{query}").picture


def test_a_request_is_read_from_the_query():
    found = read_request("seed=3&psi=-0.5&other=4&mix=0,2-3&edit=coarse&noise=2&d1=1.5", 4, 2)
    assert found == EditRequest(3, 0, -0.5, 4, (0, 2, 3), (0, 1), 2, ((1, 1.5),))
    assert read_request("", 4, 0) == EditRequest(edit=(0, 1, 2, 3))
    assert read_request("mix=&edit=", 4, 0) == EditRequest()
    assert read_request("label=2", 4, 0, 3, 1).label == 2
    assert read_request("", 4, 0, 3, 1).label == 1


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("seed=-1", "seed = '-1': a whole number from 0"),
        ("seed=1.5", "a whole number"),
        ("psi=nan", "psi = 'nan': a number from -2 to 2"),
        ("psi=7", "from -2 to 2"),
        ("mix=0-9", "not within 0-3"),
        ("edit=corse", "'coarse'"),
        ("d7=1", "no parameter 'd7'"),
        ("d0=100", "d0 = '100': a number from -6 to 6"),
        ("sede=1", "did you mean 'seed'"),
        ("label=0", "no parameter 'label'"),
    ],
)
def test_a_bad_parameter_is_400_and_one_line(address, query, complaint):
    reply = ask(f"{address}/picture?{query}")
    assert reply.status == 400 and complaint in reply.line


def test_a_picture_is_what_the_request_says(address):
    plain = picture(address, "seed=3&psi=1")
    assert plain.shape == (SIDE, SIDE)
    np.testing.assert_array_equal(plain, picture(address, "seed=3&psi=1"))
    np.testing.assert_array_equal(
        picture(address, "seed=3&psi=0"), picture(address, "seed=8&psi=0")
    )
    assert (plain != picture(address, "seed=3&psi=1&noise=1")).any()
    assert (plain != picture(address, "seed=8&psi=1")).any()
    np.testing.assert_array_equal(plain, picture(address, "seed=8&psi=1&other=3&mix=all"))
    np.testing.assert_array_equal(plain, picture(address, "seed=3&psi=1&other=8&mix="))


def test_sliders_push_in_the_chosen_layers(address):
    left = [
        picture(address, f"seed=0&psi=0&d0={strength}&edit={layers}")[:, : SIDE // 2].mean()
        for strength, layers in ((-3, "all"), (3, ""), (3, "0"), (3, "all"))
    ]
    assert left == sorted(left) and len(set(left)) == 4


def test_the_gallery_has_the_pictures_of_the_next_seeds(address):
    sheet = ask(f"{address}/gallery?seed=5&psi=1&noise=2").picture
    assert sheet.shape == (4 * SIDE, 6 * SIDE)
    for number in (0, 7, 23):
        down, across = divmod(number, pictures.GALLERY_COLUMNS)
        tile = sheet[down * SIDE : (down + 1) * SIDE, across * SIDE : (across + 1) * SIDE]
        np.testing.assert_array_equal(tile, picture(address, f"seed={5 + number}&psi=1&noise=2"))


def test_a_walk_goes_from_a_to_b(address):
    a, b = "seed=3&psi=1&d0=2", "seed=8&psi=0.5&mix=0"
    ends = f"a={quote(a)}&b={quote(b)}"
    first, last = (ask(f"{address}/walk?{ends}&t={place}").picture for place in (0, 1))
    np.testing.assert_array_equal(first, picture(address, a))
    np.testing.assert_array_equal(last, picture(address, b))
    middle = ask(f"{address}/walk?{ends}&t=0.5").picture
    assert (middle != first).any() and (middle != last).any()
    reply = ask(f"{address}/walk?a={quote(a)}")
    assert reply.status == 400 and "'b' is missing" in reply.line


def test_the_animation_of_a_walk_goes_there_and_back(address):
    reply = ask(f"{address}/walk.gif?a=seed%3D3&b=seed%3D8")
    assert reply.kind == "image/gif"
    with Image.open(io.BytesIO(reply.content)) as film:
        assert film.size == (pictures.GIF_SIDE, pictures.GIF_SIDE)
        lasting = sum(one.info["duration"] for one in ImageSequence.Iterator(film))
    assert lasting == (2 * pictures.WALK_FRAMES - 2) * 1000 / pictures.WALK_FPS


def test_the_command_draws_the_same_picture(address):
    """Of `sample --show truncation`, whose pictures have the constant noise."""
    line = ask(f"{address}/command?seed=3&psi=0.5").line
    words = "sample RUN --show truncation --count 1 --seed 3 --strengths 0.5 --layers 0-3"
    assert line == words
    options = FigureOptions(styles.jax.random.key(3), count=1, strengths=(0.5,), layers="0-3")
    sheet = FIGURES["truncation"](make_space(), options).image
    drawn = picture(address, "seed=3&psi=0.5").repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(sheet[-len(drawn) :, :, 0], drawn)
    assert "# without mixing and directions" in ask(f"{address}/command?mix=0&d0=1").line


def test_nothing_compiles_while_a_slider_is_dragged(toy, toy_part):
    def drag():
        for n in range(5):
            a = EditRequest(n, 0, 0.1 * n, 9, (n % 4,), (0,), 0, ((0, 0.3 * n),))
            toy.draw(a)
            toy.draw(EditRequest(noise=n + 1))
            toy.between(a, EditRequest(), 0.2 * n)

    drag()
    assert not compiled_by(drag)


def test_a_class_has_its_own_styles_and_its_own_mean():
    space = make_space()

    def map_(z, label):
        return z + label[:, :1]

    names = ("grey", "light")
    drawn = {
        own: styles.style_pictures(space, [], classes=Classes(names, 1, map_, own))
        for own in (False, True)
    }
    read = drawn[True].read
    assert read("").label == 1 and read("label=0").label == 0
    alike, apart = (
        [drawn[own].draw(read(f"psi=0&label={label}")).mean() for label in (0, 1)]
        for own in (False, True)
    )
    assert alike[0] == alike[1] and apart[0] > apart[1]
    light, grey = (drawn[False].draw(read(f"psi=1&label={n}")).mean() for n in (0, 1))
    assert light > grey
    command = drawn[True].command(read("seed=2"))
    assert command.words[-4:] == ("--labels", "light", "--truncation-mean", "class")


def test_the_time_of_a_picture_is_the_median_with_its_png(monkeypatch, toy):
    seconds = iter([0.010, 9.0, 0.020])
    now = [5.0]
    monkeypatch.setattr(pictures.time, "perf_counter", lambda: now[0])

    def draw(_):
        now[0] += next(seconds)
        return np.zeros((4, 4, 1), np.uint8)

    def encode(picture):
        now[0] += 0.001
        return b""

    monkeypatch.setattr(pictures, "encode", encode)
    assert pictures.milliseconds(toy._replace(draw=draw), 3) == pytest.approx(21.0)


def test_the_page_is_told_each_direction_and_how_it_was_found(toy_part):
    facts = json.loads(json.dumps(toy_part.facts()))
    first, second, _ = facts["styles"]["directions"]
    assert first == {"name": "brighter <b>", "help": "towards light"}
    assert second["name"] == "SeFa 1" and "closed form" in second["help"]
    assert facts["styles"]["layers"] == LAYERS and len(facts["styles"]["directions"]) < W
