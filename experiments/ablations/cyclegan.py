"""What the parts of CycleGAN's loss are for (Zhu et al. 2017, arXiv:1703.10593, tables 4 and 5).

Google's emoji to Twitter's and back at 32 px, no emoji in both domains; the held-out tenth is in
true pairs, which only the evaluation sees. The paper's tables are of Cityscapes, scored by a
segmentation network, so no number of theirs stands beside ours.

    gan-jax ablate cyclegan run
    gan-jax table cyclegan

Not measured. A table of runs of 20 kimg was taken out: it compared beginnings, and no row of it
beat copying the input.
"""

from gan_jax.config import Cyclegan, Data, Experiment, PatchGan, Player, Resnet, Run, ablation

ADAM = {"lr": 2e-4, "betas": (0.5, 0.999), "decay": (10.0, 20.0)}
BASE = Experiment(
    "cyclegan-losses",
    Player(network=Resnet(width=12, blocks=2), **ADAM),
    Player(network=PatchGan(width=16, receptive_field=16, norm="instance"), **ADAM),
    Cyclegan(identity=0.0),  # as the paper's tables
    Data("emoji_noto_twemoji", resolution=32, channels=3, flip=True),
    batch_size=4,
    run=Run(
        kimg=20.0,
        log_every=50,
        sample_kimg=0.0,
        checkpoint_kimg=0.0,
        metrics=("translations",),
        keep=1,
    ),
)

TABLE = ablation(
    BASE,
    {
        "CycleGAN": {},
        "cycle alone": {"game.adversarial": 0.0},
        "GAN alone": {"game.cycle": (0.0, 0.0)},
        "GAN + forward cycle": {"game.cycle": (10.0, 0.0)},
        "GAN + backward cycle": {"game.cycle": (0.0, 10.0)},
        "CycleGAN + identity": {"game.identity": 5.0},
        "CycleGAN without pool": {"game.pool": 0},
    },
    quantities=(
        *("x2y_l1_error", "x2y_perceptual", "x2y_kid"),
        *("y2x_l1_error", "y2x_perceptual", "y2x_kid"),
        *("cycle_x", "cycle_y"),
        *("copy_x2y_perceptual", "copy_x2y_kid", "matched_x2y_perceptual", "matched_x2y_kid"),
    ),
)
