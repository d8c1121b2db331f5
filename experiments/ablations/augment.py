"""Few pictures: what a discriminator's augmentation does against learning them by heart.

A DCGAN sees 500 garments for 768 epochs: as they are, moved and cut (DiffAugment, Zhao et al. 2020,
arXiv:2006.10738, without its colours, which would hide shades of grey), and through ADA's
transforms with an adaptive probability (Karras et al. 2020, arXiv:2006.06676). ADA's control keeps
the paper's target and moves ten times as fast (50 kimg from 0 to 1), as the run is short. The
distances are to the 500 pictures, but `held_out_kid` is to 1,000 others and `kid_gap` is the
difference: what was learned by heart.

Measured 2026-11-30, three seeds of 384 kimg, of ADA one (augment.md). Without augmentation
nothing is learned by heart yet: samples are no further from held-out pictures than from the 500.
DiffAugment is not ahead of it (held-out KID 82 beside 69, with a spread of 46), and its recall is
lower. ADA's one run has 47.

    gan-jax ablate augment run
    gan-jax table augment
"""

from pathlib import Path

from gan_jax.config import ablation, change, recipe

NARROW = f"{Path(__file__).parents[1]}/dcgan.py:ablation_base"
BASE = change(
    recipe(NARROW),
    {
        "name": "augment",
        "data.split": "train[:500]",
        "run.kimg": 384.0,
        "run.metrics": ("held_out", "kid", "prdc"),
        "game.ada_kimg": 50.0,
    },
)

TABLE = ablation(
    BASE,
    {
        "none": {},
        "DiffAugment": {"game.augment": "translation_cutout"},
        "ADA": {"game.augment": "ada"},
    },
    quantities=("held_out_kid", "kid_gap", "kid", "precision", "recall", "density", "coverage"),
)
