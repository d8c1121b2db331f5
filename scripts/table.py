"""Print an ablation table: `gan-jax table`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.table import main

if __name__ == "__main__":
    cli.run(main)
