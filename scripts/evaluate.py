"""Measure a trained run: `gan-jax evaluate`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.evaluate import main

if __name__ == "__main__":
    cli.run(main)
