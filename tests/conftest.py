"""Strict JAX for every test: eight virtual devices, no silent rank promotion, cached compiles."""

import os
import tempfile
from pathlib import Path

from helpers import xla_flags

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("GAN_JAX_CACHE", f"{tempfile.gettempdir()}/gan_jax_tests")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS") or xla_flags.known()

import jax
import pytest

from gan_jax.networks import conv

CACHE = os.environ["GAN_JAX_CACHE"]
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", f"{CACHE}/xla")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

MAPPED = Path("/proc/self/maps")
MOST_MAPS = 30_000  # Linux allows 65,530; each compiled program holds a few until it is dropped


@pytest.fixture(scope="module", autouse=True)
def _convolutions(request):
    """Convolutions as accelerators get them, whose programs are half as large.

    A module that says `CPU_CONVOLUTIONS = True` has those of this machine, which
    `networks/test_conv.py` proves to be the same.
    """
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "CPU_CONVOLUTIONS", False):
            patch.setattr(conv, "_by_platform", lambda fast, plain, *given: plain(*given))
        yield


@pytest.fixture(autouse=True)
def _few_programs():
    """Drops compiled programs in time: past the system's limit the compiler crashes."""
    yield
    if MAPPED.exists() and MAPPED.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run of the quickstart's smallest relative. Read it; copy it to change it."""
    from helpers.command_line import QUICKSTART, SMALL, run

    from gan_jax.commands import train

    workdir = tmp_path_factory.mktemp("run")
    assert run(train, QUICKSTART, *SMALL, "--workdir", workdir) == 0
    return workdir


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    pytest.importorskip("hatchling", reason="builds the wheel: bash scripts/install.sh dev")
    from helpers.wheel import build

    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """An environment in which the wheel is installed: `installed("train", ...)`."""
    from helpers.wheel import install

    return install(wheel, tmp_path_factory.mktemp("installed"))
