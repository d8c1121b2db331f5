"""What a result depends on besides its configuration: versions, devices, the code's revision."""

import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

import jax

from gan_jax.json_types import JsonObject

PACKAGES = ("gan_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
GIT_TIMEOUT = 10  # seconds


def environment() -> JsonObject:
    """Collect versions, devices and the revision of the code, as values that JSON can hold.

    Returns:
        `versions` maps packages to versions (None: not installed), `device` reads "cpu x 8",
        `processes` counts the processes of the run. `revision` is the git hash of the checkout
        that this code runs from and `dirty` whether it has uncommitted changes; both are None for
        an installed package.
    """
    devices = jax.devices()
    return {
        "versions": {"python": platform.python_version()} | _versions(PACKAGES),
        "device": f"{devices[0].device_kind} x {len(devices)}",
        "processes": jax.process_count(),
        **_revision(Path(__file__).parents[1]),
    }


def _versions(packages: Iterable[str]) -> dict[str, str | None]:
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # imported from a checkout
            versions[package] = None
    return versions


def _revision(package: Path) -> dict[str, str | bool | None]:
    # Only if git tracks this package: a virtual environment may lie inside an unrelated checkout.
    tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None
    revision = _git(package, "rev-parse", "HEAD") if tracked else None
    if revision is None:
        return {"revision": None, "dirty": None}
    return {"revision": revision, "dirty": bool(_git(package, "status", "--porcelain"))}


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):  # git is not installed, or the disk is slow
        return None
    return done.stdout.strip() if done.returncode == 0 else None
