"""Paired pictures to pictures: pix2pix (Isola et al. 2017, arXiv:1611.07004).

`gan-jax train pix2pix:NAME`
`gan-jax sample RUN --out grid.png` shows held-out input, output and target side by side.
"""

from typing import Literal

from gan_jax.config import (
    Data,
    Experiment,
    PatchGan,
    Pix2Pix,
    Player,
    Resnet,
    Run,
    Unet,
    change,
)


def emoji() -> Experiment:
    """Flat emoji to their 3D renderings at 64 px, embedded pairs; a tenth is held out.

    Beside `unet`: CycleGAN's generator without strides, which has instance norm and no dropout, and
    an averaged copy of it. Measured 2026-11-30, seed 0, 39 of 48 kimg in 62 minutes on a
    share of a core, 23 of it processor time (results/pix2pix-emoji.json; zoo:emoji-3d): L1 0.055
    (copying the input 0.063), PSNR 19.8 dB (19.0), SSIM 0.70 (0.71), perceptual distance 1.90
    (1.38), KID 0.046 (0.039), fid156-test[efficientnet-lite0,antialias] 108. Shading and colours
    are the target's, surfaces are clean, small parts are blurred.
    """
    changes = {
        "name": "pix2pix-emoji",
        "generator.network": Resnet(width=16, blocks=4, antialias=True),
        "game.ema_kimg": 1.0,
        "run.kimg": 48.0,
    }
    return change(unet(), changes)


def unet() -> Experiment:
    """The same with the paper's U-Net.

    Patches of 16 px, the same part of the picture as the paper's 70 of 256. 2026-11-27, 17 minutes
    on one core: L1 0.054 (copying the input 0.063), PSNR 19.6 dB (19.0), SSIM 0.69 (0.71),
    perceptual distance 2.1 (1.4), KID 0.081 (0.040), fid156-test[efficientnet-lite0,antialias] 139:
    colour and shading are the target's, textures are not clean yet. With patches of 70 px FID 172,
    and speckles.
    """
    return _pix2pix(
        "pix2pix-unet",
        Data("emoji_pairs", resolution=64, channels=3, flip=True),
        width=32,
        field=16,
        batch_size=4,
        run=Run(
            kimg=24.0,
            sample_kimg=4.0,
            checkpoint_kimg=8.0,
            metrics=("pairs", "fid"),
            metric_samples=1000,
        ),
    )


def facades() -> Experiment:
    """Label maps to facades at 256 px, the paper's batch 1 (400 pairs; a folder from its authors).

    Say --data.path of the unpacked `facades` folder, side-by-side pictures; its authors train from
    right to left. Not measured.
    """
    return _pix2pix(
        "pix2pix-facades",
        Data("pairs", resolution=256, channels=3, flip=True, direction="y2x", jitter=30),
        width=64,
        batch_size=1,
        run=Run(kimg=80.0, sample_kimg=4.0, checkpoint_kimg=10.0, metrics=("pairs",)),
    )


def facades_128() -> Experiment:
    """`facades` at half the resolution and half the width, for two cores.

    Measured 2026-12-01 with these values, seed 0, 18 of 40 kimg (45 epochs; the paper has 200) in
    45.3 minutes at the run's median pace, on a share of a core (results/pix2pix-facades.json):
    walls, windows and balconies stand where the labels say; colours are few, and surfaces show a
    fine grid. Between checkpoints KID in hed-vgg16 varies more than twofold. On the 106 held-out
    pairs L1 0.182, PSNR 12.7 dB, SSIM 0.25, perceptual distance 6.70, KID 0.256,
    fid106-test[efficientnet-lite0,antialias] 192; KID in hed-vgg16 6456. The labels themselves have
    L1 0.399 and KID 0.664; plain pictures of the mean colour L1 0.188, perceptual distance 8.94,
    and KID 0.383 and 8641.
    """
    changes = {
        "name": "pix2pix-facades-128",
        "data.resolution": 128,
        "data.jitter": 15,
        "generator.network.width": 32,
        "discriminator.network.width": 32,
        "run.kimg": 40.0,
        "run.sample_kimg": 2.0,
        "run.checkpoint_kimg": 4.0,
    }
    return change(facades(), changes)


def edges2shoes() -> Experiment:
    """Edges to shoes at 256 px, batch 4 (50,000 pairs): say --data.path. Not measured."""
    return _pix2pix(
        "pix2pix-edges2shoes",
        Data("pairs", resolution=256, channels=3, flip=True, jitter=30),
        width=64,
        batch_size=4,
        run=Run(kimg=750.0, sample_kimg=20.0, checkpoint_kimg=50.0, metrics=("pairs",)),
    )


def folder() -> Experiment:
    """Your own pairs at 256 px, batch 1: say --data.path of a folder or zip. Not measured.

    Two folders, A/ (input) and B/ (target), whose files go together by name, or pictures with
    input and target side by side; --data.direction y2x exchanges them.
    """
    return _pix2pix(
        "pix2pix-folder",
        Data("pairs", resolution=256, channels=3, flip=True, jitter=30),
        width=64,
        batch_size=1,
        run=Run(kimg=80.0, sample_kimg=4.0, checkpoint_kimg=10.0, metrics=("pairs",)),
    )


def _pix2pix(
    name: str, data: Data, *, width: int, batch_size: int, run: Run, field: Literal[16, 70] = 70
) -> Experiment:
    """Section 3 and appendix 6.2: U-Net, 70x70 patches, Adam 2e-4 with beta1 0.5, L1 times 100.

    Batch norm, with the test picture's own statistics where a batch is one picture.
    """
    statistics = "picture" if batch_size == 1 else "running"
    return Experiment(
        name,
        Player(network=Unet(width=width, norm="batch"), lr=2e-4, betas=(0.5, 0.999)),
        Player(
            network=PatchGan(width=width, receptive_field=field, norm="batch"),
            lr=2e-4,
            betas=(0.5, 0.999),
        ),
        Pix2Pix(statistics=statistics),
        data,
        batch_size=batch_size,
        run=run,
    )
