"""DF-GAN's losses (Tao et al. 2022, arXiv:2008.05865): the penalty, and wrong captions."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.paths import EXPERIMENTS
from PIL import Image

from gan_jax import config, game, latents, objectives
from gan_jax.augment import Augment
from gan_jax.build.experiment import build
from gan_jax.config import Data, Dfgan, Experiment, Player, TextToImage, change
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.text_to_image import text_to_image
from gan_jax.networks.text import Augmenter
from gan_jax.penalties import MatchingAware, squared_difference, squared_gradient_norm
from gan_jax.training.loop import train

KEY = jax.random.key(0)
SGD = optax.sgd(0.0)  # the losses are looked at, nothing moves
RNG = np.random.default_rng(0)


def floats(*shape):
    return jax.ShapeDtypeStruct((2, *shape), jnp.float32)


def draw(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


class Copy(nn.Module):
    """A generator that gives z and its condition back, side by side."""

    @nn.compact
    def __call__(self, z, condition, train=True):
        scale = self.param("scale", nn.initializers.ones_init(), ())
        return scale * jnp.concatenate([z, condition], axis=-1)


class Bowl(nn.Module):
    """D(x, s) = |x|^2 / 2 + |s|^2: its slopes are x and 2 s."""

    @nn.compact
    def __call__(self, x, text, train=True):
        scale = self.param("scale", nn.initializers.ones_init(), ())
        return scale * (0.5 * jnp.sum(x**2, axis=-1) + jnp.sum(text**2, axis=-1))


BATCH = {"real": draw(8, 5), "text": draw(8, 2), "wrong_text": 10.0 + draw(8, 2)}


def played(batch=BATCH, judge=None, **options):
    """The metrics of a round."""
    made = text_to_image(
        Net(Copy(), (floats(3), floats(2))),
        None,
        Net(judge or Bowl(), (floats(5), floats(2))),
        SGD,
        SGD,
        objective=objectives.wasserstein(),
        prior=latents.normal(3),
        **options,
    )
    state = game.init(made, KEY)
    _, metrics = jax.jit(lambda s: game.step(made, s, batch, KEY))(state)
    return jax.device_get(metrics)


class Reader(nn.Module):
    """Logits of 0, and the caption read off an image: its first two numbers."""

    @nn.compact
    def __call__(self, x, text, train=True):
        scale = self.param("scale", nn.initializers.ones_init(), ())
        return jnp.zeros(len(x)), scale * x[:, :2]


def squared_slopes(scale=1.0):
    """Of reals with their own captions, by hand, where captions are multiplied by `scale`."""
    real, text = np.asarray(BATCH["real"]), scale * np.asarray(BATCH["text"])
    return np.sum(real**2, axis=1) + 4.0 * np.sum(text**2, axis=1)


def test_the_penalty_is_twice_the_sixth_power_of_the_joint_slope():
    """The paper: k = 2 and p = 6; the code: one norm of the gradients in image and sentence."""
    plain, punished = (
        played(penalty=penalty)["discriminator"] for penalty in (None, MatchingAware())
    )
    wanted = np.mean(np.sqrt(squared_slopes()) ** 6)
    assert punished["ma_gp"] == pytest.approx(wanted, rel=1e-4)
    assert punished["loss"] - plain["loss"] == pytest.approx(2.0 * wanted, rel=1e-4)
    assert "ma_gp" not in plain


def test_the_slope_is_of_reals_with_their_own_captions_alone():
    """Neither fakes nor wrong captions move it; reals and their captions do."""
    base = played(penalty=MatchingAware())["discriminator"]["ma_gp"]
    same = played({**BATCH, "wrong_text": 3 * BATCH["wrong_text"]}, penalty=MatchingAware(), hard=1)
    assert same["discriminator"]["ma_gp"] == base
    for column in ("real", "text"):
        other = played({**BATCH, column: 2.0 * BATCH[column]}, penalty=MatchingAware())
        assert other["discriminator"]["ma_gp"] > 1.5 * base


def test_the_slope_is_in_the_scaled_caption():
    found = played(penalty=MatchingAware(), text_scale=3.0)["discriminator"]["ma_gp"]
    assert found == pytest.approx(np.mean(squared_slopes(3.0) ** 3), rel=1e-4)


def test_the_slope_is_in_images_before_the_augmentation():
    shrink = Augment(lambda key, x, p: 0.5 * x)  # |x / 2|^2 / 2 has slope x / 4
    found = played(penalty=MatchingAware(), augment=shrink)["discriminator"]["ma_gp"]
    real, text = np.asarray(BATCH["real"]), np.asarray(BATCH["text"])
    squares = np.sum(real**2, axis=1) / 16 + 4.0 * np.sum(text**2, axis=1)
    assert found == pytest.approx(np.mean(squares**3), rel=1e-4)


@pytest.mark.parametrize("power", [2, 4, 6])
def test_the_mean_of_differences_is_the_penalty(power):
    """Of a linear D, over noise: (slope noise)^power has (power - 1)!! times its mean power."""
    x, text = jnp.ones((200_000, 2)), jnp.ones((200_000, 1))

    def judge(pair):
        return 0.6 * pair[0].sum(axis=-1) + 0.3 * pair[1].sum(axis=-1), None

    noise = tuple(
        jax.random.normal(jax.random.key(n), part.shape) for n, part in enumerate((x, text))
    )
    _, squares, _ = squared_difference(judge, (x, text), noise, 0.1)
    _, exact, _ = squared_gradient_norm(judge, (x, text))
    np.testing.assert_allclose(exact, 2 * 0.6**2 + 0.3**2, rtol=1e-5)
    found = MatchingAware(power=power, step=0.1).of(squares)
    assert found == pytest.approx(float(MatchingAware(power=power).of(exact)), rel=0.1)


def test_the_game_estimates_the_slope_where_it_has_a_step():
    """By noise in image and caption: with reals at 0, that in captions is all there is."""
    pairs = {**BATCH, "real": jnp.zeros((512, 5)), "text": jnp.ones((512, 2))}
    pairs["wrong_text"] = pairs["text"]
    exact, estimate = (
        played(pairs, penalty=MatchingAware(step=step))["discriminator"] for step in (0.0, 1e-3)
    )
    assert exact["ma_gp"] == pytest.approx(8.0**3, rel=1e-4)
    assert estimate["ma_gp"] == pytest.approx(exact["ma_gp"], rel=0.7)
    assert estimate["ma_gp"] != exact["ma_gp"]


def test_a_share_of_wrong_captions_is_the_datas():
    def wrong_logit(hard, batch=BATCH):
        return played(batch, hard=hard)["discriminator"]["wrong_logit"]

    def mean(text):
        return float(np.mean(0.5 * np.sum(BATCH["real"] ** 2, axis=1) + np.sum(text**2, axis=1)))

    swapped = BATCH["text"][jnp.arange(8) ^ 1]
    assert wrong_logit(0.0) == pytest.approx(mean(swapped), rel=1e-5)
    assert wrong_logit(1.0) == pytest.approx(mean(BATCH["wrong_text"]), rel=1e-5)
    assert mean(swapped) < wrong_logit(0.5) < mean(BATCH["wrong_text"])
    without = {name: column for name, column in BATCH.items() if name != "wrong_text"}
    assert wrong_logit(0.5, without) == pytest.approx(mean(swapped), rel=1e-5)


def test_hard_wrong_captions_are_scaled_as_the_others():
    one, three = (played(hard=1.0, text_scale=s)["discriminator"] for s in (1.0, 3.0))
    more = 8.0 * np.mean(np.sum(np.asarray(BATCH["wrong_text"]) ** 2, axis=1))
    assert three["wrong_logit"] - one["wrong_logit"] == pytest.approx(more, rel=1e-4)


def test_fakes_and_wrong_captions_have_half_the_weight_each():
    """The code: real + (fake + wrong) / 2."""
    row = played(hard=0.5)["discriminator"]
    wanted = 0.5 * (row["fake_logit"] + row["wrong_logit"]) - row["real_logit"]
    assert row["loss"] == pytest.approx(wanted, rel=1e-4)


def test_without_an_augmenter_the_generator_gets_the_caption():
    """The fake here is (z, condition): the same captions give the same second half."""
    metrics = played(text_scale=2.0)
    z = latents.normal(3)
    assert "kl" not in metrics["generator"]
    made = Net(Copy(), (floats(3), floats(2)))
    drawn = z(game.fold(game.fold(jax.random.fold_in(KEY, 0), "shared"), "z"), jnp.arange(8))
    fake, _ = made(made.init(KEY), drawn, 2.0 * BATCH["text"])
    bowl = 0.5 * np.sum(fake**2, axis=1) + 4.0 * np.sum(BATCH["text"] ** 2, axis=1)
    assert metrics["discriminator"]["fake_logit"] == pytest.approx(float(bowl.mean()), rel=1e-4)


def test_captions_are_read_off_reals_and_the_generator_pays_for_its_own():
    """AC-GAN for embeddings: D learns from reals at weight 1, G's weight is the argument."""
    row = played(judge=Reader(), auxiliary=0.3, text_scale=2.0)
    wanted = np.mean((np.asarray(BATCH["real"])[:, :2] - 2.0 * np.asarray(BATCH["text"])) ** 2)
    assert row["discriminator"]["text_error"] == pytest.approx(wanted, rel=1e-4)
    assert row["discriminator"]["loss"] == pytest.approx(wanted, rel=1e-4)
    error = row["generator"]["text_error"]  # of z, which knows nothing of the caption
    assert error > 0.5
    assert row["generator"]["loss"] == pytest.approx(0.3 * error, rel=1e-4)
    assert "text_error" not in played()["generator"]


def test_an_augmenter_needs_the_prior_of_its_noise():
    with pytest.raises(ValueError, match="prior of its noise"):
        text_to_image(
            Net(Copy(), (floats(3), floats(2))),
            Net(Augmenter(2), (floats(2),)),
            Net(Bowl(), (floats(5), floats(2))),
            SGD,
            SGD,
            objective=objectives.hinge(),
            prior=latents.normal(3),
        )


NETWORK = Player(Dfgan(width=2))
EXPERIMENT = change(
    Experiment("x", NETWORK, NETWORK, TextToImage("hinge", z=4, caption=0), Data("emoji_noto")),
    {"data.resolution": 16, "data.channels": 3, "run.devices": 1},
)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"game.hard": 1.5}, r"game\.hard = 1\.5: a number up to 1"),
        ({"game.penalty_step": 0.01}, r"game\.penalty_step needs game\.ma_gp"),
        ({"game.text_scale": 0.0}, r"game\.text_scale = 0\.0"),
    ],
)
def test_values_that_cannot_be_say_so(changes, why):
    with pytest.raises(UserError, match=why):
        build(change(EXPERIMENT, changes))


def test_a_folder_of_captioned_pictures_trains(tmp_path):
    """Its captions have no edits: all wrong ones are other pictures'."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(24):
        pixels = RNG.integers(0, 256, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number}.png")
        (pictures / f"{number}.txt").write_text(f"picture of {number % 5} dots")
    recipe = config.recipe(f"{EXPERIMENTS}/text_to_image.py:captioned_dfgan")
    small = config.tiny(change(recipe, {"data.path": str(pictures), "run.devices": 1}))
    state = train(small, tmp_path / "run")
    assert small.data.name == "captioned"
    assert int(state.step) == 2


def test_the_configuration_reaches_the_game():
    plain = build(EXPERIMENT).game
    assert set(plain.nets) == {"generator", "discriminator"}
    with_noise = build(change(EXPERIMENT, {"game.caption": 4})).game
    assert set(with_noise.nets) == {"generator", "augmenter", "discriminator"}
    losses = build(change(EXPERIMENT, {"game.ma_gp": 3.0, "game.penalty_step": 0.01})).game.moves[0]
    assert losses.loss.__self__.penalty == MatchingAware(3.0, 6, 0.01)
    assert losses.loss.__self__.hard == 0.5
