"""A recipe's smallest relative, for tests and for a first look on any machine."""

import dataclasses

from gan_jax.config.schema import (
    EMBEDDED,
    OWN,
    VOICES,
    Cyclegan,
    Data,
    Dcgan,
    Experiment,
    Gan,
    Grow,
    Mlp,
    Pix2Pix,
    Player,
    R3gan,
    Resnet,
    Style,
    Style2,
    Stylegan,
    TextToImage,
    Voice,
    Voice2,
)


def tiny(experiment: Experiment, *, prepared: bool = False) -> Experiment:
    """The recipe's smallest relative: same game, networks and data, narrow and small.

    For tests and for a first look at a recipe on any machine: two rounds of eight pictures, or of
    two pieces of speech. One's own data, toy data and sets that come with the package stay; so does
    every other set that is `prepared`. What would need a download, an analysis of minutes or a path
    that is not said has a stand-in that comes with the package: then `data.name` is another.
    """

    def narrow(player: Player) -> Player:
        network = player.network
        if isinstance(network, Mlp):
            network = dataclasses.replace(network, widths=(8,) * len(network.widths))
        elif isinstance(network, Style | Style2):
            network = dataclasses.replace(network, width=1 / 128, w=8, mapping=1)
        else:
            network = dataclasses.replace(network, width=4)
        if isinstance(network, Dcgan):
            network = dataclasses.replace(network, hidden=min(network.hidden, 8))
        if isinstance(network, R3gan):
            network = dataclasses.replace(network, cardinality=2, blocks=1)
        if isinstance(network, Resnet | Voice | Voice2):
            network = dataclasses.replace(network, blocks=1)
        return dataclasses.replace(player, network=network)

    data = experiment.data
    own = data.name in OWN and data.path is not None
    if not (prepared or own or data.name in EMBEDDED or data.name.startswith("toy/")):
        shipped = {
            Pix2Pix: "emoji_pairs",
            Cyclegan: "voices_it_sample" if data.name in VOICES else "emoji_noto_twemoji",
            TextToImage: "emoji_noto",
        }
        name = shipped.get(type(experiment.game), Data.name)
        data = dataclasses.replace(data, name=name, split="train", path=None, data_dir=None)
    if data.name in VOICES:
        data = dataclasses.replace(data, frames=16, cepstra=8)
    elif not data.name.startswith("toy/"):
        slow = {R3gan: 4, Style: 8, Style2: 8}  # to compile
        most = slow.get(type(experiment.generator.network), 32)
        resolution = min(data.resolution, 28 if data.resolution % 7 == 0 else most)
        data = dataclasses.replace(data, resolution=resolution)
    batch = 2 if data.name in VOICES else 8  # the sample of voices has three prompts of each
    run = dataclasses.replace(
        experiment.run,
        kimg=0.002 * batch,
        log_every=1,
        sample_kimg=0.0,
        checkpoint_kimg=0.0,
        metrics=(),
    )
    played = experiment.game
    if isinstance(played, Gan):  # two rounds play every move
        played = dataclasses.replace(
            played, n_critic=min(played.n_critic, 2), penalty_every=min(played.penalty_every, 2)
        )
    if isinstance(played, Stylegan):
        played = dataclasses.replace(
            played,
            z=8,
            penalty_every=min(played.penalty_every, 2),
            path_every=min(played.path_every, 2),
            grow=Grow(4, 0.008, 0.008) if played.grow.start else Grow(),
        )
    replaced = data.name != experiment.data.name
    if isinstance(played, Gan | Stylegan) and replaced:
        labelled = played.classes or getattr(played, "condition", "")
        played = dataclasses.replace(played, classes=10 if labelled else 0)  # of the garments
    return dataclasses.replace(
        experiment,
        generator=narrow(experiment.generator),
        discriminator=narrow(experiment.discriminator),
        game=played,
        data=data,
        batch_size=batch,
        run=dataclasses.replace(run, evaluate_kimg=0.0, best=""),
    )
