"""Run the rows of an ablation table: `gan-jax ablate`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.ablate import main

if __name__ == "__main__":
    cli.run(main)
