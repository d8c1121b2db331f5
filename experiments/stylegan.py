"""StyleGAN (Karras et al. 2019, arXiv:1812.04948), grown from small pictures to large ones.

`gan-jax train stylegan:NAME`; `gan-jax sample RUN --show mixing`
and its other sheets show what the styles do, `gan-jax explore RUN` plays with them.
"""

from gan_jax.config import Data, Experiment, Grow, Player, Run, Style, Stylegan, change


def avatars() -> Experiment:
    """Drawn faces (open-peeps) at 64 px, grown from 8 px, narrow enough for two cores.

    2026-11-24, one core beside other work, 57 minutes: heads with hair, skin and clothes of
    many colours; at 64 px, where it stays for 30 kimg, contours are still dashed. fid2k-train1786
    [efficientnet-lite0,antialias] 182, kid2k 0.357; path length in Z 307 and in W 157 (full).
    """
    return _small(
        "stylegan-avatars",
        Data("avatars", resolution=64, channels=3, flip=True),
        Grow(8, stable_kimg=15.0, fade_kimg=15.0, batch_sizes=(64, 64, 32, 16)),
        kimg=115.0,
        metrics=("fid", "kid", "ppl"),
    )


def faces() -> Experiment:
    """Drawn faces without limit at 32 px, grown from 8 px, for one core.

    `gan-jax prepare-data avatars --count 60000 --resolution 64` draws them. Beside `avatars`, which
    has 2,000: a light R1, a third more feature maps, and most of the time at the last resolution.

    Measured 2026-12-01, seed 0, 205 kimg in 105 minutes on one core beside other work
    (results/stylegan-faces.json; zoo:drawn-faces-grown): faces with hair styles, beards, glasses,
    masks and clothes in clean contours; a few faces are blotted. Coarse styles change head and
    hair, fine ones the colours of skin and clothes. fid2k-test1989[efficientnet-lite0,antialias]
    84.6 and KID 0.131, but precision and recall 0: that space tells every sample from a drawing.

    `stylegan2.py:faces` has FID 41.3 after 185 kimg, other real images 3.4.
    """
    grow = Grow(8, stable_kimg=20.0, fade_kimg=20.0, batch_sizes=(64, 32, 16))
    changes = {
        "name": "stylegan-faces",
        "data.name": "avatars_60000x64",
        "data.resolution": 32,
        "generator.network.width": 0.125,
        "discriminator.network.width": 0.125,
        "game.r1": 0.5,
        "game.grow": grow,
        "batch_size": 16,
        "run.kimg": 400.0,
        "run.metrics": ("fid", "kid", "prdc"),
    }
    return change(avatars(), changes)


def emoji() -> Experiment:
    """Emoji at 32 px, grown from 8 px. Not measured."""
    return _small(
        "stylegan-emoji",
        Data("emoji_noto", resolution=32, channels=3, flip=True),
        Grow(8, stable_kimg=15.0, fade_kimg=15.0, batch_sizes=(64, 64, 32)),
        kimg=100.0,
        metrics=("fid", "kid", "prdc"),
    )


def ffhq256() -> Experiment:
    """FFHQ at 256 px from a folder or zip (say --data.path): the paper's settings. Not measured.

    Others' FID of 50,000 samples at 256 px: 6.09 (mmgeneration).
    """
    data = Data("folder", split="train+test", resolution=256, channels=3, flip=True)
    return _paper("stylegan-ffhq256", data)


def ffhq1024() -> Experiment:
    """FFHQ at 1024 px from a folder or zip (say --data.path): the paper's row F. Not measured.

    The paper's FID of 50,000 samples: 4.40; a week of eight V100.
    """
    data = Data("folder", split="train+test", resolution=1024, channels=3, flip=True)
    return _paper("stylegan-ffhq1024", data)


def celeba_hq() -> Experiment:
    """CelebA-HQ at 256 px through TFDS (prepared by hand there). Not measured.

    With FFHQ's loss and R1; the paper plays WGAN-GP on this data.
    """
    return _paper(
        "stylegan-celeba-hq", Data("celeb_a_hq/256", resolution=256, channels=3, flip=True)
    )


def lsun() -> Experiment:
    """LSUN bedrooms at 256 px through TFDS, without mirroring, as in the paper. Not measured."""
    return _paper("stylegan-lsun", Data("lsun/bedroom", resolution=256, channels=3))


def _paper(name: str, data: Data) -> Experiment:
    """Appendix C: widths, rates and the minibatches of eight devices, from 8 px on."""
    player = Player(network=Style(), lr=1e-3, betas=(0.0, 0.99))
    grow = Grow(
        8,
        batch_sizes=(256, 128, 64, 32),
        rates=(1.0, 1.0, 1.0, 1.0, 1.5, 2.0, 3.0),  # from 128 px on .0015, .002, .003
    )
    run = Run(
        kimg=25000.0,
        sample_kimg=100.0,
        checkpoint_kimg=200.0,
        evaluate_kimg=1000.0,
        metrics=("fid",),
        metric_samples=50000,
        features="inception-2015",
        best="fid",
    )
    return Experiment(name, player, player, Stylegan(grow=grow), data, batch_size=32, run=run)


def _small(
    name: str, data: Data, grow: Grow, *, kimg: float, metrics: tuple[str, ...]
) -> Experiment:
    """A tenth of the paper's width and a higher rate, for two cores and an hour at most."""
    player = Player(network=Style(width=0.09375, w=128, mapping=4), lr=2e-3, betas=(0.0, 0.99))
    game = Stylegan(z=128, r1=10.0, ema_kimg=5.0, grow=grow)
    run = Run(
        kimg=kimg,
        log_every=20,
        sample_kimg=10.0,
        checkpoint_kimg=20.0,
        metrics=metrics,
        metric_samples=2000,
    )
    return Experiment(name, player, player, game, data, batch_size=32, run=run)
