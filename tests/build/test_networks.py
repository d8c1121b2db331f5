"""A network that does not fit a game is refused in one line."""

import pytest

from gan_jax import config
from gan_jax.build.experiment import build
from gan_jax.config import Dcgan, Experiment, Gan, Pix2Pix, Stylegan, Unet
from gan_jax.errors import UserError


@pytest.mark.parametrize(
    ("game", "network", "message"),
    [
        (Gan(), Unet(), "Unet starts from samples; Gan needs one that starts from latents"),
        (Pix2Pix(), Dcgan(), "Dcgan starts from latents; Pix2Pix needs .* samples: Unet"),
        (Stylegan(), Dcgan(), "Stylegan needs one that starts from styles: Style, Style2"),
    ],
)
def test_a_generator_that_starts_from_something_else_is_refused(game, network, message):
    made = config.change(Experiment("x", game=game), {"generator.network": network})
    with pytest.raises(UserError, match=message):
        build(made)
