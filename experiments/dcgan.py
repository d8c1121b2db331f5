"""DCGAN (Radford et al. 2016, arXiv:1511.06434).

`gan-jax train dcgan:NAME`
"""

from gan_jax.config import Data, Dcgan, Experiment, Gan, Player, Run, change


def _dcgan(
    name: str, data: Data, *, width: int = 64, batch_size: int = 128, run: Run
) -> Experiment:
    """The paper's section 4: Adam of rate 2e-4 with beta1 0.5, z uniform of 100 numbers."""
    player = Player(network=Dcgan(width=width), lr=2e-4, betas=(0.5, 0.999))
    game = Gan(objective="non_saturating", prior="uniform", z=100, ema_kimg=10.0)
    return Experiment(name, player, player, game, data, batch_size=batch_size, run=run)


def _garments(name: str) -> Experiment:
    """The paper's DCGAN, half as wide, on the 9,000 embedded training images of Fashion-MNIST."""
    run = Run(
        kimg=240.0,
        sample_kimg=8.0,
        checkpoint_kimg=80.0,
        metrics=("label_accuracy", "fid", "kid", "prdc"),
        metric_samples=5000,
        features="fashion-cnn",
    )
    data = Data("fashion_mnist_10k", resolution=28, channels=1)
    return _dcgan(name, data, width=32, batch_size=64, run=run)


def quickstart() -> Experiment:
    """Garments of ten classes at 28 px from the 9,000 embedded images of Fashion-MNIST, in minutes.

    Two quiet CPU cores train it in 2.9 minutes, 1,400 images/s (2026-11-29, timed over 48 kimg).

    Measured 2026-11-29, three seeds on one shared core each (results/dcgan-quickstart.json):
    fid5k-train9k[fashion-cnn-28px,antialias] 5.8 +- 0.7, precision 0.81 +- 0.01, recall 0.74,
    coverage 0.83; 93.0 % of samples show the class asked for, according to a classifier that is
    right on 92.0 % of real images.

    5,000 other real images have FID 2.7, precision 0.82, recall 0.83 and coverage 0.89.

    What was tried with seed 0; * before averages had a ramp-up:

                                                       kimg  FID  precision  recall
        `plain`                                         400  108       0.50    0.65
        A: hidden layers of 256 in G and D              300   33       0.80    0.50  *
        B: A, the label beside x and z                  300   16       0.84    0.54  *
        C: B, rate 8e-4 instead of 2e-4                 240   16       0.86    0.50
        C, hinge                                        240   18       0.87    0.46
        C, R1 0.05 in every round                       240   14       0.86    0.53
        C, hidden layer in G alone                      240  138       0.83    0.03
        D: C, hidden layer in D alone                   240  9.6       0.78    0.72
        E: D, hidden layer of 512                       240  9.3       0.79    0.70
        E, R1 0.1 in every fourth round                 240  8.5       0.82    0.69
        the same, generator's rate 4e-4                 192  12        0.78    0.68
        the same, R1 0.3                                192  10        0.81    0.70
        F: the same                                     240  8.3       0.83    0.69
        F, batch of 128                                 240  11        0.82    0.69
        this: F, projection and auxiliary classifier    240  6.6       0.81    0.74
        A, projection                                   300 1501       1.00    0.00  *
        A, auxiliary classifier                         300   26       0.88    0.31  *
        C, DiffAugment, rate falling from 150 kimg on   300  183       0.68    0.01  *
        C, rate falling from 150 kimg on                300   16       0.82    0.52  *
    """
    changes = {
        "game.condition": "projection+auxiliary",
        "game.classes": 10,
        "game.r1": 0.3,
        "game.penalty_every": 4,
        "discriminator.network.hidden": 512,
        "generator.lr": 8e-4,
        "discriminator.lr": 8e-4,
    }
    return change(_garments("dcgan-quickstart"), changes)


def ablation_base() -> Experiment:
    """The quickstart half as wide, 128 kimg long, its label beside x and z: the base of ablations.

    Not measured alone.
    """
    changes = {
        "name": "dcgan-ablation",
        "game.condition": "concat",
        "run.kimg": 128.0,
        "generator.network.width": 16,
        "discriminator.network.width": 16,
        "run.log_every": 50,
        "run.sample_kimg": 0.0,
        "run.checkpoint_kimg": 0.0,
        "run.metrics": ("fid", "kid", "prdc"),
        "run.keep": 1,
    }
    return change(quickstart(), changes)


def plain() -> Experiment:
    """The paper's DCGAN without labels on the same images.

    Measured 2026-11-29, seed 0, 6 minutes on one core: fid5k-train9k[fashion-cnn-28px,antialias]
    108, precision 0.50, recall 0.65: many are torn.
    """
    metrics = ("fid", "kid", "prdc")
    return change(_garments("dcgan-plain"), {"run.kimg": 400.0, "run.metrics": metrics})


def fashion_mnist() -> Experiment:
    """All 60,000 training pictures of Fashion-MNIST at 28 px. Not measured.

    `gan-jax prepare-data fashion_mnist` fetches them.
    """
    return _dcgan(
        "dcgan-fashion-mnist",
        Data("fashion_mnist", resolution=28, channels=1),
        run=Run(kimg=3000.0, sample_kimg=100.0, checkpoint_kimg=500.0),
    )


def cifar10() -> Experiment:
    """CIFAR-10 at 32 px. Not measured.

    Others' FID with this architecture, 50,000 samples: 48.29 (StudioGAN), 28.95 +- 0.42 (mimicry,
    10,000 samples): the same method, different code, counts and resizers.
    """
    return _dcgan(
        "dcgan-cifar10",
        Data("cifar10", resolution=32, channels=3, flip=True),
        run=Run(kimg=12000.0, sample_kimg=500.0, checkpoint_kimg=1000.0),
    )


def celeba64() -> Experiment:
    """CelebA faces, the centre of each picture at 64 px. Not measured."""
    return _dcgan(
        "dcgan-celeba64",
        Data("celeb_a", resolution=64, channels=3, flip=True),
        run=Run(kimg=5000.0, sample_kimg=200.0, checkpoint_kimg=500.0),
    )


def folder() -> Experiment:
    """Any folder or zip of pictures at 64 px: say --data.path. Not measured."""
    return _dcgan(
        "dcgan-folder",
        Data("folder", resolution=64, channels=3, flip=True),
        run=Run(kimg=5000.0, sample_kimg=200.0, checkpoint_kimg=500.0),
    )
