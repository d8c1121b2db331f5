"""Pictures of latents: those that `sample` draws of the same seed, class and caption."""

import json
import shlex
from urllib.parse import quote

import jax
import numpy as np
import pytest
from helpers.command_line import RING, SMALL, run
from helpers.explorer import ask, compiled_by, fresh, served
from PIL import Image

from gan_jax.build.data import find_data
from gan_jax.commands import explore, sample, train
from gan_jax.data.captions import hash_caption
from gan_jax.data.source import Source, in_memory
from gan_jax.editing.explorer import captions as captions_of
from gan_jax.editing.explorer import latents, pictures
from gan_jax.editing.explorer.latents import LatentRequest, latent_pictures
from gan_jax.errors import UserError
from gan_jax.grids import to_uint8
from gan_jax.sampling.conditions import between_captions, of_classes
from gan_jax.training import run_dir


def same(picture, samples):
    """A picture drawn alone is the batch's up to rounding."""
    expected = to_uint8(samples)[0].astype(int)
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).max() <= 1


@pytest.fixture(scope="module")
def opened(trained):
    """A run as `explore` opens it, and its pictures."""
    built, step, state = run_dir.load(trained)
    made = explore.Run(trained, built, step, state, ("sample.py", str(trained)))
    drawn = explore.open_pictures(made, explore.Options())
    pictures.make_part(drawn)  # compiles what is left
    return made, drawn


def test_the_copied_command_draws_the_same_picture(opened, tmp_path):
    _, drawn = opened
    request = drawn.read("seed=7")
    _, *words = drawn.command(request).words
    out = tmp_path / "sample.png"
    assert run(sample, *words, "--out", out) == 0
    found = np.asarray(Image.open(out)).astype(int)
    picture = drawn.draw(request)[..., 0].astype(int)
    scale = len(found) // len(picture)
    assert np.abs(found[::scale, ::scale] - picture).max() <= 1
    assert (drawn.draw(drawn.read("seed=8"))[..., 0] != picture).any()


def test_a_walk_of_latents_begins_and_ends_at_the_pictures(opened):
    _, drawn = opened
    a, b = (LatentRequest(seed) for seed in (3, 4))
    ends = [drawn.between(a, b, place).astype(int) for place in (0.0, 1.0)]
    for end, request in zip(ends, (a, b), strict=True):
        assert np.abs(end - drawn.draw(request)).max() <= 1


def test_no_picture_of_latents_compiles(opened):
    _, drawn = opened
    with served(pictures.make_part(drawn)) as address:
        ask(f"{address}/gallery?seed=2")  # what the server itself does for the first time

        def look():
            assert ask(f"{address}/picture?seed=9").status == 200
            assert ask(f"{address}/walk?a=seed%3D1&b=seed%3D2&t=0.3").status == 200
            assert ask(f"{address}/gallery?seed=30").status == 200

        assert not compiled_by(look)


NAMES = tuple(f"kind {number}" for number in range(10))


@pytest.fixture(scope="module")
def classes():
    built, state = fresh("cgan.py:fashion_mnist")
    drawn = latent_pictures(built.sampler, state, classes=NAMES, label=2, sample=("sample", "RUN"))
    return built, state, drawn


def test_a_class_is_that_of_sample(classes):
    built, state, drawn = classes
    source = Source("s", in_memory({"label": np.arange(10)}), "f", 10, 10, NAMES, "")
    for label in (0, 7):
        request = drawn.read(f"seed=5&label={label}")
        assert drawn.command(request).words == (
            *("sample", "RUN", "--seed", "5", "--columns", "1", "--labels", NAMES[label]),
        )
        usual = built.sampler.conditions(None, 1)
        conditions = of_classes(usual, source, [NAMES[label]], 1)
        same(drawn.draw(request), built.sampler.draw(state, jax.random.key(5), conditions))
    assert drawn.read("").label == 2
    assert (drawn.draw(drawn.read("label=0")) != drawn.draw(drawn.read("label=7"))).any()
    with pytest.raises(UserError, match="label = '10': a whole number from 0 to 9"):
        drawn.read("label=10")


@pytest.fixture(scope="module")
def told():
    """A generator that is told captions, those of the data, and its pictures."""
    built, state = fresh("text_to_image.py:emoji", {"game.ema_kimg": 1.0})
    held_out = find_data(built)
    train_split = explore._train_split(built, held_out)
    captions = captions_of.read_captions([("", held_out), *train_split])
    drawn = latent_pictures(built.sampler, state, captions=captions, sample=("sample", "RUN"))
    return built, state, captions, drawn


@pytest.mark.parametrize("split", ["", "train"])
def test_a_caption_is_that_of_sample(told, split):
    built, state, captions, drawn = told
    number = [one.split for one in captions.all].index(split) + 3
    row, source = captions.all[number].row, captions.sources[split]
    assert source.captions()[row] == captions.all[number].words
    request = drawn.read(f"seed=4&caption={number}")
    words = drawn.command(request).words
    assert words[4:9] == ("--columns", "1", "--captions", str(row), str(row))
    assert words[9:] == (("--split", "train") if split else ())
    conditions = between_captions(source, [row, row], 1)
    over = built.sampler.conditions(source, 512)
    expected = built.sampler.draw(state, jax.random.key(4), conditions, over=over)
    same(drawn.draw(request), expected)
    assert (drawn.draw(drawn.read(f"seed=4&caption={number + 1}")) != to_uint8(expected)[0]).any()


def test_captions_are_searched_the_held_out_first(told):
    _, _, captions, drawn = told
    assert not captions.all[0].split and captions.all[-1].split == "train"
    with served(pictures.make_part(drawn)) as address:
        words = captions.all[5].words.split()[:2]
        found = json.loads(ask(f"{address}/captions?find={quote(' '.join(words).upper())}").content)
        assert {"number": 5, "words": captions.all[5].words, "held_out": True} in found
        everything = json.loads(ask(f"{address}/captions?find=").content)
        assert [one["number"] for one in everything] == list(range(captions_of.SHOWN))
        reply = ask(f"{address}/picture?text=a+red+apple")
    assert reply.status == 400 and "'text'" in reply.line  # a table of embeddings


def test_free_text_is_drawn_where_words_are_hashed(told):
    built, state, captions, _ = told
    hashed = captions._replace(encode=hash_caption)
    drawn = latent_pictures(built.sampler, state, captions=hashed)
    assert drawn.facts["captions"]["free"]
    conditions = {"index": np.zeros(1, int), "text": hash_caption("a red apple")[None]}
    over = built.sampler.conditions(captions.sources[""], 512)
    expected = built.sampler.draw(state, jax.random.key(0), conditions, over=over)
    same(drawn.draw(drawn.read("text=a+red++apple")), expected)
    command = drawn.command(drawn.read("text=a+red+apple"))
    assert not command.words and "no command draws free text" in command.note
    with pytest.raises(UserError, match="at most 500"):
        drawn.read("text=" + "a" * 501)


def test_captions_that_repeat_are_listed_once():
    columns = {"text": np.eye(3, 4, dtype=np.float32)}
    source = Source("s", in_memory(columns), "f", 3, None, None, "", lambda: ("a", "b", "a"))
    found = captions_of.read_captions([("", source)])
    assert [(one.row, one.words) for one in found.all] == [(0, "a"), (1, "b")]
    np.testing.assert_array_equal(found.embedding(1), columns["text"][1])
    with pytest.raises(UserError, match="has no captions"):
        captions_of.read_captions([("", source._replace(captions=None))])


def test_points_are_a_scatter_plot(tmp_path):
    assert run(train, RING, *SMALL, "--workdir", tmp_path) == 0
    built, step, state = run_dir.load(tmp_path)
    made = explore.Run(tmp_path, built, step, state, ("sample", "RUN"))
    drawn = explore.open_pictures(made, explore.Options())
    part = pictures.make_part(drawn)
    assert "/walk" not in part.routes and not part.facts()["walk"]
    first, second = (drawn.draw(drawn.read(f"seed={seed}")) for seed in (0, 1))
    assert first.shape[2] == 3 and (first != second).any()
    assert shlex.join(drawn.command(drawn.read("seed=1")).words).endswith("--seed 1 --count 512")
    assert latents.OVER == 512


def test_a_generator_that_is_told_nothing_has_only_seeds():
    built, state = fresh("vae.py:fashion_mnist")
    drawn = latent_pictures(built.sampler, state, sample=("sample", "RUN"))
    expected = built.sampler.draw(state, jax.random.key(6), {"index": np.zeros(1, int)})
    same(drawn.draw(drawn.read("seed=6")), expected)
    words = drawn.command(drawn.read("seed=6")).words
    assert words == ("sample", "RUN", "--seed", "6", "--columns", "1", "--count", "1")
    with pytest.raises(UserError, match="no parameter 'label'"):
        drawn.read("label=0")
