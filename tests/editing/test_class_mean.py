"""Truncation towards the mean of a class: on a small class-conditional StyleGAN2."""

import jax
import numpy as np
import pytest

from gan_jax import game
from gan_jax.build.experiment import build
from gan_jax.config import Data, Experiment, Player, Run, Style2, Stylegan
from gan_jax.editing import style_space
from gan_jax.errors import UserError

CLASSES = 3


@pytest.fixture(scope="module")
def opened():
    """Opens the space of a class, of a generator that has not been trained."""
    player = Player(Style2(width=1 / 128, w=4, mapping=1))
    chosen = Stylegan(z=4, classes=CLASSES, ema_kimg=0.1)
    built = build(
        Experiment("x", player, player, chosen, Data(resolution=8), 8, run=Run(devices=1))
    )
    state = jax.jit(lambda: game.init(built.game, built.key))()

    def space_of(number):
        label = style_space.one_class(CLASSES, number)
        space = style_space.open_space(built.game, built.sampler, state, label)
        return style_space.with_class_mean(space, label), space

    return space_of


def test_every_class_has_its_own_mean_and_the_running_mean_is_one(opened):
    means = []
    for number in range(CLASSES):
        of_class, of_all = opened(number)
        w = of_class.draw(jax.random.key(7), np.arange(4000))
        error = 6.0 * w.std(axis=0) / np.sqrt(4000)  # of both means, some deviations
        assert (np.abs(of_class.styles.mean - w.mean(axis=0)) < error).all()
        assert (np.asarray(of_all.styles.mean) == 0.0).all(), "of an untrained generator"
        means.append(np.asarray(of_class.styles.mean))
    assert np.abs(means[0] - means[1]).max() > 0.1


def test_psi_0_is_the_mean_of_the_class_and_psi_1_leaves_w(opened):
    space, _ = opened(1)
    w = space.draw(jax.random.key(0), np.arange(2))
    whole, none = (style_space.truncated_styles(space, w, psi) for psi in (1.0, 0.0))
    np.testing.assert_allclose(whole, np.repeat(w[:, None], whole.shape[1], axis=1), atol=1e-6)
    np.testing.assert_allclose(none, np.broadcast_to(space.styles.mean, none.shape), atol=1e-6)


def test_the_mean_is_the_same_whenever_it_is_computed(opened):
    first, second = (opened(2)[0].styles.mean for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_an_unconditional_generator_has_no_class_mean(opened):
    space, _ = opened(0)
    with pytest.raises(UserError, match="has no classes"):
        style_space.with_class_mean(space, None)
