"""Who moves when, and how fast: the order of play with everything else equal.

On `dcgan.py:ablation_base`, the quickstart half as wide with the label beside x and z. Every row
sees as many real images, so a row with more moves of the discriminator has fewer of the generator.
Two time scales: Heusel et al. 2017 (arXiv:1706.08500); optimism: Daskalakis et al. 2018
(arXiv:1711.00141).

Measured 2026-11-29, three seeds, about a minute a run on one CPU core beside other work
(alternation.md). At an equal number of real images, alternating moves have a FID of 21.3 +- 0.8,
optimistic Adam 21.9 +- 1.5, simultaneous moves 24.4 +- 2.6. A second move of the discriminator for
each of the generator costs quality (33), five cost more (81), and so do two time scales, whichever
player is the slower: 52 with a slow generator, 42 with a slow discriminator, which has the highest
precision and a low recall.

    gan-jax ablate alternation run
    gan-jax table alternation
"""

from pathlib import Path

from gan_jax.config import ablation, change, recipe

NARROW = f"{Path(__file__).parents[1]}/dcgan.py:ablation_base"
BASE = change(recipe(NARROW), {"name": "alternation"})

TABLE = ablation(
    BASE,
    {
        "alternating": {},
        "simultaneous": {"game.simultaneous": True},
        "2 discriminator moves": {"game.n_critic": 2},
        "5 discriminator moves": {"game.n_critic": 5},
        "two time scales (D 8e-4, G 2e-4)": {"generator.lr": 2e-4},
        "two time scales (D 2e-4, G 8e-4)": {"discriminator.lr": 2e-4},
        "optimistic Adam": {
            "generator.optimizer": "optimistic_adam",
            "discriminator.optimizer": "optimistic_adam",
        },
    },
    quantities=("fid", "kid", "precision", "recall", "density", "coverage"),
)
