"""The basic GAN (Goodfellow et al. 2014, arXiv:1406.2661) with perceptrons.

`python scripts/train.py experiments/gan.py:NAME`
"""

from gan_jax.config import Data, Experiment, Gan, Mlp, Player, Run


def _mixture(name: str, data: str, objective: str = "non_saturating", **game: float) -> Experiment:
    player = Player(network=Mlp((128, 128)), lr=1e-3, betas=(0.5, 0.999))
    return Experiment(
        name=name,
        generator=player,
        discriminator=player,
        game=Gan(objective=objective, z=16, **game),  # pyright: ignore[reportArgumentType]
        data=Data(name=data),
        batch_size=256,
        run=Run(
            kimg=2560.0,
            log_every=50,
            sample_kimg=256.0,
            checkpoint_kimg=0.0,
            evaluate_kimg=256.0,
            metrics=("mode_coverage",),
            best="high_quality",
        ),
    )


def ring8() -> Experiment:
    """Eight Gaussians on a ring, non-saturating with R1."""
    return _mixture("gan-ring8", "toy/ring8", r1=1.0)
