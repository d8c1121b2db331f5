"""GANs against VAEs, with one decoder: the game changes and nothing else that can be kept.

Decoder and generator are the same network with as many parameters; the encoder is the
discriminator with 2z outputs; latents, data, batch and number of pictures are the same. Each side
keeps its own optimiser and was tuned: the GAN is `dcgan.py:quickstart` without labels, half as
wide; the VAEs are those of `vae.py`, half as wide. Likelihoods of different kinds do not compare
with each other.

Measured 2026-11-29, three seeds, 256 kimg and about two minutes a run on one CPU core
(gan_vs_vae.md, read in notebooks/05): the GAN leads in FID (19.8; 170 to 237), precision, density,
coverage and fine detail (0.79 of the real pictures'; 0.19 to 0.23). The Bernoulli VAE has nearly
its precision and half its recall; the Gaussian ones have its recall. The Gaussian likelihood of
scale 0.2 explains pictures better than that of 0.4 (6.88 bits per dimension; 7.27) and makes worse
ones.

    gan-jax ablate gan_vs_vae run
    gan-jax table gan_vs_vae --out page.html
"""

from pathlib import Path

from gan_jax.config import Vae, ablation, change, recipe

NARROW = f"{Path(__file__).parents[1]}/dcgan.py:ablation_base"
BOTH = ("generator", "discriminator")
COMPARED = ("fid", "kid", "prdc", "sharpness")
BASE = change(
    recipe(NARROW),
    {
        "name": "gan-vs-vae",
        "game.condition": "",
        "game.classes": 0,
        "game.prior": "normal",
        "game.z": 16,
        "generator.network.hidden": 512,
        "run.kimg": 256.0,
        "run.metrics": COMPARED,
    },
)
VAE = {
    **{f"{player}.lr": 1e-3 for player in BOTH},
    **{f"{player}.betas": (0.9, 0.999) for player in BOTH},
    "run.metrics": (*COMPARED, "bounds"),
}

TABLE = ablation(
    BASE,
    {
        "GAN": {},
        "VAE, Gaussian": {"game": Vae("gaussian", scale=0.4, z=16), **VAE},
        "VAE, Gaussian, scale 0.2": {"game": Vae("gaussian", scale=0.2, z=16), **VAE},
        "VAE, Bernoulli": {"game": Vae("bernoulli", z=16), **VAE},
    },
    quantities=(
        *("fid", "kid", "precision", "recall", "density", "coverage", "sharpness"),
        *("reconstruction_error", "elbo", "iw_bound", "bits_per_dim"),
    ),
)
