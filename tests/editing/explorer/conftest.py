"""A served page of styles whose axes are known."""

import numpy as np
import pytest
from helpers.explorer import served
from helpers.toy_styles import LAYERS, W, make_space

from gan_jax.editing.explorer import pictures, styles
from gan_jax.editing.style_space import Direction, sefa


@pytest.fixture(scope="session")
def toy():
    """Pictures of styles that have a direction with a name to be escaped."""
    space = make_space()
    brighter = Direction("brighter <b>", np.eye(W, dtype=np.float32)[0], "towards light")
    return styles.style_pictures(
        space, [brighter, *sefa(space, range(LAYERS), 2)], sample=("sample", "RUN")
    )


@pytest.fixture(scope="session")
def toy_part(toy):
    return pictures.make_part(toy)


@pytest.fixture(scope="session")
def address(toy_part):
    with served(toy_part, title="toy & run, round 2") as found:
        yield found
