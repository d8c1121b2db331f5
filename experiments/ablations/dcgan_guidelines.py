"""The guidelines of the DCGAN paper (Radford et al. 2016, arXiv:1511.06434), undone one at a time.

Measured 2026-11-24 with the commands below, about a minute a run on one CPU core
(dcgan_guidelines.md). At 28 px and 200 kimg most guidelines earn their place: FID rises from
195 +- 23 without batch norm (540), with tanh (447), with beta1 0.9 (342), with norms at the ends
(271), and with ReLU in D one seed of three never learned, the others being level. Two do
not: pooling is level with striding (162 +- 8), and a hidden dense layer, which the paper removes,
more than halves the FID (88 +- 5) at the price of recall.

    python scripts/ablate.py experiments/ablations/dcgan_guidelines.py run
    python scripts/table.py experiments/ablations/dcgan_guidelines.py
"""

from gan_jax.config import Data, Dcgan, Experiment, Gan, Player, Run, ablation

PLAYER = Player(network=Dcgan(width=16), lr=2e-4, betas=(0.5, 0.999))
BASE = Experiment(
    "dcgan-guidelines",
    generator=PLAYER,
    discriminator=PLAYER,
    game=Gan(objective="non_saturating", prior="uniform", z=100),
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
BOTH = ("generator", "discriminator")

TABLE = ablation(
    BASE,
    {
        "DCGAN": {},
        "pooling and repetition instead of strides": {
            f"{player}.network.resample": "pooled" for player in BOTH
        },
        "no batch norm": {f"{player}.network.norm": "none" for player in BOTH},
        "batch norm also on G's output, D's input": {
            f"{player}.network.norm": "batch_everywhere" for player in BOTH
        },
        "a hidden dense layer of 256 in each": {f"{player}.network.hidden": 256 for player in BOTH},
        "ReLU in D": {"discriminator.network.activation": "relu"},
        "tanh in G's hidden layers": {"generator.network.activation": "tanh"},
        "Adam's beta1 0.9": {f"{player}.betas": (0.9, 0.999) for player in BOTH},
    },
    quantities=("fid", "kid", "precision", "recall", "density", "coverage"),
)
