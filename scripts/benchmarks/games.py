"""A small experiment of each kind of game, and a batch for it.

An accelerator is compared with the CPU on them (`agreement`); `tests/contracts/test_golden.py` has
the numbers that they come to.
"""

from typing import Any

import numpy as np

from gan_jax.config import (
    Anneal,
    Cut,
    Cyclegan,
    Data,
    Dcgan,
    Dfgan,
    Experiment,
    Fastgan,
    Gan,
    Mlp,
    PatchGan,
    Pix2Pix,
    Player,
    Projected,
    R3gan,
    Resnet,
    Style,
    Style2,
    Stylegan,
    TextToImage,
    Unet,
    Vae,
    VisionAided,
)

MLP, DCGAN = Player(network=Mlp((8,))), Player(network=Dcgan(width=4))
R3GAN = Player(R3gan(width=8, cardinality=2, blocks=1), betas=(0.0, 0.9))
DFGAN = Player(Dfgan(width=2), betas=(0.0, 0.9))
STYLE = Player(Style(1 / 128, w=4, mapping=1, const_input=False), betas=(0.0, 0.99))
STYLE2 = Player(Style2(width=1 / 128, w=4, mapping=1), betas=(0.0, 0.99))
GAMES = {
    "gan": Experiment("gan", MLP, MLP, Gan(z=4), Data("toy/ring8"), batch_size=8),
    "wgan_gp": Experiment(
        "wgan_gp",
        MLP,
        MLP,
        Gan("wasserstein", z=4, gradient_penalty=10.0, n_critic=2),
        Data("toy/ring8"),
        batch_size=8,
    ),
    "dcgan": Experiment(
        "dcgan", DCGAN, DCGAN, Gan(prior="uniform", z=4), Data(resolution=8), batch_size=8
    ),
    "dcgan_r1_lazy": Experiment(
        "dcgan_r1_lazy",
        DCGAN,
        DCGAN,
        Gan("hinge", z=4, r1=1.0, penalty_every=2, ema_kimg=0.1),
        Data(resolution=8),
        batch_size=8,
    ),
    "cgan_projection": Experiment(
        "cgan_projection",
        DCGAN,
        DCGAN,
        Gan(z=4, condition="projection", conditional_norm=True, classes=3),
        Data(resolution=8),
        batch_size=8,
    ),
    "cgan_auxiliary": Experiment(
        "cgan_auxiliary",
        DCGAN,
        DCGAN,
        Gan(z=4, condition="auxiliary", classes=3),
        Data(resolution=8),
        batch_size=8,
    ),
    "cgan_both": Experiment(
        "cgan_both",
        DCGAN,
        DCGAN,
        Gan(z=4, condition="projection+auxiliary", classes=3),
        Data(resolution=8),
        batch_size=8,
    ),
    "dcgan_diffaugment": Experiment(
        "dcgan_diffaugment",
        DCGAN,
        DCGAN,
        Gan(z=4, augment="diffaugment"),
        Data(resolution=8),
        batch_size=8,
    ),
    "paired_augment": Experiment(
        "paired_augment",
        DCGAN,
        DCGAN,
        Gan("relativistic", z=4, augment="diffaugment", augment_paired=True),
        Data(resolution=8),
        batch_size=8,
    ),
    "r3gan": Experiment(
        "r3gan",
        R3GAN,
        R3GAN,
        Gan(
            "relativistic",
            z=4,
            r1=2.0,
            r2=2.0,
            ema_kimg=0.1,
            augment="r3gan",
            augment_p=0.5,
            anneal=Anneal(kimg=0.04, lr=0.25, gamma=0.1, beta2=0.99),
        ),
        Data(resolution=8),
        batch_size=8,
    ),
    "projected": Experiment(
        "projected",
        Player(Fastgan(width=2), betas=(0.0, 0.99)),
        Player(Projected(width=2, resolution=128), betas=(0.0, 0.99)),
        Gan("hinge", z=4, ema_kimg=0.1, augment="diffaugment"),
        Data(resolution=8),
        batch_size=8,
    ),
    "pix2pix": Experiment(
        "pix2pix",
        Player(network=Unet(width=2)),
        Player(network=PatchGan(width=2, receptive_field=16)),
        Pix2Pix(),
        Data(resolution=8),
        batch_size=8,
    ),
    "cyclegan": Experiment(
        "cyclegan",
        Player(network=Resnet(width=2, blocks=1), decay=(0.0, 0.1)),
        Player(network=PatchGan(width=2, receptive_field=16, norm="instance")),
        Cyclegan(pool=12),
        Data(resolution=8),
        batch_size=8,
    ),
    "cut": Experiment(
        "cut",
        Player(network=Resnet(width=2, blocks=2, init="xavier"), decay=(0.0, 0.1)),
        Player(network=PatchGan(width=2, receptive_field=16, norm="instance", init="xavier")),
        Cut(equivariance=0.5, patches=8, head=4, ema_kimg=0.1),
        Data(resolution=8),
        batch_size=8,
    ),
    "text_to_image": Experiment(
        "text_to_image",
        DCGAN,
        DCGAN,
        TextToImage(z=4, caption=3, text=5),
        Data(resolution=8),
        batch_size=8,
    ),
    "dfgan": Experiment(
        "dfgan",
        DFGAN,
        DFGAN,
        TextToImage("hinge", z=4, caption=0, text=5, text_scale=2.0, ma_gp=2.0, auxiliary=1.0),
        Data(resolution=8),
        batch_size=8,
    ),
    "stylegan": Experiment(
        "stylegan",
        STYLE,
        STYLE,
        Stylegan(z=4, classes=3, ema_kimg=0.1),
        Data(resolution=8),
        batch_size=8,
    ),
    "stylegan2": Experiment(
        "stylegan2",
        STYLE2,
        STYLE2,
        Stylegan(z=4, r1=1.0, penalty_every=2, path_length=2.0, path_every=2, ema_kimg=0.1),
        Data(resolution=8),
        batch_size=8,
    ),
    "vision_aided": Experiment(
        "vision_aided",
        STYLE2,
        STYLE2,
        Stylegan(
            z=4,
            r1=1.0,
            penalty_every=2,
            ema_kimg=0.1,
            augment="ada",
            vision_aided=VisionAided(weight=1.0, start_kimg=0.016, resolution=32, width=4),
        ),
        Data(resolution=8),
        batch_size=8,
    ),
    "vae": Experiment("vae", DCGAN, DCGAN, Vae(z=4), Data(resolution=8), batch_size=8),
}


def batch_of(experiment: Experiment) -> dict[str, Any]:
    """Eight rows of random data, always the same, with every column that a game may read."""
    rng = np.random.default_rng(0)
    if experiment.data.name.startswith("toy/"):
        return {"x": rng.normal(size=(8, 2)).astype(np.float32)}
    two = isinstance(experiment.game, Pix2Pix | Cyclegan | Cut)
    names = ("x", "y") if two else ("image",)
    batch: dict[str, Any] = {n: rng.integers(0, 256, (8, 8, 8, 1)).astype(np.uint8) for n in names}
    batch["label"] = np.arange(8, dtype=np.int32) % 3
    batch["text"] = rng.normal(size=(8, 5)).astype(np.float32)
    return batch
