"""The HTML page: a frame, a style sheet and scripts, filled in with what the run can do."""

import html
import json
from pathlib import Path

from gan_jax.editing.explorer.routes import Explorer

FOLDER = Path(__file__).parent
FRAME, STYLE = FOLDER / "page.html", FOLDER / "page.css"
SCRIPTS = tuple(FOLDER / f"{name}.js" for name in ("page", "pictures", "translations", "voices"))


def page(explorer: Explorer) -> bytes:
    """The page of an explorer; it needs no other file."""
    facts = {"title": explorer.title, **{part.name: part.facts() for part in explorer.parts}}
    text = FRAME.read_text(encoding="utf-8")
    text = text.replace("/* STYLE */", STYLE.read_text(encoding="utf-8"))
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    text = text.replace("/* SCRIPTS */", scripts)
    text = text.replace("TITLE", html.escape(explorer.title))
    return text.replace('"FACTS"', json.dumps(facts).replace("<", "\\u003c")).encode()
