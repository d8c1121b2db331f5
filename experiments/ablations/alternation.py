"""Who moves when, and how fast: the order of play with everything else equal.

Every row sees as many real images, so a row with more critic moves has fewer generator moves.
Two time scales: Heusel et al. 2017 (arXiv:1706.08500); optimism: Daskalakis et al. 2018
(arXiv:1711.00141).

Measured 2026-11-24 with the commands below, about a minute a run on one CPU core (alternation.md):
one move each is best at equal real images; alternating, simultaneous and optimistic play are
within each other's spread (FID 189 to 204), and every critic move taken from the generator costs
quality at this budget.

    python scripts/ablate.py experiments/ablations/alternation.py run
    python scripts/table.py experiments/ablations/alternation.py
"""

from gan_jax.config import Data, Dcgan, Experiment, Gan, Player, Run, ablation

PLAYER = Player(network=Dcgan(width=16), lr=2e-4, betas=(0.5, 0.999))
BASE = Experiment(
    "alternation",
    generator=PLAYER,
    discriminator=PLAYER,
    game=Gan(objective="non_saturating", prior="normal", z=64),
    data=Data("fashion_mnist_10k", resolution=28, channels=1),
    batch_size=64,
    run=Run(
        kimg=200.0,
        log_every=50,
        sample_kimg=0.0,
        checkpoint_kimg=0.0,
        metrics=("fid", "kid", "prdc"),
        metric_samples=5000,
        features="fashion-cnn",
        keep=1,
    ),
)

TABLE = ablation(
    BASE,
    {
        "alternating": {},
        "simultaneous": {"game.simultaneous": True},
        "2 critic moves": {"game.n_critic": 2},
        "5 critic moves": {"game.n_critic": 5},
        "two time scales (D 4e-4, G 1e-4)": {"discriminator.lr": 4e-4, "generator.lr": 1e-4},
        "optimistic Adam": {
            "generator.optimizer": "optimistic_adam",
            "discriminator.optimizer": "optimistic_adam",
        },
    },
    quantities=("fid", "kid", "precision", "recall", "density", "coverage"),
)
