"""Projected GAN (Sauer et al. 2021, arXiv:2111.01007): a frozen network before the discriminators.

`gan-jax train projected:NAME`

The generator is the light one that the paper uses with it. The discriminators see features of
EfficientNet-Lite0, so a distance between features of that network flatters these generators
(Kynkaanniemi et al. 2023, arXiv:2203.06026).
"""

from typing import Literal

from gan_jax.config import Data, Experiment, Fastgan, Gan, Player, Projected, Run, change


def _narrow(
    name: str,
    data: str,
    metrics: tuple[str, ...],
    *,
    augment: Literal["diffaugment", "translation_cutout"] = "translation_cutout",
) -> Experiment:
    """Hinge, Adam of 2e-4 with betas (0, 0.99) and z of 256 as the authors; narrow, for two cores.

    Drawings are augmented without colours, which the generator would learn.
    """
    return Experiment(
        name,
        Player(Fastgan(width=16, blocks=2), lr=2e-4, betas=(0.0, 0.99)),
        Player(Projected(width=32, resolution=128), lr=2e-4, betas=(0.0, 0.99)),
        Gan("hinge", z=256, ema_kimg=20.0, augment=augment),
        Data(data, resolution=64, channels=3, flip=True),
        batch_size=32,
        run=Run(
            kimg=200.0,
            sample_kimg=4.0,
            checkpoint_kimg=20.0,
            metrics=metrics,
            metric_samples=2000,
            features="hed-vgg16",
        ),
    )


def avatars() -> Experiment:
    """Drawn faces (open-peeps) at 64 px, from the 1,786 in the package. Not measured."""
    return _narrow("projected-avatars", "avatars", ("fid", "kid", "swd", "prdc"))


def faces() -> Experiment:
    """Drawn faces (open-peeps) at 64 px, from 60,000.

    `gan-jax prepare-data avatars --count 60000 --resolution 64` draws them.

    Measured 2026-11-30, seed 0, 50.4 kimg in 39 minutes on one core beside other work
    (results/projected-faces.json): heads, hair, glasses and shoulders in clean contours, of two
    skin tones; features of the faces are displaced in many. In hed-vgg16, which the discriminators
    never see, KID to the held-out faces is 8736; in their own space KID 0.067 and FID 58.0.

    `stylegan2.py:faces_ada` had KID 119279 after the same 40 minutes of CPU time.
    """
    return _narrow("projected-faces", "avatars_60000x64", ())


def emoji() -> Experiment:
    """Google's emoji at 64 px, from the 1,482 in the package: a set on which it fails.

    Measured 2026-12-01, seed 0, 31.5 kimg in 32.1 minutes on one core beside other work, 25 minutes
    of CPU time (results/projected-emoji.json): yellow and grey blobs; the discriminators tell
    nearly all samples from emoji. KID to the held-out emoji is 13976000 in hed-vgg16, which they
    never see, and 0.129 in their own space.

    `stylegan2.py:emoji_ada` had KID 877444 in hed-vgg16 after as much CPU time, and the colours of
    emoji. With --game.augment diffaugment samples were stripes after 4 kimg.
    """
    return _narrow("projected-emoji", "emoji_noto", ())


def cifar10() -> Experiment:
    """CIFAR-10 at 32 px by class, projections in all four heads.

    Measured 2026-11-30, seed 0, 65.2 kimg in 39.8 minutes on one core beside other work
    (results/projected-cifar10.json): classes are told apart by eye, samples of a class share
    background and colours. A linear classifier of EfficientNet-Lite0's features sees the class
    asked for in 82.8 % of samples and is right on 90.2 % of test images. In the same space, which
    the discriminators see, FID to the test images is 55.3, KID 0.018, precision 0.59, coverage 0.24
    and recall 0.01. In hed-vgg16 KID to 1,000 test images is 105774. The data had the official
    split in another order than TFDS's.
    """
    classes = {"data.resolution": 32, "game.condition": "projection", "game.classes": 10}
    metrics = ("label_accuracy", "fid", "kid", "prdc")
    return change(_narrow("projected-cifar10", "cifar10", metrics), classes)


def folder() -> Experiment:
    """Your own photographs at 64 px, all of DiffAugment: say --data.path of a folder or zip.

    Measured 2026-11-30, seed 0, on 7,887 roughly aligned cat faces: 47 minutes on one core beside
    other work, 41 kimg (results/projected-cats.json); by eye about nine of ten samples are cats.
    In the discriminators' own space FID 38.1, KID 0.019 (to held-out pictures 0.0185: no sign of
    copying), precision 0.39, recall 0.05. In hed-vgg16, which they never see, KID to held-out
    pictures is 16950.

    In one run without a result file `stylegan2:avatars` on the same pictures, with R1 of 0.1, no
    path length and `most` 2048, was at 460437 in that space after 30 minutes: fur without faces.
    """
    metrics = ("held_out", "fid", "kid", "swd", "prdc")
    return _narrow("projected-folder", "folder", metrics, augment="diffaugment")
