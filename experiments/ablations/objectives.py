"""Does any objective beat the non-saturating one consistently? Six objectives, one architecture.

The question of Lucic et al. 2018 (arXiv:1711.10337), whose answer is no, on the quickstart, half as
wide, with its light R1. The Wasserstein critic has a gradient penalty in place of R1 and batch norm
(Gulrajani et al. 2017, arXiv:1704.00028).

Not measured. A table of shorter runs on an untuned base was taken out: it compared beginnings
(FID 319 to 457).

    python scripts/ablate.py experiments/ablations/objectives.py run
    python scripts/table.py experiments/ablations/objectives.py
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
