"""SAN's sliced last layer (Takida et al. 2024, arXiv:2301.12811): its direction trained apart.

On the quickstart, half as wide, under two objectives. Not measured.

    python scripts/ablate.py experiments/ablations/slicing.py run
    python scripts/table.py experiments/ablations/slicing.py
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
