"""StyleGAN's own tables (Karras et al. 2019, arXiv:1812.04948): what each of its parts is good for.

Row by row from Progressive GAN to StyleGAN (Table 1), how often styles are mixed (Table 2), how
deep the mapping is (Table 4). Drawn faces at 32 px, grown from 8 px; at any other size with
`on(resolution)`. Beside each row what the paper found on FFHQ at 1024 px with 25 million images:
other data, sizes and features, so that only orders can be compared. Its row B also trains longer
and with other rates than row A; here every row has the same.

    gan-jax ablate stylegan:CONFIGURATIONS run
    gan-jax table stylegan:CONFIGURATIONS

and the same of `MIXING` and `DEPTH`.

Not measured. Tables of runs of 30 kimg were taken out: they compared beginnings (FID 222 to 296).
"""

from gan_jax.config import (
    Ablation,
    Data,
    Experiment,
    Grow,
    Player,
    Run,
    Style,
    Stylegan,
    ablation,
)

BOTH = ("generator", "discriminator")
QUANTITIES = ("fid", "ppl_zfull", "ppl_zend", "ppl_wfull", "ppl_wend")
SOURCE = "Karras et al. 2019, FFHQ at 1024 px"


def on(resolution: int, kimg: float = 30.0) -> Experiment:
    """StyleGAN with every part, sized for a few minutes of two cores at 32 px."""
    player = Player(network=Style(width=0.0625, w=64), lr=2e-3, betas=(0.0, 0.99))
    grow = Grow(8, stable_kimg=kimg / 6.0, fade_kimg=kimg / 6.0, batch_sizes=(64, 64, 32))
    return Experiment(
        "stylegan-parts",
        generator=player,
        discriminator=player,
        game=Stylegan(z=64, ema_kimg=2.0, grow=grow),
        data=Data("avatars", resolution=resolution, channels=3, flip=True),
        batch_size=32,
        run=Run(
            kimg=kimg,
            log_every=50,
            sample_kimg=0.0,
            checkpoint_kimg=0.0,
            metrics=("fid", "ppl"),
            metric_samples=1500,
            keep=1,
        ),
    )


def configurations(base: Experiment) -> Ablation:
    """Table 1: each row has what the rows before it have."""
    without = {
        "generator.network.mapping": 0,
        **{f"generator.network.{part}": False for part in ("styles", "const_input", "noise")},
        **{f"{player}.network.blur": False for player in BOTH},
        "game.mixing": 0.0,
    }
    return ablation(
        base,
        {
            "A Progressive GAN": without,
            "B + bilinear resampling": {f"{player}.network.blur": True for player in BOTH},
            "C + mapping and styles": {
                "generator.network.mapping": 8,
                "generator.network.styles": True,
            },
            "D + constant input": {"generator.network.const_input": True},
            "E + noise": {"generator.network.noise": True},
            "F + mixed styles": {"game.mixing": 0.9},
        },
        quantities=QUANTITIES,
        cumulative=True,
        paper={
            "A Progressive GAN": "FID 8.04",
            "B + bilinear resampling": "FID 5.25, PPL in Z 412.0 full, 415.3 end",
            "C + mapping and styles": "FID 4.85",
            "D + constant input": "FID 4.88, PPL in W 446.2 full, 376.6 end",
            "E + noise": "FID 4.42, PPL in W 200.5 full, 160.6 end",
            "F + mixed styles": "FID 4.40, PPL in W 234.0 full, 195.9 end",
        },
        source=SOURCE + ", tables 1 and 3",
    )


def mixing(base: Experiment) -> Ablation:
    """Table 2, of one latent at the test: how often a minibatch has mixed styles."""
    found = {"0 %": 4.42, "50 %": 4.41, "90 %": 4.40, "100 %": 4.83}
    return ablation(
        base,
        {name: {"game.mixing": float(name.split()[0]) / 100.0} for name in found},
        quantities=QUANTITIES,
        paper={name: f"FID {fid:.2f}" for name, fid in found.items()},
        source=SOURCE + ", table 2 (not verified)",
    )


def depth(base: Experiment) -> Ablation:
    """Table 4: layers of the mapping network of the style-based generator."""
    found = {
        "0": "FID 5.06, PPL in Z 283.5 full, 285.5 end",
        "1": "FID 4.60, PPL in W 219.9 full, 209.4 end",
        "2": "FID 4.43, PPL in W 217.8 full, 199.9 end",
        "8": "FID 4.40, PPL in W 234.0 full, 195.9 end",
    }
    return ablation(
        base,
        {f"{n} layers": {"generator.network.mapping": int(n)} for n in found},
        quantities=QUANTITIES,
        paper={f"{n} layers": text for n, text in found.items()},
        source=SOURCE + ", table 4 (not verified)",
    )


CONFIGURATIONS = configurations(on(32))
MIXING = mixing(on(32))
DEPTH = depth(on(32))
