"""DCGAN (Radford et al. 2016, arXiv:1511.06434).

`python scripts/train.py experiments/dcgan.py:NAME`
"""

from gan_jax.config import Data, Dcgan, Experiment, Gan, Player, Run


def _player(width: int, lr: float = 2e-4) -> Player:
    return Player(network=Dcgan(width=width), lr=lr, betas=(0.5, 0.999))


def quickstart() -> Experiment:
    """Garments of Fashion-MNIST at 28 px from the 9,000 embedded pictures."""
    return Experiment(
        name="dcgan-quickstart",
        generator=_player(64),
        discriminator=_player(64),
        game=Gan(objective="non_saturating", prior="uniform", z=100, ema_kimg=10.0),
        data=Data(name="fashion_mnist_10k", resolution=28, channels=1),
        batch_size=64,
        run=Run(kimg=300, sample_kimg=10.0, checkpoint_kimg=50.0),
    )
