"""Compile for a chip that is not at hand, with the compiler of its platform."""

import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from gan_jax.errors import UserError
from gan_jax.planning.chips import Slice, gpu_target
from gan_jax.planning.request import Effort

ENVIRONMENT = {  # of a process whose compilers must not look for devices
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",  # there is no TPU to query
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",  # any value: the topology names the chips
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # processes share no chip
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
PACKAGES = {"tpu": "libtpu", "cuda": "jax_plugins.xla_cuda12"}
INSTALL = (
    "install it into an environment of its own: python3 -m venv .venv-plan && "
    ".venv-plan/bin/python -m pip install 'gan_jax[plan]' (in a checkout: "
    "-c scripts/constraints.txt -e '.[plan]'), then run .venv-plan/bin/gan-jax tpu-plan"
)


class Compilation(NamedTuple):
    """What a compiler made of a program.

    Attributes:
        executable: the compiled program; None where it is not compiled or does not fit.
        overflow: the compiler's message that the memory is not enough, else "".
    """

    executable: jax.stages.Compiled | None = None
    overflow: str = ""


def require(platform: str) -> None:
    """Raise UserError where the compiler of a platform is not installed."""
    package = PACKAGES[platform]
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise UserError(f"--compile needs the package {package} for {platform}: {INSTALL}")


def devices(where: Slice) -> Sequence[Any]:
    """The devices of a slice as its compiler describes them.

    Raises:
        UserError: for a topology that the compiler does not know.
    """
    if where.platform == "cuda":
        found = topologies.get_topology_desc(
            platform="cuda", target_config=gpu_target(where.name), topology=f"1x1x{where.chips}"
        )
        return found.devices
    try:
        return topologies.get_topology_desc(platform="tpu", topology_name=where.text).devices
    except Exception as error:  # of the compiler's own types
        line = str(error).splitlines()[0]
        raise UserError(f"topology {where.text!r}: the compiler says {line}") from error


def compile_for_chip(lowered: jax.stages.Lowered, effort: Effort) -> Compilation:
    """Compile a program that was lowered for the devices of a slice."""
    options: dict[str, Any] = {"exec_time_optimization_effort": -1.0} if effort == "least" else {}
    try:
        return Compilation(lowered.compile(compiler_options=options))
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return Compilation(overflow=str(error))
