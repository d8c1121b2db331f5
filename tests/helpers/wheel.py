"""The package as a user installs it: a wheel in an environment of its own, without the checkout."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from helpers.paths import ROOT


def done(command: Sequence[Any], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command that must end well."""
    ended = subprocess.run(command, capture_output=True, text=True, **options)
    assert ended.returncode == 0, ended.stderr
    return ended


def build(folder: Path) -> Path:
    """Build the wheel into a folder; return its file."""
    done([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT)
    (file,) = folder.glob("*.whl")
    return file


class Installed(NamedTuple):
    """An environment with the wheel; called, it runs `gan-jax WORDS` there.

    Attributes:
        bin: the folder of its programs.
        home: an empty folder, in which commands run.
    """

    bin: Path
    home: Path

    def __call__(self, *words: Any) -> subprocess.CompletedProcess[str]:
        return self.run("gan-jax", *words)

    def run(self, program: str, *words: Any) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; only its own packages are found."""
        scrubbed = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(self.bin / program), *map(str, words)]
        return subprocess.run(command, cwd=self.home, env=scrubbed, capture_output=True, text=True)


def install(wheel: Path, folder: Path) -> Installed:
    """Install a wheel into a new environment whose other packages are those of this one."""
    done([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")])
    python = folder / "venv" / "bin" / "python"
    paths = done([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    site = paths.stdout.strip()
    # Folders named by a .pth are searched, but their own .pth, as of an editable install, unread.
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    with open(f"{site}/dependencies.pth", "w") as file:
        file.write("\n".join(sorted(others)))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    done([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)])
    home = folder / "home"
    home.mkdir()
    installed = Installed(python.parent, home)
    where = installed.run("python", "-c", "import gan_jax; print(gan_jax.__file__)")
    assert where.stdout.startswith(site), where.stderr
    return installed
