"""How many examples the tests of arbitrary input try."""

import os

from hypothesis import HealthCheck, Phase, settings

SEARCH = int(os.environ.get("GAN_JAX_FUZZ", "0"))  # examples by chance; 0: the same few


def bounded(examples: int):
    """The settings of a test: so many examples, none by chance, unless a search is asked for."""
    return settings(
        max_examples=SEARCH or examples,
        derandomize=not SEARCH,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if SEARCH else [])],
        suppress_health_check=list(HealthCheck),
    )
