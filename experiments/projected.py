"""Projected GAN (Sauer et al. 2021, arXiv:2111.01007): a frozen network before the discriminators.

`python scripts/train.py experiments/projected.py:NAME`

The generator is the light one that the paper uses with it. The discriminators see features of
EfficientNet-Lite0, so a distance between features of that network flatters these generators
(Kynkaanniemi et al. 2023, arXiv:2203.06026).
"""

from gan_jax.config import Data, Experiment, Fastgan, Gan, Player, Projected, Run


def _projected(
    name: str, data: Data, *, width: int, heads: int, resolution: int, batch_size: int, run: Run
) -> Experiment:
    """The authors' settings: hinge, Adam of 2e-4 with betas (0, 0.99), DiffAugment, z of 256."""
    return Experiment(
        name,
        Player(Fastgan(width=width), lr=2e-4, betas=(0.0, 0.99)),
        Player(Projected(width=heads, resolution=resolution), lr=2e-4, betas=(0.0, 0.99)),
        Gan("hinge", z=256, ema_kimg=20.0, augment="diffaugment"),
        data,
        batch_size=batch_size,
        run=run,
    )


def avatars() -> Experiment:
    """Drawn faces (open-peeps) at 64 px."""
    return _projected(
        "projected-avatars",
        Data("avatars", resolution=64, channels=3, flip=True),
        width=16,
        heads=32,
        resolution=128,
        batch_size=32,
        run=Run(
            kimg=200.0,
            sample_kimg=4.0,
            checkpoint_kimg=20.0,
            metrics=("fid", "kid", "prdc"),
            metric_samples=2000,
        ),
    )
