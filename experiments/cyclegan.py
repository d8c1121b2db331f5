"""Unpaired pictures to pictures: CycleGAN (Zhu et al. 2017, arXiv:1703.10593).

`gan-jax train cyclegan:NAME`
`gan-jax sample RUN --out grid.png` shows held-out input, translation and the way back, in
both directions; `--input FOLDER --direction y2x --out DIR` translates pictures of any size.
"""

import dataclasses
from typing import Any, Literal

from gan_jax.config import Cyclegan, Data, Experiment, PatchGan, Player, Resnet, Run

PAPER = Cyclegan()


def emoji() -> Experiment:
    """Google's emoji to Twitter's and back at 32 px, embedded; no emoji is in both domains.

    A tenth is held out, in true pairs that only the evaluation sees. 2026-11-24, 21 minutes on one
    CPU core, 162 held-out pairs, to Twitter's and back: L1 to the true counterpart 0.161 and 0.158
    (copying the input 0.165), perceptual distance 4.68 and 4.43 (4.10), KID 0.122 and 0.089
    (0.006), cycle error 0.063 and 0.070. Colours are learned, clean areas are not: the sets are so
    alike that a copy is hard to beat.
    """
    return _cyclegan(
        "cyclegan-emoji",
        Data("emoji_noto_twemoji", resolution=32, channels=3, flip=True),
        width=16,
        blocks=3,
        receptive_field=16,
        batch_size=4,
        kimg=(30.0, 60.0),
        run=Run(sample_kimg=10.0, checkpoint_kimg=20.0, metrics=("translations",)),
    )


def faces() -> Experiment:
    """Ink drawings of faces to coloured ones and back at 64 px, embedded; no face is in both.

    205 held-out faces are true pairs that only the evaluation sees.

    Measured 2026-11-30, seed 0, 30 kimg in 37.6 minutes on a share of one core
    (results/cyclegan-faces.json; zoo:ink-and-colour): skin, clothes and hair get their colours and
    lose them again; a hat or a beard at times gets skin's. L1 to the hidden counterparts is 0.041
    in colour and 0.042 in ink (the input itself 0.073, matched colours 0.099 and 0.070), the cycle
    error 0.031 and 0.030. KID to them in efficientnet-lite0 is 0.111 and 0.032 (the input 0.335),
    in hed-vgg16 82376 and 24902 (the input 112245, matched colours 3176 to ink). In SSIM and
    perceptual distance the input itself is nearer.
    """
    return _cyclegan(
        "cyclegan-faces",
        Data("faces_ink_colour", resolution=64, channels=3),
        width=16,
        blocks=4,
        receptive_field=70,
        batch_size=4,
        kimg=(15.0, 30.0),
        run=Run(log_every=50, sample_kimg=2.0, checkpoint_kimg=4.0, metrics=("translations",)),
        game=Cyclegan(identity=0.0, ema_kimg=0.5),
        antialias=True,
    )


def maps() -> Experiment:
    """Relief maps to satellite pictures and back at 64 px; no place is in both domains.

    `gan-jax prepare-data maps_unpaired` installs the tiles; the held-out ones are true pairs that
    only the evaluation sees. No identity loss, which would hold the input's colours. Not measured:
    1.9 images/s on one core beside other work, four hours in all.
    """
    return _cyclegan(
        "cyclegan-maps",
        Data("maps_unpaired", resolution=64, channels=3, flip=True),
        width=24,
        blocks=4,
        receptive_field=70,
        batch_size=2,
        kimg=(15.0, 30.0),
        run=Run(log_every=50, sample_kimg=2.0, checkpoint_kimg=3.0, metrics=("translations",)),
        game=Cyclegan(identity=0.0, ema_kimg=0.5),
        antialias=True,
    )


def horse2zebra() -> Experiment:
    """Horses to zebras at 256 px, batch 1, about 200 epochs of the larger side; 6 GB of memory.

    `gan-jax prepare-data cycle_gan/horse2zebra` first. FID to the held-out zebras is 62
    to 77 in others' hands, by identity weight, reference set and resizer. Not measured.
    """
    return _paper("cyclegan-horse2zebra", Data("cycle_gan/horse2zebra"), kimg=(133.0, 267.0))


def monet2photo() -> Experiment:
    """Monet's paintings to photographs at 256 px, batch 1, with the paper's identity term.

    `gan-jax prepare-data cycle_gan/monet2photo` first. Not measured.
    """
    return _paper("cyclegan-monet2photo", Data("cycle_gan/monet2photo"), kimg=(629.0, 1258.0))


def folder() -> Experiment:
    """Two folders of one's own at 256 px: say --data.path of trainA, trainB, testA, testB.

    Not measured.
    """
    return _paper("cyclegan-folder", Data("unpaired"), kimg=(100.0, 200.0))


def _paper(name: str, data: Data, *, kimg: tuple[float, float]) -> Experiment:
    """Appendix 7: 9 blocks, patches of 70 px, enlarged to 286 and cut to 256, mirrored."""
    pictures = Data(data.name, resolution=256, channels=3, flip=True, jitter=30, resize="bicubic")
    return _cyclegan(
        name,
        pictures,
        width=64,
        blocks=9,
        receptive_field=70,
        batch_size=1,
        kimg=kimg,
        run=Run(sample_kimg=5.0, checkpoint_kimg=10.0, metrics=("translations",)),
    )


def _cyclegan(
    name: str,
    data: Data,
    *,
    width: int,
    blocks: int,
    receptive_field: Literal[16, 70],
    batch_size: int,
    kimg: tuple[float, float],
    run: Run,
    game: Cyclegan = PAPER,
    antialias: bool = False,
) -> Experiment:
    """The authors' code: Adam 2e-4 with beta1 0.5, constant to kimg[0], then down to 0."""
    adam = {"lr": 2e-4, "betas": (0.5, 0.999), "decay": kimg}
    shared: dict[str, Any] = {"width": width, "antialias": antialias}
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
