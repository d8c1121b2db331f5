"""Images drawn in a terminal: by its own protocol where it has one, or as coloured half blocks.

References:
    kitty's graphics protocol, https://sw.kovidgoyal.net/kitty/graphics-protocol/; iTerm2's inline
    images, https://iterm2.com/documentation-images.html.
"""

import base64
import io
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

UPPER_HALF = "\N{UPPER HALF BLOCK}"
CHUNK = 4096  # of base64 in one escape sequence, at most, for kitty


def draw(path: Path) -> None:
    """Draw an image file if standard output is a terminal; else say that it is not drawn."""
    if not sys.stdout.isatty():
        print(f"not drawn, as the output is no terminal: {path}", file=sys.stderr)
        return
    columns, rows = shutil.get_terminal_size()
    with Image.open(path) as image:
        text = encode(image.convert("RGB"), columns, rows, os.environ)
    print(text, end="", flush=True)


def encode(image: Image.Image, columns: int, rows: int, environment: Mapping[str, str]) -> str:
    """Return the text that draws an image in the terminal that an environment describes.

    Args:
        image: in RGB.
        columns: width of the terminal in characters; a wider image is shrunk to it.
        rows: height of the terminal in lines; a higher image is shrunk to one less.
        environment: variables by name, as in `os.environ`.
    """
    program = environment.get("TERM_PROGRAM", "")
    if "KITTY_WINDOW_ID" in environment or program == "ghostty":
        return _kitty(image)
    if program in ("iTerm.app", "WezTerm", "vscode"):
        return _iterm(image)
    return half_blocks(np.asarray(_fitted(image, columns, 2 * (rows - 1))))


def half_blocks(pixels: UInt8[np.ndarray, "H W 3"]) -> str:
    """Draw two pixels a character, the lower one as its background, in 24-bit colours."""
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, np.zeros_like(pixels[:1])])
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = [
            f"\x1b[38;2;{r};{g};{b};48;2;{s};{h};{c}m{UPPER_HALF}"
            for (r, g, b), (s, h, c) in zip(upper.tolist(), lower.tolist(), strict=True)
        ]
        lines.append("".join(cells) + "\x1b[0m\n")
    return "".join(lines)


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(1.0, width / image.width, height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.BOX)


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _kitty(image: Image.Image) -> str:
    data = _png(image)
    chunks = [data[k : k + CHUNK] for k in range(0, len(data), CHUNK)]
    parts = []
    for k, chunk in enumerate(chunks):
        control = "a=T,f=100," if k == 0 else ""
        parts.append(f"\x1b_G{control}m={int(k < len(chunks) - 1)};{chunk}\x1b\\")
    return "".join(parts) + "\n"


def _iterm(image: Image.Image) -> str:
    return f"\x1b]1337;File=inline=1;preserveAspectRatio=1:{_png(image)}\a\n"
