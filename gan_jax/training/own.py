"""A game and data that are given in Python instead of being named by the experiment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan_jax import config, latents
from gan_jax.build.parts import Parts
from gan_jax.build.schedule import Stage
from gan_jax.build.spec import GameSpec, register_game
from gan_jax.config import Data, Experiment
from gan_jax.data.registry import ARRAYS, DatasetSpec, from_arrays, register_dataset
from gan_jax.data.source import Source
from gan_jax.errors import NoSplit, UserError
from gan_jax.game import Game, Net
from gan_jax.sampling.recipes import from_noise

Arrays = Mapping[str, np.ndarray]
"""Columns of a data set, [n ...] each, by name."""

OwnData = Source | Arrays | Mapping[str, Arrays]
"""An open source, columns, or columns of several splits by name."""


@dataclass(frozen=True)
class GivenGame:
    """The configuration of a game that is given in Python: it has nothing to configure."""


_given: Parts | None = None


def _make(experiment: Experiment, options: object, shape: tuple[int, ...], stage: Stage) -> Parts:
    if _given is None:
        raise UserError("the game of this run was given in Python: load(run, game=...) takes it")
    return _given


register_game(GameSpec(GivenGame, _make))


def with_own(
    experiment: Experiment,
    game: Game | Parts | None = None,
    data: OwnData | None = None,
) -> Experiment:
    """The experiment with a game and data that are given instead of those that it names.

    The game stays that of `GivenGame` until another is given. The data is named after its content.

    Args:
        experiment: the experiment; its networks and optimisers are not used with a given game.
        game: the game. Where it is not `Parts`, its network "generator" maps latents [b z] of a
            normal distribution, the first of its inputs, to samples.
        data: the training data, as columns [n ...] (`data.registry.from_arrays`), or as an open
            source; or several splits of columns, by name.

    Raises:
        UserError: if the game has no network "generator", or the columns do not fit together.
    """
    global _given
    changes: dict[str, object] = {}
    if game is not None:
        _given = game if isinstance(game, Parts) else _from_noise(game)
        changes["game"] = GivenGame()
    if data is not None:
        changes |= {"data.name": _register(data), "data.split": "train", "data.path": None}
    return config.change(experiment, changes) if changes else experiment


def _from_noise(game: Game) -> Parts:
    net = game.nets.get("generator")
    if not isinstance(net, Net):
        raise UserError("the game has no network 'generator': give Parts, with a SamplingRecipe")
    prior = latents.normal(net.inputs[0].shape[-1])
    return Parts(game, from_noise(net, prior, latents.slerp))


def _register(data: OwnData) -> str:
    """Register the data as a set, and return its name."""
    sources = {"train": data} if isinstance(data, Source) else _sources(data)
    record = sources["train"].records[0]
    column = "image" if "image" in record else "x"

    def open_split(data: Data, split: str, seed: int) -> Source:
        if split not in sources:
            raise NoSplit(f"the data that was given has no split {split!r}")
        return sources[split]

    shape = tuple(record[column].shape)
    name = ARRAYS + sources["train"].fingerprint
    sources = {split: source._replace(name=name) for split, source in sources.items()}
    register_dataset(DatasetSpec(name, open_split, lambda data: shape, column))
    return name


def _sources(data: Arrays | Mapping[str, Arrays]) -> dict[str, Source]:
    splits: Any = data if "train" in data else {"train": data}
    return {split: from_arrays(split, columns) for split, columns in splits.items()}
