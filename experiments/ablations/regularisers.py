"""What keeps a discriminator's slope in check: nothing, penalties, spectral normalisation.

The question of Kurach et al. 2019 (arXiv:1807.04720), on `dcgan.py:ablation_base`, the quickstart
half as wide with the label beside x and z, without norm and R1 in D.

Not measured at a budget that decides it. 2026-11-29, three seeds of 128 kimg: nothing at all is
ahead (FID 81; gradient penalty 94, spectral norm 109, R1 113, R1 and R2 120), since it learns
fastest at first, and batch norm on the same budget has 21. Such runs compare beginnings: give them
1,000 kimg or more.

    gan-jax ablate regularisers run
    gan-jax table regularisers
"""

from pathlib import Path

from gan_jax.config import ablation, change, recipe

NARROW = f"{Path(__file__).parents[1]}/dcgan.py:ablation_base"
BASE = change(
    recipe(NARROW),
    {
        "name": "regularisers",
        "discriminator.network.norm": "none",
        "game.r1": 0.0,
        "game.penalty_every": 1,
    },
)

TABLE = ablation(
    BASE,
    {
        "none": {},
        "R1, gamma 1": {"game.r1": 1.0},
        "R1 and R2, gamma 1": {"game.r1": 1.0, "game.r2": 1.0},
        "gradient penalty, lambda 10": {"game.gradient_penalty": 10.0},
        "spectral norm": {"discriminator.network.norm": "spectral"},
    },
    quantities=("fid", "kid", "precision", "recall", "density", "coverage"),
)
