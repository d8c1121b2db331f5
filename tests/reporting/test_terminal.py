import base64
import io
import os
import re
import sys

import numpy as np
import pytest
from PIL import Image

from gan_jax.reporting import terminal

COLOURS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
CELL = re.compile(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀")


def read(text):
    """The pixels of half blocks."""
    rows = []
    for line in text.splitlines():
        cells = np.array(CELL.findall(line), int)
        rows += [cells[:, :3], cells[:, 3:]]
    return np.stack(rows).astype(np.uint8)


def test_half_blocks_are_the_pixels():
    np.testing.assert_array_equal(read(terminal.half_blocks(COLOURS)), COLOURS)
    np.testing.assert_array_equal(read(terminal.half_blocks(COLOURS[:3]))[:3], COLOURS[:3])


@pytest.mark.parametrize(
    ("columns", "rows", "size"), [(80, 24, (6, 4)), (3, 24, (3, 2)), (80, 2, (3, 2))]
)
def test_an_image_is_shrunk_to_the_terminal(columns, rows, size):
    pixels = read(terminal.encode(Image.fromarray(COLOURS), columns, rows, {}))
    assert pixels.shape == (size[1], size[0], 3)


def png(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_iterm_gets_the_png():
    text = terminal.encode(Image.fromarray(COLOURS), 80, 24, {"TERM_PROGRAM": "iTerm.app"})
    found = re.fullmatch(r"\x1b]1337;File=inline=1;preserveAspectRatio=1:(.*)\a\n", text)
    assert found
    np.testing.assert_array_equal(png(found[1]), COLOURS)


def test_kitty_gets_the_png_in_chunks():
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    text = terminal.encode(Image.fromarray(image), 80, 24, {"KITTY_WINDOW_ID": "1"})
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert [control for control, _ in parts] == [
        "a=T,f=100,m=1",
        *["m=1"] * (len(parts) - 2),
        "m=0",
    ]
    assert max(len(chunk) for _, chunk in parts) == terminal.CHUNK and len(parts) > 2
    np.testing.assert_array_equal(png("".join(chunk for _, chunk in parts)), image)


def test_an_output_that_is_no_terminal_gets_a_line_and_no_image(tmp_path, capsys):
    path = tmp_path / "grid.png"
    Image.fromarray(COLOURS).save(path)
    terminal.draw(path)
    seen = capsys.readouterr()
    assert seen.out == "" and seen.err == f"not drawn, as the output is no terminal: {path}\n"


def test_a_terminal_gets_the_image(tmp_path, monkeypatch):
    for name in ("KITTY_WINDOW_ID", "TERM_PROGRAM"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "grid.png"
    Image.fromarray(COLOURS).save(path)
    main, other = os.openpty()
    with os.fdopen(other, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        terminal.draw(path)
        monkeypatch.undo()
        text = os.read(main, 1 << 16).decode()
    os.close(main)
    np.testing.assert_array_equal(read(text.replace("\r\n", "\n")), COLOURS)
