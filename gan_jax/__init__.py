"""Generative Adversarial Networks in JAX and Flax: the game is a value."""

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
