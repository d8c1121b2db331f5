"""The commands as a user calls them, in this process."""

import sys

import pytest

from gan_jax.commands import cli
from helpers.paths import EXPERIMENTS

RING = f"{EXPERIMENTS}/gan.py:ring8"
QUICKSTART = f"{EXPERIMENTS}/dcgan.py:quickstart"
SMALL = ["--tiny", "True", "--run.devices", "1"]


def run(command, *words, twin=True):
    """Runs a command's main in this process, as `gan-jax` does or its twin; its exit code."""
    module = command.__name__.rpartition(".")[2]
    program = f"scripts/{module}.py" if twin else f"gan-jax {module.replace('_', '-')}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [program, *map(str, words)])
        patch.setattr(cli, "compilation_cache", lambda: None)
        try:
            cli.run(command.main)
        except SystemExit as end:
            return end.code or 0
    return 0
