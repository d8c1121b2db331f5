"""The sample grids of a run as images inside its report."""

import base64
import functools
import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from gan_jax.errors import UserError
from gan_jax.reporting.run_log import LAYOUT, REALS

T = TypeVar("T")

MAX_FRAMES = 60  # in the slider
IMAGE_BYTES = 4_500_000  # of all images; base64 adds a third, and mail takes 8 MB
WEBP_SIDE, WEBP_QUALITY = 1024, 80


class Frames(NamedTuple):
    """The images of a report, as data URLs.

    Attributes:
        urls: the sample grids.
        steps: the round of each grid.
        reals: the grid of real images; "" if there is none.
        exact: whether the images are the files' own, and not re-encoded with loss.
    """

    urls: list[str]
    steps: list[int]
    reals: str
    exact: bool


def read_frames(directory: Path) -> Frames:
    """Read the grids of a run, at most `MAX_FRAMES` and at most `IMAGE_BYTES` of them.

    Grids that are too large together are re-encoded, and then thinned further if necessary.
    """
    paths = sorted(
        (p for p in directory.glob("*.png") if p.stem.isdigit()), key=lambda p: int(p.stem)
    )
    paths = thinned(paths, MAX_FRAMES)
    reals = directory / REALS
    everything = [*paths, reals] if reals.exists() else paths
    exact = sum(path.stat().st_size for path in everything) <= IMAGE_BYTES
    encode: Callable[[Path], str] = _png_url if exact else _webp_url
    real = encode(reals) if reals.exists() else ""
    urls = [encode(path) for path in paths]
    while len(urls) > 1 and len(real) + sum(map(len, urls)) > IMAGE_BYTES * 4 / 3:
        keep = thinned(range(len(urls)), math.ceil(len(urls) / 2))
        urls, paths = [urls[k] for k in keep], [paths[k] for k in keep]
    return Frames(urls, [int(path.stem) for path in paths], real, exact)


def last_frame(directory: Path) -> str:
    """Read the last grid of a run as a data URL; "" if there is none."""
    path = last_grid(directory)
    return _webp_url(path) if path else ""


def last_grid(directory: Path) -> Path | None:
    """Find the newest of the sample grids; None if there is none."""
    paths = [path for path in directory.glob("*.png") if path.stem.isdigit()]
    return max(paths, key=lambda path: int(path.stem), default=None)


def read_layout(directory: Path) -> dict[str, list[str]]:
    """Read the titles of the grids' rows and columns; empty for grids without titles.

    Raises:
        UserError: the file is damaged.
    """
    path = directory / LAYOUT
    if not path.exists():
        return {}
    try:
        layout = json.loads(path.read_bytes())
        return {str(name): [str(text) for text in texts] for name, texts in layout.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{path} does not hold titles of rows and columns: {error}") from error


def thinned(items: Sequence[T], most: int) -> list[T]:
    """Pick at most `most` items, evenly spaced, including the last and, of two, the first.

    >>> thinned(range(10), 4)
    [0, 3, 6, 9]
    """
    if len(items) <= most:
        return list(items)
    return [items[k] for k in np.linspace(len(items) - 1, 0, most).round().astype(int)[::-1]]


def _png_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _webp_url(path: Path) -> str:
    return _encode_webp(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4 * MAX_FRAMES)  # the report is written again at every checkpoint
def _encode_webp(path: Path, modified: int) -> str:
    image, content = Image.open(path).convert("RGB"), io.BytesIO()
    image.thumbnail((WEBP_SIDE, WEBP_SIDE))
    image.save(content, format="WEBP", quality=WEBP_QUALITY, method=1)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode()
