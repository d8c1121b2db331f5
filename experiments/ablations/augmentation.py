"""Augmentation: does generated data help a classifier that has few real pictures.

In each row a conditional GAN sees the named number of labelled pictures and no other; then one
classifier each learns from those pictures, from 5,000 samples, and from both in equal parts, for
as many steps, and is judged on the 1,000 held-out pictures.

2026-11-24, three seeds: beside 100 real pictures samples change nothing beyond the noise (0.631 to
0.637), beside 500 they harm (0.796 to 0.783), beside 2,000 they help a little (0.834 to 0.842);
alone they are worth less than the pictures that the GAN saw. `accuracy_real` has no spread: its
classifier and its pictures are the same in every seed.

    python scripts/ablate.py experiments/ablations/augmentation.py run
    python scripts/table.py experiments/ablations/augmentation.py
"""

from gan_jax.config import Data, Dcgan, Experiment, Gan, Player, Run, ablation

PLAYER = Player(network=Dcgan(width=16), lr=2e-4, betas=(0.5, 0.999))
BASE = Experiment(
    "augmentation",
    generator=PLAYER,
    discriminator=PLAYER,
    game=Gan(condition="auxiliary", classes=10, z=64),
    data=Data("fashion_mnist_10k", split="train[:100]"),
    batch_size=64,
    run=Run(
        kimg=200.0,
        log_every=50,
        sample_kimg=0.0,
        checkpoint_kimg=0.0,
        metrics=("augmentation", "label_accuracy"),
        metric_samples=5000,
        keep=1,
    ),
)

TABLE = ablation(
    BASE,
    {
        "100 real pictures": {},
        "500 real pictures": {"data.split": "train[:500]"},
        "2,000 real pictures": {"data.split": "train[:2000]"},
    },
    quantities=("accuracy_real", "accuracy_both", "accuracy_generated", "label_accuracy"),
)
