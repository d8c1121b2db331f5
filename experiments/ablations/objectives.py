"""Does any objective beat the non-saturating one consistently? Six objectives, one architecture.

The question of Lucic et al. 2018 (arXiv:1711.10337), whose answer is no, on
`dcgan.py:ablation_base`, the quickstart half as wide with the label beside x and z, with its light
R1. The Wasserstein critic has a gradient penalty in place of R1 and batch norm (Gulrajani et al.
2017, arXiv:1704.00028).

Measured 2026-11-29, three seeds, 128 kimg and 1.3 minutes a run on one CPU core (objectives.md):
the answer is no here, too. FID is 20.7 to 23.6 for four objectives, within the spread of the seeds;
least squares is behind (29.0), and the Wasserstein critic, with a single move a round and no norm,
far (160; 244 with Gulrajani et al.'s rate of 2e-4 and betas of 0 and 0.9): the base was tuned for
the non-saturating objective.

    gan-jax ablate objectives run
    gan-jax table objectives
"""

from pathlib import Path

from gan_jax.config import ablation, change, recipe

NARROW = f"{Path(__file__).parents[1]}/dcgan.py:ablation_base"
BASE = change(recipe(NARROW), {"name": "objectives"})

TABLE = ablation(
    BASE,
    {
        "non-saturating": {},
        "minimax (saturating)": {"game.objective": "minimax"},
        "least squares": {"game.objective": "least_squares"},
        "hinge": {"game.objective": "hinge"},
        "Wasserstein, gradient penalty": {
            "game.objective": "wasserstein",
            "game.r1": 0.0,
            "game.gradient_penalty": 10.0,
            "game.penalty_every": 1,
            "discriminator.network.norm": "none",
        },
        "relativistic pairing": {"game.objective": "relativistic"},
    },
    quantities=("fid", "kid", "precision", "recall", "density", "coverage"),
)
