"""Strict JAX for every test: eight virtual devices, no silent rank promotion, cached compiles."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")

import tempfile
from pathlib import Path

import jax

CACHE = Path(os.environ.get("GAN_JAX_CACHE", Path(tempfile.gettempdir()) / "gan_jax_tests"))
os.environ.setdefault("GAN_JAX_CACHE", str(CACHE))

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(CACHE / "xla"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
