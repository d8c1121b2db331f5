"""Unpaired pictures to pictures, one way: CUT and FastCUT (Park et al. 2020, arXiv:2007.15651).

`gan-jax train cut:NAME`
`gan-jax sample RUN --out grid.png` shows held-out inputs and their translations;
`--input FOLDER --direction x2y --out DIR` translates pictures of any size.
"""

import dataclasses
from typing import Any, Literal

from gan_jax.config import (
    Cut,
    Data,
    Experiment,
    PatchGan,
    Player,
    Projected,
    Resnet,
    Run,
    change,
)

CUT = Cut()
FASTCUT = Cut(nce=10.0, identity=False, equivariance=0.5)
SMALL = Cut(identity=False, patches=64, head=64, ema_kimg=0.5)  # a third of the time of a round


def emoji() -> Experiment:
    """Google's emoji to Twitter's at 32 px, embedded; no emoji is in both domains.

    A tenth is held out, in true pairs that only the evaluation sees. Not measured.
    """
    return _cut(
        "cut-emoji",
        Data("emoji_noto_twemoji", resolution=32, channels=3, flip=True),
        width=16,
        blocks=3,
        receptive_field=16,
        batch_size=4,
        kimg=(30.0, 60.0),
        run=Run(sample_kimg=10.0, checkpoint_kimg=20.0, metrics=("translations",)),
    )


def faces() -> Experiment:
    """Ink drawings of faces to coloured ones at 64 px, embedded; no face is in both domains.

    205 held-out faces are true pairs that only the evaluation sees.

    Measured 2026-11-30, seed 0, 30 kimg in 12.4 minutes on one core beside other work
    (results/cut-faces.json; zoo:ink-to-colour): skin, hair and clothes get their colours, with a
    few coloured specks on the white. L1 to the hidden counterparts is 0.040 (the drawing itself
    0.073, matched colours 0.099). KID to them is 0.055 in efficientnet-lite0 (the drawings 0.335)
    and 90010 in hed-vgg16 (112245). In SSIM and perceptual distance the drawing itself is nearer.
    """
    return _cut(
        "cut-faces",
        Data("faces_ink_colour", resolution=64, channels=3),
        width=16,
        blocks=4,
        receptive_field=70,
        batch_size=4,
        kimg=(15.0, 30.0),
        run=Run(log_every=50, sample_kimg=2.0, checkpoint_kimg=4.0, metrics=("translations",)),
        game=SMALL,
        antialias=True,
    )


def apples() -> Experiment:
    """Two folders of one's own at 64 px, such as apples and oranges, for one CPU core.

    Say --data.path of trainA, trainB, testA, testB.

    Measured 2026-11-30, seed 0, apple2orange (995 and 1,019 pictures), 60 kimg in 53.3 minutes on a
    share of one core (results/cut-apples.json): by eye apples become oranges of their shape, and
    plain backgrounds get clouds of colour. In numbers they are further from oranges than apples
    are: KID 0.221 in efficientnet-lite0 (the apples 0.113, matched colours 0.061) and 265604 in
    hed-vgg16 (196716, -26777).
    """
    return _cut(
        "cut-apples",
        Data("unpaired", resolution=64, channels=3, flip=True, jitter=8, resize="bicubic"),
        width=24,
        blocks=4,
        receptive_field=70,
        batch_size=4,
        kimg=(30.0, 60.0),
        run=Run(log_every=50, sample_kimg=4.0, checkpoint_kimg=6.0, metrics=("translations",)),
        game=dataclasses.replace(SMALL, ema_kimg=2.0, augment="translation_cutout"),
        antialias=True,
    )


def projected() -> Experiment:
    """Two folders of one's own at 64 px, judged through a frozen network as in Projected GAN.

    Say --data.path of trainA, trainB, testA, testB.

    Measured 2026-11-30, seed 0, apple2orange (995 and 1,019 pictures), 12.9 kimg in 19.3 minutes
    on a share of one core (results/cut-projected.json): by eye apples become oranges of the same
    shape, and pictures of many turn into texture. In efficientnet-lite0, which the discriminators
    see, KID to the oranges is 0.063 (copying 0.113, matched colours 0.061); in hed-vgg16, which
    they never see, 361685 (196716, -26777): the texture is further from oranges than apples are.
    """
    adam: dict[str, Any] = {"lr": 2e-4, "betas": (0.0, 0.99)}
    return Experiment(
        "cut-projected",
        Player(Resnet(width=24, blocks=4, antialias=True, init="xavier"), **adam),
        Player(Projected(width=32, resolution=128), **adam),
        dataclasses.replace(
            SMALL, objective="hinge", nce=4.0, ema_kimg=5.0, augment="translation_cutout"
        ),
        Data("unpaired", resolution=64, channels=3, flip=True, jitter=8, resize="bicubic"),
        batch_size=16,
        run=Run(
            kimg=100.0,
            sample_kimg=4.0,
            checkpoint_kimg=8.0,
            metrics=("translations",),
            features="hed-vgg16",
        ),
    )


def paintings() -> Experiment:
    """Two folders of one's own at 128 px, such as photographs and paintings, for one CPU core.

    Say --data.path of trainA, trainB, testA, testB. The discriminator has spectral norm: with
    instance norm, which takes the mean of every map away, all colours drifted.

    Measured 2026-12-01, seed 0, 1,600 photographs to 260 paintings of Monet, 4.5 kimg in 30.0
    minutes on a share of one core (results/cut-paintings.json): by eye skies, water and fields are
    painted in his blues and golds, under a fine grid. The two spaces disagree: KID to the 40
    held-out paintings is 98781 in hed-vgg16 (copying 561031, matched colours 181508), but 0.341 in
    efficientnet-lite0 (0.100, 0.091).
    """
    experiment = _cut(
        "cut-paintings",
        Data("unpaired", resolution=128, channels=3, flip=True, jitter=14, resize="bicubic"),
        width=16,
        blocks=4,
        receptive_field=70,
        batch_size=4,
        kimg=(2.0, 5.0),
        run=Run(log_every=50, sample_kimg=1.0, checkpoint_kimg=1.0, metrics=("translations",)),
        game=dataclasses.replace(SMALL, ema_kimg=1.0, augment="translation_cutout"),
        antialias=True,
    )
    return change(experiment, {"discriminator.network.norm": "spectral"})


def horse2zebra() -> Experiment:
    """Horses to zebras at 256 px, batch 1, 200 epochs and 200 more with a falling rate.

    An epoch is one of the larger side, as in the authors' code.
    `gan-jax prepare-data cycle_gan/horse2zebra` first. The paper's FID is 45.5, of the
    best checkpoint; users' last ones have 61 to 68. Not measured.
    """
    return _paper("cut-horse2zebra", Data("cycle_gan/horse2zebra"), kimg=(267.0, 534.0))


def horse2zebra_fast() -> Experiment:
    """FastCUT, 150 epochs and 50 more with a falling rate.

    At its weight of 10 training collapses for users of the authors' code (FID 252); with
    `--game.nce 1` one had 60.5. Not measured.
    """
    data = Data("cycle_gan/horse2zebra")
    return _paper("cut-horse2zebra-fast", data, kimg=(200.0, 267.0), game=FASTCUT)


def folder() -> Experiment:
    """Two folders of one's own at 256 px: say --data.path of trainA, trainB, testA, testB.

    Not measured.
    """
    return _paper("cut-folder", Data("unpaired"), kimg=(200.0, 400.0))


def _paper(name: str, data: Data, *, kimg: tuple[float, float], game: Cut = CUT) -> Experiment:
    """9 blocks, patches of 70 px, smooth resampling, enlarged to 286 and cut to 256, mirrored."""
    pictures = Data(data.name, resolution=256, channels=3, flip=True, jitter=30, resize="bicubic")
    return _cut(
        name,
        pictures,
        width=64,
        blocks=9,
        receptive_field=70,
        batch_size=1,
        kimg=kimg,
        run=Run(sample_kimg=5.0, checkpoint_kimg=10.0, metrics=("translations",)),
        game=game,
        antialias=True,
    )


def _cut(
    name: str,
    data: Data,
    *,
    width: int,
    blocks: int,
    receptive_field: Literal[16, 70],
    batch_size: int,
    kimg: tuple[float, float],
    run: Run,
    game: Cut = CUT,
    antialias: bool = False,
) -> Experiment:
    """The authors' code: Adam 2e-4 with beta1 0.5, constant to kimg[0], then down to 0."""
    adam = {"lr": 2e-4, "betas": (0.5, 0.999), "decay": kimg}
    shared: dict[str, Any] = {"width": width, "init": "xavier", "antialias": antialias}
    patches = PatchGan(receptive_field=receptive_field, norm="instance", **shared)
    return Experiment(
        name,
        Player(network=Resnet(blocks=blocks, **shared), **adam),
        Player(network=patches, **adam),
        game,
        data,
        batch_size=batch_size,
        run=dataclasses.replace(run, kimg=kimg[1]),
    )
