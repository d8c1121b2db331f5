"""What pix2pix's losses and patches are for (Isola et al. 2017, arXiv:1611.07004, 4.1-4.4).

Flat emoji to 3D emoji at 32 px; 1,406 pairs to train, 156 held out. The paper's tables are of
Cityscapes labels to photos and score classes, so no number of theirs stands beside ours.

Not measured. A table of runs of 12 kimg was taken out: it compared beginnings, in which L1 alone is
ahead in every column.

    gan-jax ablate pix2pix run
    gan-jax table pix2pix
"""

from gan_jax.config import Data, Experiment, PatchGan, Pix2Pix, Player, Run, Unet, ablation

BASE = Experiment(
    "pix2pix-losses",
    Player(network=Unet(width=16), lr=2e-4, betas=(0.5, 0.999)),
    Player(network=PatchGan(width=16, receptive_field=16), lr=2e-4, betas=(0.5, 0.999)),
    Pix2Pix(),
    Data("emoji_pairs", resolution=32, channels=3, flip=True),
    batch_size=4,
    run=Run(
        kimg=12.0,
        log_every=200,
        sample_kimg=0.0,
        checkpoint_kimg=0.0,
        metrics=("pairs", "fid"),
        metric_samples=1000,
        keep=1,
    ),
)

TABLE = ablation(
    BASE,
    {
        "L1 + cGAN, patches of 16": {},
        "L1 alone": {"game.adversarial": 0.0},
        "cGAN alone": {"game.l1": 0.0},
        "L1 + GAN (D does not see the input)": {"game.conditional": False},
        "L1 + cGAN, pixels": {"discriminator.network.receptive_field": 1},
        "L1 + cGAN, patches of 70": {"discriminator.network.receptive_field": 70},
        "L1 + cGAN, no skips": {"generator.network.skip": False},
    },
    quantities=("l1_error", "psnr", "ssim", "perceptual", "kid", "fid"),
)
