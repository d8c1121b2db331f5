"""GANs against VAEs, with one decoder: the game changes and nothing else that can be kept.

Decoder and generator are the same network with as many parameters; the encoder is the
discriminator with 2z outputs; data, batch and number of pictures are the same. Each side keeps the
optimiser that its papers use: Adam of 2e-4 with beta1 0.5 for the players of a GAN (Radford et al.
2016, arXiv:1511.06434), of 1e-3 with beta1 0.9 for the VAE (Kingma & Welling 2014,
arXiv:1312.6114). Likelihoods of different kinds do not compare with each other.

Measured, three seeds a row. FASHION, 2026-11-24 on 2 CPU cores that did other work beside, about
three minutes a run (gan_vs_vae-fashion.md, read in notebooks/05): the GAN has the best FID and KID,
the Bernoulli VAE the best precision, density and coverage with a sixth of the real pictures' fine
detail, the Gaussian VAE the best bounds and the worst samples. EMOJI, 2026-11-27 on one core, under
two minutes a run (gan_vs_vae-emoji.md): of 1,482 colour pictures neither side has learned to draw
in so short a time. All have recall 0, coverage is 2 to 6 %; the Bernoulli VAE is ahead in FID, KID
and coverage, the GAN behind in both distances though its pictures are the sharpest (0.77 of the
real ones' detail, VAEs 0.15 to 0.27). A beta of 4 improves the bound of pictures not seen: with 1
the encoder fits its few pictures.

    python scripts/ablate.py experiments/ablations/gan_vs_vae.py:FASHION run
    python scripts/table.py experiments/ablations/gan_vs_vae.py:FASHION --out page.html
"""

from gan_jax.config import Data, Dcgan, Experiment, Gan, Player, Run, Vae, ablation, change

PLAYER = Player(network=Dcgan(width=16), lr=2e-4, betas=(0.5, 0.999))
ADAM = {"generator.lr": 1e-3, "generator.betas": (0.9, 0.999)}
METRICS = ("fid", "kid", "prdc", "sharpness")
QUANTITIES = (
    *("fid", "kid", "precision", "recall", "density", "coverage", "sharpness"),
    *("reconstruction_error", "elbo", "iw_bound", "bits_per_dim", "training_seconds"),
)
ROWS = {
    "GAN": {"run.metrics": METRICS},
    "VAE, Gaussian": {"game": Vae("gaussian", z=64), **ADAM},
    "VAE, Gaussian, beta 4": {"game": Vae("gaussian", beta=4.0, z=64), **ADAM},
    "VAE, Bernoulli": {"game": Vae("bernoulli", z=64), **ADAM},
}


def _base(name: str, data: Data, features: str, count: int) -> Experiment:
    return Experiment(
        name,
        generator=PLAYER,
        discriminator=PLAYER,
        game=Gan(objective="non_saturating", z=64),
        data=data,
        batch_size=64,
        run=Run(
            kimg=300.0,
            log_every=50,
            sample_kimg=0.0,
            checkpoint_kimg=0.0,
            metrics=(*METRICS, "bounds"),
            metric_samples=count,
            features=features,
            keep=1,
        ),
    )


FASHION = ablation(
    _base("gan-vs-vae-fashion", Data("fashion_mnist_10k"), "fashion-cnn", 5000),
    ROWS,
    quantities=QUANTITIES,
)

EMOJI = ablation(
    change(
        _base(
            "gan-vs-vae-emoji",
            Data("emoji_noto", resolution=32, channels=3),
            "efficientnet-lite0",
            1000,
        ),
        {"run.kimg": 150.0},
    ),
    ROWS,
    quantities=QUANTITIES,
)
