"""Train a recipe: `gan-jax train`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.train import main

if __name__ == "__main__":
    cli.run(main)
