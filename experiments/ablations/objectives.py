"""Does any objective beat the non-saturating one consistently? Six objectives, one architecture.

The question of Lucic et al. 2018 (arXiv:1711.10337), whose answer is no. The discriminator is
spectrally normalised in every row, so that the Wasserstein critic, too, has a bounded slope.

Measured 2026-11-24 with the commands below, about a minute a run on one CPU core (objectives.md;
read in notebooks/04): in FID none does, five of the six lie within each other's spread over seeds
(319 to 355), and Wasserstein is behind in every pair of seeds (457 +- 27). Least squares has the
best mean in every column, but beats the non-saturating one in all nine pairs of seeds in coverage
alone. The budget is short: these are pictures at 200 kimg, not at convergence.

    python scripts/ablate.py experiments/ablations/objectives.py run
    python scripts/table.py experiments/ablations/objectives.py
"""

from gan_jax.config import Data, Dcgan, Experiment, Gan, Player, Run, ablation

BASE = Experiment(
    "objectives",
    generator=Player(network=Dcgan(width=16), lr=2e-4, betas=(0.5, 0.999)),
    discriminator=Player(network=Dcgan(width=16, norm="spectral"), lr=2e-4, betas=(0.5, 0.999)),
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
        "non-saturating": {},
        "minimax (saturating)": {"game.objective": "minimax"},
        "least squares": {"game.objective": "least_squares"},
        "hinge": {"game.objective": "hinge"},
        "Wasserstein": {"game.objective": "wasserstein"},
        "relativistic pairing": {"game.objective": "relativistic"},
    },
    quantities=("fid", "kid", "precision", "recall", "density", "coverage"),
)
