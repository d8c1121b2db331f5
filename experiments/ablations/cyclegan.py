"""What the parts of CycleGAN's loss are for (Zhu et al. 2017, arXiv:1703.10593, tables 4 and 5).

Ink drawings of faces to coloured ones and back at 32 px, no face in both domains; the held-out
twentieth is in true pairs, which only the evaluation sees. The paper's tables are of Cityscapes,
scored by a segmentation network, so no number of theirs stands beside ours.

    gan-jax ablate cyclegan run
    gan-jax table cyclegan

Measured 2026-11-30, three seeds of 20 kimg, three to six minutes a run on a share of one core
(cyclegan.md). Every part is needed: L1 to the hidden counterparts, in colour, is 0.047 with the
whole loss, 0.086 and 0.073 without one of the cycles, 0.23 without both, and 0.33 without the GAN,
where the input comes back (0.031) from colours that are not the domain's. Only the whole loss is
nearer to the counterparts than the drawing itself (0.070); in perceptual distance it is not either
(1.68 beside 1.44).
"""

from gan_jax.config import Cyclegan, Data, Experiment, PatchGan, Player, Resnet, Run, ablation

ADAM = {"lr": 2e-4, "betas": (0.5, 0.999), "decay": (10.0, 20.0)}
BASE = Experiment(
    "cyclegan-losses",
    Player(network=Resnet(width=12, blocks=2), **ADAM),
    Player(network=PatchGan(width=16, receptive_field=16, norm="instance"), **ADAM),
    Cyclegan(identity=0.0),  # as the paper's tables
    Data("faces_ink_colour", resolution=32, channels=3),
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
    },
    quantities=(
        *("x2y_l1_error", "x2y_perceptual", "x2y_kid"),
        *("y2x_l1_error", "y2x_perceptual", "y2x_kid"),
        *("cycle_x", "cycle_y"),
        *("copy_x2y_l1_error", "copy_x2y_perceptual", "copy_x2y_kid"),
        *("matched_x2y_l1_error", "matched_x2y_kid", "matched_y2x_l1_error", "matched_y2x_kid"),
    ),
)
