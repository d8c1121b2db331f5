"""Generative Adversarial Networks in JAX and Flax: the game is a value.

The names below are loaded when first used, so that `gan_jax.config` can list experiments without
waiting for jax.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_jax.build.spec import (
        Context,
        GameSpec,
        NetworkSpec,
        register_game,
        register_network,
    )
    from gan_jax.data.registry import DatasetSpec, from_arrays, register_dataset
    from gan_jax.evaluation.spec import MetricSpec, register_metric
    from gan_jax.game import (
        Aux,
        Game,
        Memory,
        Move,
        Net,
        Player,
        Shared,
        State,
        fold,
        init,
        played,
        step,
        variables,
        vector_field,
    )
    from gan_jax.training.loop import train
    from gan_jax.training.trained import Trained, load

try:
    __version__ = version("gan_jax")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "unknown"

_GAME = (
    "Aux",
    "Game",
    "Memory",
    "Move",
    "Net",
    "Player",
    "Shared",
    "State",
    "fold",
    "init",
    "played",
    "step",
    "variables",
    "vector_field",
)
_HOMES = {
    **dict.fromkeys(_GAME, "game"),
    **dict.fromkeys(
        ("Context", "GameSpec", "NetworkSpec", "register_game", "register_network"), "build.spec"
    ),
    **dict.fromkeys(("DatasetSpec", "from_arrays", "register_dataset"), "data.registry"),
    **dict.fromkeys(("MetricSpec", "register_metric"), "evaluation.spec"),
    **dict.fromkeys(("Trained", "load"), "training.trained"),
    "train": "training.loop",
}
__all__ = [
    "Aux",
    "Context",
    "DatasetSpec",
    "Game",
    "GameSpec",
    "Memory",
    "MetricSpec",
    "Move",
    "Net",
    "NetworkSpec",
    "Player",
    "Shared",
    "State",
    "Trained",
    "__version__",
    "fold",
    "from_arrays",
    "init",
    "load",
    "played",
    "register_dataset",
    "register_game",
    "register_metric",
    "register_network",
    "step",
    "train",
    "variables",
    "vector_field",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gan_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gan_jax.{_HOMES[name]}"), name)
