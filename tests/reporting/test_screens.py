"""Pages as a reader sees them: every width fits, and nothing has moved from the stored screens.

After a change of the design look at the new screens in the test's folder, and if they are right
copy them to `tests/reporting/screens/`.
"""

import contextlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import screenshots
from helpers.pages import finished_run
from PIL import Image

from gan_jax.reporting.comparison import write_comparison
from gan_jax.reporting.page import write_report

SCREENS = Path(__file__).parent / "screens"
HEIGHT, SHARE = (
    1600,
    20,
)  # of the window in pixels, and the pixels that one of the screen stands for
WIDTHS = {"wide": 1400, "phone": 500}
TOLERANCE = 6.0  # grey levels in the mean; other fonts of sans-serif stay below

pytestmark = pytest.mark.skipif(
    not (shutil.which("chromium") or shutil.which("google-chrome")), reason="no Chromium"
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    with contextlib.chdir(folder):  # the pages name their runs' directories as given
        runs = [finished_run(Path(name), r1=r1) for name, r1 in (("a", 0.0), ("b", 0.5))]
        written = {
            "report": write_report(runs[0]),
            "comparison": write_comparison(runs, Path("comparison.html")),
        }
    return {name: folder / path for name, path in written.items()}


def screen(image):
    """A page so small that letters are grey, but cards, charts and columns keep their places."""
    size = image.width // SHARE, image.height // SHARE
    return image.convert("L").resize(size, Image.Resampling.BOX)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", ["report", "comparison"])
def test_a_page_looks_as_it_did(pages, page, width, tmp_path):
    size = WIDTHS[width], HEIGHT
    seen = screen(screenshots.screenshot(pages[page].as_uri(), size))
    seen.save(tmp_path / f"{page}-{width}.png")
    with Image.open(SCREENS / f"{page}-{width}.png") as stored:
        apart = np.abs(np.asarray(seen, float) - np.asarray(stored, float)).mean()
    assert apart < TOLERANCE, f"{apart:.1f} grey levels: look at {tmp_path}"


@pytest.mark.parametrize("page", ["report", "comparison"])
def test_dark_colours_are_those_of_the_reader(pages, page):
    light, dark = (
        np.asarray(screen(screenshots.screenshot(pages[page].as_uri(), (800, 800), dark=how)))
        for how in (False, True)
    )
    assert np.median(light) > 220 and np.median(dark) < 50


@pytest.mark.parametrize("page", ["report", "comparison"])
def test_a_phone_shows_the_whole_width(pages, page, tmp_path):
    text = pages[page].read_text()
    script = "<script>document.title = document.documentElement.scrollWidth;</script></body>"
    measured = tmp_path / "page.html"
    measured.write_text(re.sub("</body>", script, text, count=1))
    shown = re.search(r"<title>(\d+)</title>", screenshots.elements(measured.as_uri(), (500, 900)))
    assert shown and int(shown[1]) <= 500
