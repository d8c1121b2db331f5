"""From an Experiment's names to objects: games, networks, optimisers, stages."""

# Each file registers what it builds.
from gan_jax.build import (
    cut,
    cyclegan,
    gan,
    networks,
    pix2pix,
    projected,
    stylegan,
    text_to_image,
    vae,
)
