"""Class-conditional GANs (Mirza & Osindero 2014, arXiv:1411.1784, and what came after).

`gan-jax train cgan:NAME`
"""

import dataclasses

from gan_jax.config import Data, Dcgan, Experiment, Gan, Mlp, Player, Run


def textbook() -> Experiment:
    """Perceptrons that see the label's one-hot vector beside z and beside the picture.

    2026-11-27, 75 seconds on one core: grainy, but a row a class; 54 % of 5,000 samples show the
    class asked for, according to a classifier that is right on 92 % of real pictures;
    fid5k-train9k[fashion-cnn-28px,antialias] 360, precision 0.67, recall 0.01.
    """
    player = Player(network=Mlp((256, 256)), lr=2e-4, betas=(0.5, 0.999))
    return Experiment(
        "cgan-textbook",
        player,
        player,
        Gan(condition="concat", classes=10, z=64),
        Data("fashion_mnist_10k", resolution=28, channels=1),
        run=_run(400.0),
    )


def fashion_mnist() -> Experiment:
    """Garments of a class on demand: projection and auxiliary classifier together.

    `dcgan.py:quickstart` twice as long, with R1 0.1 and z normal of 64 numbers.

    Measured 2026-11-29, seed 0, 12.3 minutes on one core (results/cgan-fashion-mnist.json): 92.9 %
    of 5,000 samples show the class asked for, according to a classifier that is right on 92.0 % of
    real images; fid5k-train9k[fashion-cnn-28px,antialias] 4.5, within classes 20, precision 0.80,
    recall 0.76.

    What was tried, the label beside x and z in place of both: FID 6.1, within classes 23, precision
    0.82, recall 0.73, 89.4 %. With a projection, conditional batch norm and a quarter of the rate:
    69, 148, 0.67, 0.60, and 74 % (400 kimg).
    """
    generator, discriminator = _tuned(32)
    return Experiment(
        "cgan-fashion-mnist",
        generator,
        discriminator,
        Gan(
            condition="projection+auxiliary",
            classes=10,
            z=64,
            r1=0.1,
            penalty_every=4,
            ema_kimg=10.0,
        ),
        Data("fashion_mnist_10k", resolution=28, channels=1),
        run=_run(480.0),
    )


def emoji() -> Experiment:
    """Emoji at 32 px by Unicode's group, of which Noto draws all nine.

    Measured 2026-11-29, seed 0, 9 minutes on one core beside other work: 58 % of 1,000 samples show
    the group asked for, according to a small network trained on pixels (not today's classifier of
    `label_accuracy`) that is right on 64 % of held-out images (one of nine is chance);
    fid1k-train1482[efficientnet-lite0,antialias] 145, precision 0.36, recall 0. Each group is
    recognised by eye, few single emoji are. All with DiffAugment and 200 kimg:

                                                     seen as asked  FID  precision
        auxiliary classifier, plain DCGAN                     29 %  173       0.19
        the same; D hidden 512, rate 8e-4, R1 0.1             60 %  193       0.20
        this: G of repeated pixels, rate 4e-4                 58 %  145       0.36
        label beside x and z; D hidden 512, R1 0.1            21 %  265       0.10
    """
    generator = Dcgan(width=32, resample="pooled")
    return Experiment(
        "cgan-emoji",
        dataclasses.replace(_player(32), network=generator, lr=4e-4),
        _tuned(32)[1],
        Gan(
            condition="auxiliary",
            classes=9,
            z=64,
            r1=0.1,
            penalty_every=4,
            ema_kimg=10.0,
            augment="diffaugment",
        ),
        Data("emoji_noto", resolution=32, channels=3, flip=True),
        run=Run(
            kimg=200.0,
            sample_kimg=20.0,
            checkpoint_kimg=80.0,
            metrics=("label_accuracy", "fid", "kid", "prdc"),
            metric_samples=1000,
        ),
    )


def cifar10() -> Experiment:
    """CIFAR-10 at 32 px by class, hinge and spectral norm (Miyato & Koyama 2018). Not measured."""
    return Experiment(
        "cgan-cifar10",
        Player(network=Dcgan(width=128), lr=2e-4, betas=(0.0, 0.9)),
        Player(network=Dcgan(width=128, norm="spectral"), lr=2e-4, betas=(0.0, 0.9)),
        Gan(
            "hinge",
            condition="projection",
            conditional_norm=True,
            classes=10,
            z=128,
            n_critic=5,
            ema_kimg=500.0,
        ),
        Data("cifar10", resolution=32, channels=3, flip=True),
        run=Run(
            kimg=30000.0,
            sample_kimg=500.0,
            checkpoint_kimg=1000.0,
            evaluate_kimg=2000.0,
            metrics=("fid", "intra_fid"),
        ),
    )


def folder() -> Experiment:
    """Your own pictures by class at 64 px: say --data.path of a folder or zip. Not measured.

    Every picture lies in a sub-folder that is named after its class, or in one of train/ and test/;
    the classes are counted. `gan-jax sample RUN --labels NAME ...` draws some of them.
    """
    return Experiment(
        "cgan-folder",
        *_tuned(64),
        Gan(condition="concat", r1=0.1, penalty_every=4, ema_kimg=10.0),
        Data("folder", resolution=64, channels=3, flip=True),
        run=Run(kimg=5000.0, sample_kimg=200.0, checkpoint_kimg=500.0),
    )


def _player(width: int) -> Player:
    return Player(network=Dcgan(width=width), lr=2e-4, betas=(0.5, 0.999))


def _tuned(width: int) -> tuple[Player, Player]:
    """Generator and discriminator as in `dcgan.py:quickstart`."""
    player = Player(network=Dcgan(width=width), lr=8e-4, betas=(0.5, 0.999))
    return player, dataclasses.replace(player, network=Dcgan(width=width, hidden=512))


def _run(kimg: float) -> Run:
    return Run(
        kimg=kimg,
        sample_kimg=20.0,
        checkpoint_kimg=80.0,
        metrics=("label_accuracy", "intra_fid", "fid", "kid", "prdc"),
        metric_samples=5000,
        features="fashion-cnn",
    )
