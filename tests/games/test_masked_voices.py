"""MaskCycleGAN-VC: which frames are hidden from whom (Kaneko et al. 2021, arXiv:2102.12841)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.paths import EXPERIMENTS

from gan_jax import config, game, objectives
from gan_jax.build.experiment import build
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.cyclegan import cyclegan, draw_masks
from gan_jax.networks import voice

KEY = jax.random.key(0)
FRAMES, MOST = 16, 5
INPUT = jax.ShapeDtypeStruct((2, FRAMES, 3), jnp.float32)


class Marked(nn.Module):
    """A generator that shows its mask: 1 where it sees a frame, 10 where it is given no mask."""

    @nn.compact
    def __call__(self, x, mask=None, train=True):
        self.param("idle", nn.initializers.zeros_init(), ())
        return jnp.broadcast_to(10.0 if mask is None else mask, x.shape)


class Sum(nn.Module):
    """A discriminator whose logit is the sum of what it sees."""

    @nn.compact
    def __call__(self, x, train=True):
        return self.param("one", nn.initializers.ones_init(), ()) * x.sum((1, 2))


def played(**options):
    """The fakes and reconstructions of a game with marked generators."""
    g, d, tx = Net(Marked(), (INPUT,)), Net(Sum(), (INPUT,)), optax.sgd(0.0)
    options = {"objective": objectives.least_squares(), "pool_size": 0, **options}
    made = cyclegan(g, g, d, d, tx, tx, **options)
    state = game.init(made, KEY)
    batch = {name: jnp.zeros((4, FRAMES, 3)) for name in "xy"}
    variables = game.variables(made, state)
    values, _ = made.shared.forward(variables, game.with_index(batch, state.step), KEY)
    return values


def test_frames_are_hidden_in_the_first_conversion_alone():
    values = played(mask=MOST)
    for name in ("fake_x", "fake_y"):
        assert set(np.unique(values[name])) == {0.0, 1.0}
    for name in ("cycled_x", "cycled_y"):
        assert set(np.unique(values[name])) == {10.0}, "no mask on the way back"
    assert not np.array_equal(values["fake_x"], values["fake_y"])
    assert set(np.unique(played()["fake_y"])) == {10.0}, "no mask by default"


def test_a_mask_hides_up_to_the_most_frames_in_one_piece_anywhere():
    masks = np.asarray(draw_masks(KEY, jnp.arange(4000), FRAMES, MOST))[..., 0]
    sizes = (masks == 0).sum(axis=1)
    counts = np.bincount(sizes, minlength=MOST + 1)
    assert len(counts) == MOST + 1
    np.testing.assert_allclose(counts / 4000, 1 / (MOST + 1), atol=0.03)
    edges = np.abs(np.diff(np.pad(masks, ((0, 0), (1, 1)), constant_values=1))).sum(axis=1)
    assert set(edges) == {0.0, 2.0}, "one piece, or none"
    assert (masks == 0).any(axis=0).all(), "every frame is hidden somewhere"


def test_a_mask_belongs_to_its_example_whatever_the_batch():
    whole = draw_masks(KEY, jnp.arange(8), FRAMES, MOST)
    np.testing.assert_array_equal(whole[4:], draw_masks(KEY, jnp.arange(4, 8), FRAMES, MOST))


@pytest.mark.parametrize("kind", [voice.Generator1d, voice.Generator212d])
def test_a_masked_generator_does_not_see_hidden_frames_and_sees_all_without_a_mask(kind):
    module = kind(4, 1, masked=True)
    x = jax.random.normal(KEY, (2, FRAMES, 8))
    variables = module.init(KEY, x)
    mask = draw_masks(jax.random.key(1), jnp.arange(2), FRAMES, MOST).at[0, 3:6].set(0.0)
    changed = jnp.where(mask == 0.0, 99.0, x)
    out = module.apply(variables, x, mask)
    np.testing.assert_array_equal(out, module.apply(variables, changed, mask))
    shown = module.apply(variables, x)
    np.testing.assert_array_equal(shown, module.apply(variables, x, jnp.ones((2, FRAMES, 1))))
    # A hidden frame of zeros is told from a zero: the mask is an input of its own.
    zeros = jnp.zeros_like(x)
    assert not np.allclose(module.apply(variables, zeros), module.apply(variables, zeros, mask))


def test_the_recipe_is_vc2_with_25_hidden_frames():
    mask = config.recipe(f"{EXPERIMENTS}/cyclegan_vc.py:mask")
    vc2 = config.recipe(f"{EXPERIMENTS}/cyclegan_vc.py:vc2")
    assert config.change(mask, {"game.mask": 0, "name": vc2.name}) == vc2
    assert mask.game.mask == 25


def test_masks_that_hide_all_and_generators_without_masks_are_refused():
    voices = config.recipe(f"{EXPERIMENTS}/cyclegan_vc.py:mask")
    with pytest.raises(UserError, match=r"game.mask = 128: at most 127 of 128 frames"):
        build(config.change(voices, {"game.mask": 128, "run.devices": 1}))
    pictures = config.recipe(f"{EXPERIMENTS}/cyclegan.py:emoji")
    with pytest.raises(UserError, match=r"masked"):
        build(config.change(pictures, {"game.mask": 4, "run.devices": 1}))
