"""Export a trained run: `gan-jax export`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.export import main

if __name__ == "__main__":
    cli.run(main)
