"""Make a run of weights of other projects: `gan-jax import-weights`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.import_weights import main

if __name__ == "__main__":
    cli.run(main)
