"""The one-player game beside the two-player one: variational autoencoders.

`python scripts/train.py experiments/vae.py:NAME`; the comparison with GANs is the table
`experiments/ablations/gan_vs_vae.py`.
"""

from gan_jax.config import Data, Dcgan, Experiment, Player, Run, Vae


def fashion_mnist() -> Experiment:
    """Garments at 28 px, Gaussian likelihood; DCGAN's generator decodes.

    2026-11-27, 4 minutes on one core: reconstructions are good (off by 0.039 of the range), samples
    from the prior are torn garments: fid5k-train9k[fashion-cnn-28px,antialias] 412, precision 0.31,
    recall 0.71; 6.70 bits per dimension.
    """
    return _vae("vae-fashion-mnist", Data("fashion_mnist_10k"), Vae("gaussian"))


def bernoulli() -> Experiment:
    """The same with the textbook's cross-entropy of grey levels.

    2026-11-27, 4 minutes on one core: blurred garments, a sixth of the real ones' fine detail;
    fid5k-train9k[fashion-cnn-28px,antialias] 169, precision 0.73, recall 0.35.
    """
    return _vae("vae-bernoulli", Data("fashion_mnist_10k"), Vae("bernoulli"))


def emoji() -> Experiment:
    """Emoji at 32 px, Gaussian likelihood.

    2026-11-27, 5 minutes on one core: it fits its 1,482 pictures rather than emoji. The bound of
    held-out ones, 7.21 bits per dimension, is worse than a narrower VAE's after 150 kimg (7.13,
    `ablations/gan_vs_vae-emoji.md`); fid1k-train1482[efficientnet-lite0,antialias] 217, precision
    0.06, recall 0.
    """
    data = Data("emoji_noto", resolution=32, channels=3)
    return _vae("vae-emoji", data, Vae("gaussian"))


def _vae(name: str, data: Data, game: Vae) -> Experiment:
    player = Player(network=Dcgan(width=32), lr=1e-3, betas=(0.9, 0.999))
    features = "fashion-cnn" if data.resolution == 28 else "efficientnet-lite0"
    run = Run(
        kimg=400.0,
        sample_kimg=20.0,
        checkpoint_kimg=80.0,
        metrics=("bounds", "fid", "kid", "prdc", "sharpness"),
        metric_samples=5000 if data.resolution == 28 else 1000,
        features=features,
    )
    return Experiment(name, player, player, game, data, batch_size=64, run=run)
