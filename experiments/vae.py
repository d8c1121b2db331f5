"""The one-player game beside the two-player one: variational autoencoders.

`gan-jax train vae:NAME`; the comparison with GANs is the table
`experiments/ablations/gan_vs_vae.py`.
"""

from gan_jax.config import Data, Dcgan, Experiment, Player, Run, Vae, change


def fashion_mnist() -> Experiment:
    """Garments at 28 px, Gaussian likelihood; DCGAN's generator decodes.

    Measured 2026-11-29, seed 0, 4 minutes on one core: fid5k-train9k[fashion-cnn-28px,antialias]
    164, precision 0.67, recall 0.58; reconstructions are off by 0.051 of the range, 7.26 bits per
    dimension. A likelihood of smaller scale explains pictures better and makes worse ones:

                                       FID  precision  recall  bits per dimension
        scale 0.2, z 64, no hidden     412       0.31    0.71                6.70
        scale 0.2, z 16, hidden 512    238       0.66    0.56                6.83
        scale 0.4, z 16, hidden 512    164       0.67    0.58                7.26
    """
    return _garments("vae-fashion-mnist", Vae("gaussian", scale=0.4, z=16))


def bernoulli() -> Experiment:
    """The same with the textbook's cross-entropy of grey levels.

    Measured 2026-11-29, seed 0, 20.9 minutes on a core beside much other work, of which it needs 4
    alone (results/vae-bernoulli.json): clean but blurred, with a fifth of the real images' fine
    detail; fid5k-train9k[fashion-cnn-28px,antialias] 143, precision 0.81, recall 0.33.

    With z 64 FID is 145, precision 0.82, recall 0.29; without hidden layers as well 169, 0.73 and
    0.35.
    """
    return _garments("vae-bernoulli", Vae("bernoulli", z=16))


def emoji() -> Experiment:
    """Emoji at 32 px, Gaussian likelihood.

    2026-11-27, 5 minutes on one core: it fits its 1,482 pictures rather than emoji. The bound of
    held-out ones is 7.21 bits per dimension; fid1k-train1482[efficientnet-lite0,antialias] 217,
    precision 0.06, recall 0.
    """
    data = Data("emoji_noto", resolution=32, channels=3)
    return _vae("vae-emoji", data, Vae("gaussian"))


def _garments(name: str, game: Vae) -> Experiment:
    """With a hidden layer of 512 in both networks."""
    changes = {f"{player}.network.hidden": 512 for player in ("generator", "discriminator")}
    return change(_vae(name, Data("fashion_mnist_10k"), game), changes)


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
