"""Plan memory and time on TPUs and GPUs: `gan-jax tpu-plan`, from a checkout."""

from gan_jax.commands import cli
from gan_jax.commands.tpu_plan import main

if __name__ == "__main__":
    cli.run(main)
