"""Write reports, and compare runs: `gan-jax report`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.report import main

if __name__ == "__main__":
    cli.run(main)
