"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958) and its adaptive augmentation (2006.06676).

`gan-jax train stylegan2:NAME`
"""

import dataclasses

from gan_jax.config import Data, Experiment, Player, Run, Style2, Stylegan, VisionAided, change


def avatars() -> Experiment:
    """Drawn faces (open-peeps) at 64 px, narrow enough for two cores.

    Measured 2026-11-28, seed 0, 2 hours on one core, beside other work: faces with clean contours,
    hair, beards and clothes; one in eight is blotted out by hair. fid2k-train1786
    [efficientnet-lite0,antialias] 74 (92 after 150 kimg, 77 minutes), kid2k 0.102; path length in Z
    622 and in W 360 (full). ADA's p ends at 0.1.
    """
    player = Player(network=Style2(width=0.0625, w=128, mapping=4), lr=2.5e-3, betas=(0.0, 0.99))
    game = Stylegan(
        z=128, r1=2.0, penalty_every=16, path_length=2.0, path_every=4, ema_kimg=5.0, augment="ada"
    )
    return Experiment(
        "stylegan2-avatars",
        player,
        player,
        game,
        Data("avatars", resolution=64, channels=3, flip=True),
        batch_size=16,
        run=Run(
            kimg=270.0,
            sample_kimg=10.0,
            checkpoint_kimg=20.0,
            metrics=("fid", "kid", "ppl"),
            metric_samples=2000,
        ),
    )


def faces() -> Experiment:
    """Drawn faces without limit at 32 px: wide where a face is laid out, for one core.

    `gan-jax prepare-data avatars --count 60000 --resolution 64` draws them. Beside `avatars`, which
    has 2,000: no augmentation, a light R1, four times the feature maps at 4 and 8 px and twice at
    16, and no path length penalty.

    Measured 2026-11-30, seed 0, 185 kimg in 92 minutes on one core beside other work
    (results/stylegan2-faces.json; zoo:drawn-faces): faces with hair, beards, glasses, masks and
    clothes, one in eight with a blot; directions of PCA change hair, skin, mask and beard.
    fid2k-test1989[efficientnet-lite0,antialias] 41.3 and KID 0.044, but precision 0.05 and recall
    0.03: that space still tells almost every sample from a drawing.

    2,000 other real images have 3.4, 0.000, 0.90 and 0.92.
    """
    wide = {f"{player}.network.most": 2048 for player in ("generator", "discriminator")}
    changes = {
        "name": "stylegan2-faces",
        "data.name": "avatars_60000x64",
        "data.resolution": 32,
        "game.augment": "",
        "game.r1": 0.5,
        "game.path_length": 0.0,
        "run.kimg": 300.0,
        "run.metrics": ("fid", "kid", "prdc"),
    }
    return change(avatars(), {**wide, **changes})


def faces_ada() -> Experiment:
    """`faces` at 64 px with ADA: what `projected.py:faces` is compared with at equal minutes.

    Measured 2026-11-30, seed 0, 34.9 kimg in 48.9 minutes on one core beside other work, 40 minutes
    of CPU time (results/stylegan2-faces-ada.json): heads and shoulders without faces. KID to the
    held-out faces is 119279 in hed-vgg16 and 0.575 in efficientnet-lite0, where FID is 290.
    """
    changes = {"name": "stylegan2-faces-ada", "data.resolution": 64, "game.augment": "ada"}
    return change(faces(), {**changes, "run.features": "hed-vgg16"})


def emoji_ada() -> Experiment:
    """Google's emoji at 64 px with ADA, beside `projected.py:emoji`.

    Measured 2026-12-01, seed 0, 49.0 kimg in 33.4 minutes on one core beside other work, 25 minutes
    of CPU time (results/stylegan2-emoji-ada.json): blots in the colours and places of emoji, none
    of them recognised. KID to the held-out emoji is 877444 in hed-vgg16 and 0.247 in
    efficientnet-lite0.
    """
    changes = {"name": "stylegan2-emoji-ada", "data.name": "emoji_noto", "run.metrics": ()}
    return change(avatars(), {**changes, "run.features": "hed-vgg16"})


def vision_aided() -> Experiment:
    """`emoji_ada` with a second discriminator on EfficientNet-Lite0's features; it fails so early.

    It joins after 5 kimg, of 500 in the paper, as this run is short, and sees the pictures at 128
    px. Distances between features of that network would flatter this generator: the metrics are of
    another one.

    Measured 2026-12-01, seed 0, 15.6 kimg in 34.6 minutes on one core beside other work, 25 minutes
    of CPU time (results/stylegan2-vision-aided.json): squares of one colour each. The second
    discriminator is right about nearly every picture from the start. KID to the held-out emoji is
    290236000 in hed-vgg16 and 0.358 in efficientnet-lite0.

    `emoji_ada` had KID 877444 after as much CPU time, in which it saw three times as many pictures.
    """
    aided = VisionAided(weight=1.0, start_kimg=5.0, resolution=128, width=128)
    changes = {"name": "stylegan2-vision-aided", "game.vision_aided": aided}
    return change(emoji_ada(), changes)


def cifar10() -> Experiment:
    """CIFAR-10 at 32 px by class: the authors' `cifar` settings, plain D included. Not measured.

    Other than theirs: 25,000 kimg instead of 100,000, an averaged generator without ramp-up, labels
    as in StyleGAN; with --generator.network.port and --discriminator.network.port torch as theirs.
    Their G's Adam is corrected as for a path length that they leave out.
    Others' FID of 50,000 samples with ADA: 2.31 (StudioGAN), 2.42 (the paper).
    """
    experiment = _paper(
        "stylegan2-cifar10",
        Data("cifar10", resolution=32, channels=3),
        Style2(mapping=2, residual=False, group=32),
        Stylegan(classes=10, mixing=0.0, r1=0.01, penalty_every=16, ema_kimg=500.0, augment="ada"),
        batch_size=64,
        lr=2.5e-3,
    )
    changes = {"generator.lr": 2e-3, "generator.betas": (0.0, 0.99**0.8)}
    return change(experiment, {**changes, "discriminator.network.mapping": 8})


def folder() -> Experiment:
    """Your own pictures at 128 px, ADA: say --data.path of a folder or zip. Not measured.

    The authors' `auto` settings of one GPU. Where sub-folders name classes, --game.classes with
    their number makes it class-conditional.
    """
    experiment = _paper(
        "stylegan2-folder",
        Data("folder", resolution=128, channels=3, flip=True),
        Style2(mapping=2, base=8192),
        dataclasses.replace(_penalised(r1=0.1024, ema_kimg=10.0), augment="ada"),
        batch_size=32,
        lr=2.5e-3,
    )
    run = Run(kimg=5000.0, sample_kimg=50.0, checkpoint_kimg=200.0)
    return change(experiment, {"run": run})


def ffhq256() -> Experiment:
    """FFHQ at 256 px from a folder or zip (say --data.path), `paper256`. Not measured.

    Others' FID of 50,000 samples: 3.78 (R3GAN's paper), 3.99 (mmgeneration).
    """
    return _paper(
        "stylegan2-ffhq256",
        Data("folder", split="train+test", resolution=256, channels=3, flip=True),
        Style2(base=8192, group=8),
        _penalised(r1=1.0, ema_kimg=20.0),
        batch_size=64,
        lr=2.5e-3,
    )


def ffhq1024() -> Experiment:
    """FFHQ at 1024 px from a folder or zip (say --data.path): configuration F. Not measured.

    The authors' FID of 50,000 samples: 2.84 +- 0.03; 9 days and 18 hours of eight V100.
    """
    return _paper(
        "stylegan2-ffhq1024",
        Data("folder", split="train+test", resolution=1024, channels=3, flip=True),
        Style2(),
        _penalised(r1=10.0, ema_kimg=10.0),
        batch_size=32,
        lr=2e-3,
    )


def _penalised(r1: float, ema_kimg: float) -> Stylegan:
    return Stylegan(r1=r1, penalty_every=16, path_length=2.0, path_every=4, ema_kimg=ema_kimg)


def _paper(
    name: str, data: Data, network: Style2, game: Stylegan, *, batch_size: int, lr: float
) -> Experiment:
    player = Player(network=network, lr=lr, betas=(0.0, 0.99))
    run = Run(
        kimg=25000.0,
        sample_kimg=100.0,
        checkpoint_kimg=200.0,
        evaluate_kimg=1000.0,
        metrics=("fid",),
        metric_samples=50000,
        features="inception-2015",
        best="fid",
    )
    return Experiment(name, player, player, game, data, batch_size=batch_size, run=run)
