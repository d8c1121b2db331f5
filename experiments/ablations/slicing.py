"""SAN's sliced last layer (Takida et al. 2024, arXiv:2301.12811): its direction trained apart.

On `dcgan.py:ablation_base`, the quickstart half as wide with the label beside x and z, under two
objectives. Measured 2026-11-30, two seeds: level in FID under both; KID is ahead with slicing under
both, by little more than its spread.

    gan-jax ablate slicing run
    gan-jax table slicing
"""

from pathlib import Path

from gan_jax.config import ablation, change, recipe

NARROW = f"{Path(__file__).parents[1]}/dcgan.py:ablation_base"
BASE = change(recipe(NARROW), {"name": "slicing"})

TABLE = ablation(
    BASE,
    {
        "non-saturating": {},
        "non-saturating, sliced": {"game.slicing": True},
        "hinge": {"game.objective": "hinge"},
        "hinge, sliced": {"game.objective": "hinge", "game.slicing": True},
    },
    quantities=("fid", "kid", "precision", "recall", "density", "coverage"),
)
