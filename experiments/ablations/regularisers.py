"""What keeps a discriminator's slope in check: nothing, penalties, spectral normalisation.

The question of Kurach et al. 2019 (arXiv:1807.04720), on one backbone without norm in D.

Measured 2026-11-24 with the commands below, about a minute a run on one CPU core
(regularisers.md): at 200 kimg spectral normalisation leads in five of six columns, R1 with R2
follows; R1 alone and the gradient penalty are level with nothing at all, as their use is to keep
later training stable, which so short a run does not show.

    python scripts/ablate.py experiments/ablations/regularisers.py run
    python scripts/table.py experiments/ablations/regularisers.py
"""

from gan_jax.config import Data, Dcgan, Experiment, Gan, Player, Run, ablation

BASE = Experiment(
    "regularisers",
    generator=Player(network=Dcgan(width=16), lr=2e-4, betas=(0.5, 0.999)),
    discriminator=Player(network=Dcgan(width=16, norm="none"), lr=2e-4, betas=(0.5, 0.999)),
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
        "none": {},
        "R1, gamma 1": {"game.r1": 1.0},
        "R1 and R2, gamma 1": {"game.r1": 1.0, "game.r2": 1.0},
        "gradient penalty, lambda 10": {"game.gradient_penalty": 10.0},
        "spectral norm": {"discriminator.network.norm": "spectral"},
    },
    quantities=("fid", "kid", "precision", "recall", "density", "coverage"),
)
