"""Train the network that compares images of garments: `gan-jax train-features`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.train_features import main

if __name__ == "__main__":
    cli.run(main)
