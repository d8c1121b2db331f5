"""Flags that make XLA compile faster, of those that the installed jaxlib has."""

import os
import subprocess
import sys
from pathlib import Path

from jaxlib.version import __version__

# Most of a test's time goes into compiling rounds that are played once or twice.
FLAGS = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",  # gone in jaxlib 0.12
    "--xla_cpu_parallel_codegen_split_count=1",  # a worker has one core
)


def known() -> str:
    """The flags without those that this jaxlib does not know, which would end the process.

    A process that may end is asked, once per version: the answer is kept in the cache.
    """
    wanted = " ".join(FLAGS)
    kept = Path(os.environ["GAN_JAX_CACHE"]) / f"xla_flags_of_jaxlib_{__version__}"
    asked, _, answer = (kept.read_text() if kept.exists() else "").partition("\n")
    if asked != wanted:
        answer = " ".join(_ask(wanted))
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(f"{wanted}\n{answer}")
    return answer


def _ask(wanted: str) -> list[str]:
    command = [sys.executable, "-c", "import jax; jax.devices()"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": wanted}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    found = [flag for flag in FLAGS if flag not in done.stderr]  # it names the unknown ones
    if done.returncode and len(found) == len(FLAGS):
        raise RuntimeError(f"JAX does not start:\n{done.stderr}")
    return found
