"""Prepare a data set: `gan-jax prepare-data`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.prepare_data import main

if __name__ == "__main__":
    cli.run(main)
