"""Serve a local page to explore a run: `gan-jax explore`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.explore import main

if __name__ == "__main__":
    cli.run(main)
