"""Plans made in a process of their own, because a compiler may crash or run for hours."""

import dataclasses
import datetime
import importlib.metadata
import json
import re
import subprocess
import sys

from gan_jax.json_types import JsonObject
from gan_jax.planning.request import Request

COMMAND = (sys.executable, "-P", "-m", "gan_jax.commands.main", "tpu-plan")


def planned(recipe: str, topology: str, request: Request, minutes: float) -> dict:
    """Plan a recipe on a slice in a new process.

    Args:
        recipe: as `gan-jax train` takes it.
        topology: the slice, as "v5e:4x4".
        request: what to plan.
        minutes: when to end the process.

    Returns:
        A row of a table: the fields of each plan in "plans", in "failed" why there are none, or why
        they are of a program that was not compiled; "when" and "with" which versions.
    """
    row = _run(recipe, topology, request, minutes)
    if "failed" in row and request.compile:
        lowered = dataclasses.replace(request, compile=False)
        row["plans"] = _run(recipe, topology, lowered, minutes)["plans"]
    used = versions() | ({"effort": request.effort} if request.compile else {})
    return row | {"when": str(datetime.date.today()), "with": used}


def _run(recipe: str, topology: str, request: Request, minutes: float) -> JsonObject:
    flags = [recipe, "--topology", topology, "--json", "True"]
    for name, value in dataclasses.asdict(request).items():
        flags += [f"--{name}", str(value)] if value != "" else []
    row = {"recipe": recipe, "topology": topology, "plans": []}
    try:
        done = subprocess.run(
            [*COMMAND, *flags], capture_output=True, text=True, timeout=60 * minutes
        )
    except subprocess.TimeoutExpired:
        return row | {"failed": f"not compiled within {minutes:g} minutes"}
    if done.returncode:
        return row | {"failed": reason(done)}
    return row | {"plans": json.loads(done.stdout.splitlines()[-1])}


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Say why a process failed in a line that fits into a table; compilers log much else."""
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    lines = [line for line in done.stderr.splitlines() if re.match(r"error:|[\w.]*Error\b", line)]
    text = lines[-1] if lines else f"exit code {done.returncode}"
    return text[:200].replace("|", "/")


def versions() -> dict[str, str]:
    """Versions of the installed packages that decide the numbers."""
    found = {}
    for name in ("jax", "jaxlib", "libtpu", "jax-cuda12-plugin"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
