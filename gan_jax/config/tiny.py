"""A recipe's smallest relative, for tests and for a first look on any machine."""

import dataclasses
from typing import Any

from gan_jax.config.kinds import Kind, kind_of
from gan_jax.config.schema import EMBEDDED, OWN, VOICES, Data, Experiment, Player


def tiny(experiment: Experiment, *, prepared: bool = False) -> Experiment:
    """The recipe's smallest relative: same game, networks and data, but narrow and small.

    Two rounds of eight images, or of two pieces of speech. A user's own data, toy data and embedded
    sets stay. Any other set is replaced by an embedded one, whose name `data.name` then is.

    Args:
        experiment: the recipe.
        prepared: the data set is at hand and stays too.
    """
    data = _small_data(experiment, prepared)
    replaced = data.name != experiment.data.name
    game = _shrunk(experiment.game)
    fields = {f.name for f in dataclasses.fields(game)}
    if "classes" in fields and replaced:
        labelled = game.classes or ("condition" in fields and game.condition)
        game = dataclasses.replace(game, classes=10 if labelled else 0)  # Fashion-MNIST's
    batch = 2 if data.name in VOICES else 8  # the sample of voices has three prompts of each
    run = dataclasses.replace(
        experiment.run,
        kimg=0.002 * batch,
        log_every=1,
        sample_kimg=0.0,
        checkpoint_kimg=0.0,
        metrics=(),
        evaluate_kimg=0.0,
        best="",
    )
    return dataclasses.replace(
        experiment,
        generator=_narrow(experiment.generator),
        discriminator=_narrow(experiment.discriminator),
        game=game,
        data=data,
        batch_size=batch,
        run=run,
    )


def _narrow(player: Player) -> Player:
    return dataclasses.replace(player, network=_shrunk(player.network))


def _shrunk(config: Any) -> Any:
    """The configuration with the fields that its kind names made small."""
    shrunk = (kind_of(config) or Kind(type(config))).tiny
    values = {n: v(getattr(config, n)) if callable(v) else v for n, v in shrunk.items()}
    return dataclasses.replace(config, **values)


def _small_data(experiment: Experiment, prepared: bool) -> Data:
    data = experiment.data
    game, network = kind_of(experiment.game), kind_of(experiment.generator.network)
    own = (data.name in OWN and data.path is not None) or data.name.startswith("toy/")
    if not (prepared or own or data.name in EMBEDDED):
        name = game.stand_in if game else Data.name
        name = "voices_it_sample" if data.name in VOICES else name
        data = dataclasses.replace(data, name=name, split="train", path=None, data_dir=None)
    if data.name in VOICES:
        return dataclasses.replace(data, frames=16, cepstra=8)
    if data.name.startswith("toy/"):
        return data
    most = network.resolution if network else 32
    resolution = min(data.resolution, 28 if data.resolution % 7 == 0 else most)
    return dataclasses.replace(data, resolution=resolution)
