"""Sheets: pictures in rows and columns, with a name beside each row and above each column."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from gan_jax.reporting.run_log import image_grid

TEXT = 14  # pixels
MARGIN = 4


def sheet(
    pictures: Float[Array | np.ndarray, "r c h w ch"] | UInt8[np.ndarray, "r c h w ch"],
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> UInt8[np.ndarray, "H W 3"]:
    """The pictures as `records.image_grid` lays them out, in RGB, on white with black names."""
    r, c = pictures.shape[:2]
    grid = image_grid(np.asarray(pictures).reshape(r * c, *pictures.shape[2:]), c)
    grid = np.broadcast_to(grid, (*grid.shape[:2], 3))
    font = ImageFont.load_default(TEXT)
    left = max([0, *(int(font.getlength(name)) + 2 * MARGIN for name in rows if name)])
    top = TEXT + 2 * MARGIN if any(columns) else 0
    height, width = grid.shape[0] // r, grid.shape[1] // c
    page = Image.new("RGB", (left + grid.shape[1], top + grid.shape[0]), "white")
    page.paste(Image.fromarray(np.ascontiguousarray(grid)), (left, top))
    draw = ImageDraw.Draw(page)
    for number, name in enumerate(rows):
        middle = top + (number + 0.5) * height
        draw.text((MARGIN, middle), name, fill="black", font=font, anchor="lm")
    for number, name in enumerate(columns):
        middle = left + (number + 0.5) * width
        draw.text((middle, top / 2), name, fill="black", font=font, anchor="mm")
    return np.asarray(page)


def heat(
    values: Float[np.ndarray, "b h w"], most: float | None = None
) -> UInt8[np.ndarray, "b h w 3"]:
    """Values from 0 (black) to `most`, by default the largest (white), through red and yellow."""
    most = most or float(values.max()) or 1.0
    share = np.clip(values / most, 0.0, 1.0)[..., None] * 3.0 - np.arange(3.0)
    return np.rint(255.0 * np.clip(share, 0.0, 1.0)).astype(np.uint8)
