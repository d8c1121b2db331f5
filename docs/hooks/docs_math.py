"""Convert formulas to MathML while the site is built, so that no script is needed to show them."""

import html
import itertools
import re
from xml.etree import ElementTree

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.DOTALL)
UNKNOWN = re.compile(r"\\[a-zA-Z]+|<m[io]>&</m[io]>")  # what the converter passed on as it was
ROWS = {"math", "mrow", "mtd", "mstyle"}  # whose children stand side by side
CLOSING = {")", "]", "}", "|", "\u2016", "\u2225", "\u27e9"}
SIGNS = {"-", "\u2212", "+"}
THIN = "0.17em"


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
        return f'<{tag} class="formula">{spaced(made)}</{tag}>'

    return FORMULA.sub(one, page)


def spaced(mathml: str) -> str:
    """Put thin spaces beside names of functions as TeX does (log p), and none after signs."""
    root = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", mathml, count=1))
    for element in root.iter():
        if _is_name(element):
            element.tag = "mi"  # an operator would have wide spaces on both sides
    for parent in list(root.iter()):
        if parent.tag in ROWS:
            _space(parent)
    return ElementTree.tostring(root, encoding="unicode")


def _space(row: ElementTree.Element) -> None:
    for before, after in list(itertools.pairwise(row)):
        operator = before.tag == "mo" and before.text not in CLOSING
        if operator and after.tag == "mo" and after.text in SIGNS:
            after.set("form", "prefix")  # [-1, 1], where the minus is no difference
        if operator or {before.tag, after.tag} & {"mspace"} or after.tag == "mo":
            continue
        if _is_function(after) or _is_function(before):
            row.insert(list(row).index(after), ElementTree.Element("mspace", width=THIN))


def _is_name(element: ElementTree.Element) -> bool:
    text = element.text or ""
    return element.tag in ("mi", "mo") and len(text) > 1 and text.isascii() and text.isalpha()


def _is_function(element: ElementTree.Element) -> bool:
    """Whether it is a name, or one with something below or beside it."""
    scripted = element.tag in ("munder", "msub", "msup") and len(element) > 0
    return _is_name(element[0]) if scripted else _is_name(element)
