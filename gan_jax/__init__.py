"""Generative Adversarial Networks in JAX and Flax: the game is a value.

The names below are those of `gan_jax.game`, loaded when first asked for, so that
`gan_jax.config` can list experiments without waiting for jax.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

__all__ = [
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
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gan_jax' has no attribute {name!r}")
    from gan_jax import game

    return getattr(game, name)
