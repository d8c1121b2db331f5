"""Convert formulas to MathML while the site is built, so that no script is needed to show them."""

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.DOTALL)


UNKNOWN = re.compile(r"\\[a-zA-Z]+|<m[io]>&</m[io]>")  # what the converter passed on as it was


def to_mathml(page: str) -> str:
    """Replace the formulas that `pymdownx.arithmatex` marks in a page's HTML.

    Raises:
        ValueError: the converter does not know a command of a formula.
    """

    def one(found: re.Match[str]) -> str:
        tag, kind, latex = found.groups()
        latex = html.unescape(latex).strip()
        known = latex.replace("{aligned}", "{align*}")  # the converter's name for it
        made = convert(known, display="block" if kind == "[" else "inline")
        unknown = UNKNOWN.search(made)
        if unknown:
            raise ValueError(f"formula {latex!r}: {unknown[0]!r} is not known to latex2mathml")
        return f'<{tag} class="formula">{made}</{tag}>'

    return FORMULA.sub(one, page)
