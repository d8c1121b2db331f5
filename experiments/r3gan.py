"""R3GAN (Huang et al. 2024, arXiv:2501.05441): relativistic pairs, R1 and R2, plain networks.

`gan-jax train r3gan:NAME`

Rate, beta2, gamma, half-life of the averaged generator and probability of augmentation follow half
a cosine over as many images as are named first; the runs are longer. The authors draw other reals
and fakes for the generator's move than for the discriminator's; here a round's are judged by both.
"""

from typing import Literal

from gan_jax.config import Anneal, Data, Experiment, Gan, Player, R3gan, Run


def _r3gan(
    name: str,
    data: Data,
    network: R3gan,
    *,
    kimg: float,
    gamma: float,
    p: float,
    ema_kimg: float,
    batch_size: int,
    run: Run,
    classes: int = 0,
    precision: Literal["float32", "bfloat16"] = "bfloat16",
) -> Experiment:
    """Adam with beta1 0, its rate falling from 2e-4 to 5e-5, and beta2 rising; gamma to a tenth."""
    player = Player(network, lr=2e-4, betas=(0.0, 0.9))
    game = Gan(
        objective="relativistic",
        condition="projection" if classes else "",
        classes=classes,
        prior="normal",
        z=64,
        r1=gamma,
        r2=gamma,
        ema_kimg=ema_kimg,
        augment="r3gan",
        augment_p=p,
        anneal=Anneal(kimg=kimg, lr=0.25, gamma=0.1, beta2=0.99),
    )
    return Experiment(
        name, player, player, game, data, batch_size=batch_size, precision=precision, run=run
    )


def cifar10() -> Experiment:
    """CIFAR-10 at 32 px with labels. Not measured.

    The paper's FID is 1.96, after 250,000 kimg on 8 L40 in 4 days.
    """
    return _r3gan(
        "r3gan-cifar10",
        Data("cifar10", resolution=32, channels=3, flip=True),
        R3gan(),
        kimg=20000.0,
        gamma=0.05,
        p=0.55,
        ema_kimg=5000.0,
        batch_size=512,
        classes=10,
        run=Run(kimg=250000.0, sample_kimg=1000.0, checkpoint_kimg=2000.0),
    )


def ffhq64() -> Experiment:
    """FFHQ at 64 px, a folder or zip of pictures: say --data.path. Not measured.

    The paper's FID is 1.95. The length is ours.
    """
    return _r3gan(
        "r3gan-ffhq64",
        Data("folder", split="train+test", resolution=64, channels=3, flip=True),
        R3gan(),
        kimg=20000.0,
        gamma=2.0,
        p=0.3,
        ema_kimg=500.0,
        batch_size=256,
        run=Run(kimg=100000.0, sample_kimg=1000.0, checkpoint_kimg=2000.0),
    )


def ffhq256() -> Experiment:
    """FFHQ at 256 px, a folder or zip of pictures: say --data.path. Not measured.

    The paper's FID is 2.75; 7.05 after the 5,000 kimg of its ladder. The length is ours.
    """
    return _r3gan(
        "r3gan-ffhq256",
        Data("folder", split="train+test", resolution=256, channels=3, flip=True),
        R3gan(),
        kimg=20000.0,
        gamma=150.0,
        p=0.3,
        ema_kimg=500.0,
        batch_size=256,
        run=Run(kimg=100000.0, sample_kimg=1000.0, checkpoint_kimg=2000.0),
    )


def imagenet64() -> Experiment:
    """ImageNet at 64 px with its 1,000 classes. Not measured.

    The paper's FID is 2.09. Twice the channels in as many groups, at every stage. The length is
    ours.
    """
    return _r3gan(
        "r3gan-imagenet64",
        Data("imagenet_resized/64x64", resolution=64, channels=3, flip=True),
        R3gan(width=1536, widest=64),
        kimg=200000.0,
        gamma=1.0,
        p=0.4,
        ema_kimg=50000.0,
        batch_size=4096,
        classes=1000,
        run=Run(kimg=400000.0, sample_kimg=10000.0, checkpoint_kimg=10000.0),
    )


def emoji() -> Experiment:
    """Emoji at 32 px from the embedded pictures, sized for 12 minutes on 2 CPU cores.

    One block a stage, and channels halved from 8 px on. The whole schedule fits the run.
    2026-11-27, 15 minutes on one core: poor. Smooth buttons and blots of the right colours and
    nothing else after 48,000 images; fid1k-train1482[efficientnet-lite0,antialias] 214, precision
    0.16, recall 0, coverage 0.07.
    """
    return _r3gan(
        "r3gan-emoji",
        Data("emoji_noto", resolution=32, channels=3, flip=True),
        R3gan(width=64, cardinality=8, blocks=1, widest=8),
        kimg=48.0,
        gamma=0.5,
        p=0.3,
        ema_kimg=2.0,
        batch_size=32,
        precision="float32",
        run=Run(
            kimg=48.0,
            sample_kimg=6.0,
            checkpoint_kimg=16.0,
            metrics=("fid", "kid", "prdc"),
            metric_samples=1000,
        ),
    )
