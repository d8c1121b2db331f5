"""The basic GAN (Goodfellow et al. 2014, arXiv:1406.2661) with perceptrons.

`gan-jax train gan:NAME`
"""

from gan_jax.config import Anneal, Data, Experiment, Gan, Mlp, Player, Run


def _mixture(
    name: str, data: str, game: Gan, *, widths: tuple[int, ...] = (128, 128), kimg: float = 2560.0
) -> Experiment:
    player = Player(network=Mlp(widths), lr=1e-3, betas=(0.5, 0.999))
    run = Run(
        kimg=kimg,
        log_every=50,
        sample_kimg=128.0,
        checkpoint_kimg=0.0,
        evaluate_kimg=256.0,
        metrics=("mode_coverage",),
        best="high_quality",
    )
    return Experiment(name, player, player, game, Data(data), batch_size=256, run=run)


def ring8() -> Experiment:
    """Eight Gaussians on a ring (Metz et al. 2017, arXiv:1611.02163), non-saturating with R1.

    Measured 2026-11-23 on 2 CPU cores, seed 0: 8 of 8 modes, 90.2 % of 2,500 samples within three
    standard deviations of one; 1 minute.
    """
    return _mixture("gan-ring8", "toy/ring8", Gan(z=16, r1=0.1, ema_kimg=20.0))


def ring8_collapse() -> Experiment:
    """The same ring without R1: a generator that loses modes.

    Measured 2026-11-23 on 2 CPU cores, seed 0: 6 of 8 modes, 90.4 % near one; 1 minute.
    """
    return _mixture("gan-ring8-collapse", "toy/ring8", Gan(z=16, ema_kimg=20.0))


def grid25() -> Experiment:
    """Twenty-five Gaussians on a grid (Srivastava et al. 2017, arXiv:1705.07761), with R1.

    Wider and deeper than the ring's, with a rate that falls to a twentieth and a penalty that falls
    to a tenth: with the ring's own settings and length 3.5 % of the samples came near a mode.
    Measured 2026-11-28, seed 0: 25 of 25 modes, 85.2 % of the samples near one; 9 minutes on one
    core that did other work beside.
    """
    game = Gan(z=16, r1=0.05, ema_kimg=20.0, anneal=Anneal(kimg=5120.0, lr=0.05, gamma=0.1))
    return _mixture("gan-grid25", "toy/grid25", game, widths=(256, 256, 256), kimg=5120.0)


def fashion_mnist() -> Experiment:
    """Garments by the textbook's perceptrons, on the embedded 9,000 pictures of Fashion-MNIST.

    Measured 2026-11-28, seed 0, 10 minutes on one core that did other work beside: garments to be
    told apart but grainy, as perceptrons draw them; fid5k-train9k[fashion-cnn-28px,antialias] 140,
    precision 0.82, recall 0.28.
    """
    return Experiment(
        "gan-fashion-mnist",
        generator=Player(network=Mlp((256, 512)), lr=2e-4, betas=(0.5, 0.999)),
        discriminator=Player(network=Mlp((512, 256)), lr=2e-4, betas=(0.5, 0.999)),
        game=Gan(objective="non_saturating", z=64, ema_kimg=10.0),
        data=Data("fashion_mnist_10k", resolution=28, channels=1),
        batch_size=64,
        run=Run(
            kimg=1000.0,
            log_every=50,
            sample_kimg=20.0,
            checkpoint_kimg=200.0,
            metrics=("fid", "kid", "prdc"),
            metric_samples=5000,
            features="fashion-cnn",
        ),
    )
