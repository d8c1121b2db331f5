"""Draw from a trained run: `gan-jax sample`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.sample import main

if __name__ == "__main__":
    cli.run(main)
