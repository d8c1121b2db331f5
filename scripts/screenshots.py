"""Take the documentation's screenshots of the pages, with headless Chromium.

    python scripts/screenshots.py RUN [RUN ...]      # .github/report.png, comparison.png, ...

Of the first run: its report. Of several runs: their comparison. Always: the explorer on generators
of the zoo, and the page of a committed table.
"""

import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from gan_jax.errors import UserError

OUT = Path(__file__).parents[1] / ".github"
EXPLORED = {
    "explorer-classes": "zoo:garments",
    "explorer-captions": "zoo:text-to-faces",
    "explorer-styles": "zoo:drawn-faces",
    "explorer-translation": "zoo:ink-and-colour",
    "explorer-voices": "zoo:voices",
}
TABLE = "objectives"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *(
        "--hide-scrollbars",
        "--force-device-scale-factor=1",
        "--run-all-compositor-stages-before-draw",
    ),
)


def browser() -> str:
    """Find Chromium or Chrome.

    Raises:
        UserError: there is none.
    """
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise UserError("no chromium on the PATH: install it (Debian: apt-get install chromium)")
    return found


def screenshot(
    address: str, size: tuple[int, int], *, dark: bool = False, wait_ms: int = 8000
) -> Image.Image:
    """Draw the top of a page.

    Args:
        address: a URL.
        size: of the window, in pixels.
        dark: whether the reader prefers dark colours.
        wait_ms: time that the page's scripts get, in virtual milliseconds.

    Raises:
        UserError: there is no browser.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "page.png")
        scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        _browse(address, size, *scheme, f"--virtual-time-budget={wait_ms}", f"--screenshot={out}")
        return Image.open(io.BytesIO(out.read_bytes())).convert("RGB")


def elements(address: str, size: tuple[int, int], *, wait_ms: int = 8000) -> str:
    """Read the HTML that a page has after its scripts have run.

    Raises:
        UserError: there is no browser.
    """
    return _browse(address, size, f"--virtual-time-budget={wait_ms}", "--dump-dom")


def _browse(address: str, size: tuple[int, int], *flags: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        window = (f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}")
        command = [browser(), *FLAGS, *window, *flags, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout


@contextlib.contextmanager
def explored(run: str) -> Iterator[str]:
    """Serve the explorer of a run on a free port; yield its address."""
    command = [sys.executable, "-u", "-m", "gan_jax.commands.main", "explore", run, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                found = next((word for word in line.split() if word.startswith("http://")), None)
                if found:
                    yield found
                    return
            raise UserError(f"gan-jax explore {run} ended with status {process.wait()}")
        finally:
            process.terminate()


def save(image: Image.Image, name: str) -> None:
    """Write a picture of few colours and no surplus bytes to `OUT`."""
    path = OUT / f"{name}.png"
    image.quantize(128, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)
    print(f"{path}  {path.stat().st_size // 1024} KiB")


def written(*command: str) -> None:
    """Run a `gan-jax` command that writes a page."""
    subprocess.run([sys.executable, "-m", "gan_jax.commands.main", *command], check=True)


def main() -> None:
    """Take them all."""
    runs = sys.argv[1:]
    if not runs or runs[0].startswith("-"):
        print(__doc__)
        return
    with tempfile.TemporaryDirectory() as folder:
        written("report", runs[0])
        save(screenshot(f"file://{Path(runs[0]).resolve()}/report.html", (1200, 1500)), "report")
        if len(runs) > 1:
            written("report", *runs, "--out", f"{folder}/comparison.html")
            save(screenshot(f"file://{folder}/comparison.html", (1200, 1200)), "comparison")
        written("table", TABLE, "--out", f"{folder}/table.html")
        save(screenshot(f"file://{folder}/table.html", (1200, 420)), "ablation")
    for name, run in EXPLORED.items():
        with explored(run) as address:
            save(screenshot(address, (1200, 1000), wait_ms=20000), name)


if __name__ == "__main__":
    from gan_jax.commands import cli

    cli.run(main)
