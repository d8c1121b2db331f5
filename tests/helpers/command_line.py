"""The scripts as a user calls them, in this process."""

import sys

import cli
import pytest

from helpers.paths import EXPERIMENTS

RING = f"{EXPERIMENTS}/gan.py:ring8"
QUICKSTART = f"{EXPERIMENTS}/dcgan.py:quickstart"
SMALL = ["--tiny", "True", "--run.devices", "1"]


def run(script, *words):
    """Runs a script's main in this process; its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script.__name__ + ".py", *map(str, words)])
        patch.setattr(cli, "compilation_cache", lambda: None)
        try:
            cli.run(script.main)
        except SystemExit as end:
            return end.code or 0
    return 0
