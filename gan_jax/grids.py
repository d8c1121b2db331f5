"""Image arrays and files: grids, labelled grids, PNG, animations, scatter plots."""

import importlib
import importlib.metadata
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from gan_jax.errors import UserError

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, VERMILLION = "#0072B2", "#D55E00"
TILE = 64  # pixels: a grid enlarges smaller images to at least this height
TEXT = 14  # pixels, the height of labels
MARGIN = 4  # pixels, around labels


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file; a kill meanwhile leaves the old one intact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def to_uint8(
    images: UInt8[Array | np.ndarray, "*shape"] | Float[Array | np.ndarray, "*shape"],
) -> UInt8[np.ndarray, "*shape"]:
    """Convert [-1, 1] to bytes, and leave bytes as they are.

    Values outside [-1, 1] are clipped, and NaN becomes black.
    """
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    images = np.nan_to_num(images.astype(np.float32), nan=-1.0, posinf=1.0, neginf=-1.0)
    return np.rint((images.clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def image_grid(
    images: UInt8[Array | np.ndarray, "n h w c"] | Float[Array | np.ndarray, "n h w c"],
    columns: int | None = None,
    *,
    scale: int | None = None,
) -> UInt8[np.ndarray, "H W c"]:
    """Lay out images row by row without gaps; unused cells are black.

    Args:
        images: gray or RGB images, bytes or floats in [-1, 1].
        columns: images per row; the default makes a square.
        scale: how often each pixel is repeated; the default makes images at least 64 pixels high.

    Raises:
        UserError: the array does not hold gray or RGB images.
    """
    shape = np.shape(images)
    if len(shape) != 4 or not shape[0] or shape[3] not in (1, 3):
        raise UserError(f"a grid takes gray or RGB images [n h w c], not {list(shape)}")
    tiles = to_uint8(images)
    n, height, width, channels = shape
    columns = columns or math.ceil(math.sqrt(n))
    scale = scale or tile_scale(height)
    rows = math.ceil(n / columns)
    tiles = np.concatenate([tiles, np.zeros((rows * columns - n, *tiles.shape[1:]), np.uint8)])
    tiles = tiles.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    grid = tiles.reshape(rows * height, columns * width, channels)
    return grid.repeat(scale, 0).repeat(scale, 1)


def save_png(path: Path, image: UInt8[np.ndarray, "h w c"]) -> None:
    """Write a gray or RGB image; a kill meanwhile leaves no partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, encode_png(image))


def encode_png(image: UInt8[np.ndarray, "h w c"]) -> bytes:
    """Encode a gray or RGB image."""
    content = io.BytesIO()
    _pillow(image).save(content, format="PNG")
    return content.getvalue()


def read_image(path: Path) -> UInt8[np.ndarray, "h w c"]:
    """Read a gray or RGB image that `save_png` has written."""
    pixels = np.asarray(Image.open(path))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def save_animation(
    path: Path, frames: Sequence[UInt8[np.ndarray, "h w c"]], *, fps: float = 10.0
) -> None:
    """Write an animation as `.gif`, which repeats, or as `.mp4`.

    Args:
        path: the file, whose suffix selects the format.
        frames: images of equal size.
        fps: frames per second.

    Raises:
        UserError: the suffix is another, there are no frames, or `.mp4` is asked for without the
            extra `video`.
    """
    if not frames:
        raise UserError(f"{path.name}: an animation needs at least one frame")
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix.lower():
        case ".gif":
            first, *rest = _one_palette(frames)
            options: dict[str, Any] = {"duration": 1000 / fps, "loop": 0}
            if palette := first.getpalette():
                options["palette"] = bytes(palette)  # once per file, not once per frame
            first.save(path, save_all=True, append_images=rest, **options)
        case ".mp4":
            _save_mp4(path, frames, fps)
        case suffix:
            raise UserError(f"animations are '.gif' or '.mp4', not {suffix!r}: {path}")


def save_scatter(
    path: Path,
    real: Float[Array | np.ndarray, "n 2"],
    fake: Float[Array | np.ndarray, "m 2"],
    *,
    title: str = "",
) -> None:
    """Draw real and generated 2-D points.

    The real points fix the axes, so that the plots of a run are comparable. The legend counts the
    generated points outside the axes.

    Args:
        path: the PNG file.
        real: real points.
        fake: generated points.
        title: the title of the plot.
    """
    # Imported here, because matplotlib takes half a second and only 2-D data needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    real, fake = np.asarray(real), np.asarray(fake)
    figure = Figure(figsize=(5, 5.2), layout="constrained")
    axes = figure.subplots()
    middle = (real.max(0) + real.min(0)) / 2
    reach = 0.65 * float(np.ptp(real, axis=0).max()) or 1.0
    outside = int((~(np.abs(fake - middle) <= reach).all(1)).sum())
    label = f"generated ({outside:,} outside)" if outside else "generated"
    for points, colour, name in ((real, BLUE, "real"), (fake, VERMILLION, label)):
        axes.scatter(*points.T, s=6, alpha=0.5, linewidths=0, color=colour, label=name)
    axes.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    axes.set(xlim=(middle[0] - reach, middle[0] + reach))
    axes.set(ylim=(middle[1] - reach, middle[1] + reach))
    figure.legend(loc="outside lower center", ncols=2, markerscale=3)
    pixels = FigureCanvasAgg(figure)
    pixels.draw()
    save_png(path, np.array(pixels.buffer_rgba())[..., :3])


def _one_palette(frames: Sequence[np.ndarray]) -> list[Image.Image]:
    """Quantise frames to a common palette of 256 colours: smaller files, and no flicker."""
    if frames[0].shape[-1] == 1:
        return list(map(_pillow, frames))
    subset = np.concatenate(frames[:: max(1, len(frames) // 10)])
    palette = _pillow(subset).quantize(256)
    return [_pillow(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def tile_scale(height: int) -> int:
    """Return the factor by which a grid enlarges images to at least 64 pixels height."""
    return math.ceil(TILE / height)


def _pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _save_mp4(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    try:
        importlib.import_module("imageio_ffmpeg")  # imageio reports its absence late and unclearly
        imageio = importlib.import_module("imageio.v3")
    except ImportError as error:
        raise UserError(
            f"{path.name} needs {error.name}: pip install 'gan_jax[video]', or name it .gif"
        ) from error
    video = np.stack([np.broadcast_to(frame, (*frame.shape[:2], 3)) for frame in frames])
    odd = [
        (0, size % 2) for size in video.shape[1:3]
    ]  # H.264 needs even sizes: it halves the colour planes
    video = np.pad(video, ((0, 0), *odd, (0, 0)), mode="edge")
    imageio.imwrite(path, video, plugin="FFMPEG", fps=fps, macro_block_size=2)


def sheet(
    pictures: Float[Array | np.ndarray, "r c h w ch"] | UInt8[np.ndarray, "r c h w ch"],
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay out images as `image_grid` does, in RGB, with labels on a white margin.

    Args:
        pictures: images by row and column, bytes or floats in [-1, 1].
        rows: labels of the rows; none if empty.
        columns: labels of the columns; none if empty.
    """
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
    """Colour values: 0 is black, `most` (default: the largest value) white, via red and yellow."""
    most = most or float(values.max()) or 1.0
    share = np.clip(values / most, 0.0, 1.0)[..., None] * 3.0 - np.arange(3.0)
    return np.rint(255.0 * np.clip(share, 0.0, 1.0)).astype(np.uint8)
