"""HTML templates: files with marks for values, repeated blocks and alternatives.

@@name@@                    the value, escaped unless it is `Html`
@@#name@@ ... @@/name@@     once per item if the value is a list, with the item's values; once
                            if it is a dictionary, with its values, or True, with the present
                            ones; not at all if it is None, False or empty
@@^name@@ ... @@/name@@     once, if the block above would not appear
"""

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MARK = re.compile(r"@@([#^])(\w+)@@(.*?)@@/\2@@|@@(\w+)@@", re.DOTALL)


class Html(str):
    """HTML that is trusted and inserted as it is."""


def read_template(name: str) -> str:
    """Read a template of this package."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def render(template: str, values: Mapping[str, Any]) -> Html:
    """Fill in a template.

    Inserted values are not searched for marks. A block cannot contain another of its own name.

    >>> render("<ul>@@#rows@@<li>@@x@@</li>@@/rows@@</ul>", {"rows": [{"x": 1}, {"x": "<"}]})
    '<ul><li>1</li><li>&lt;</li></ul>'

    Args:
        template: the text with the marks described above.
        values: a value for each of its marks.

    Raises:
        KeyError: a value is missing.
    """

    def replace(mark: re.Match[str]) -> str:
        kind, block, content, name = mark.groups()
        if name is not None:
            value = values[name]
            return value if isinstance(value, Html) else html.escape(str(value))
        value = values[block]
        if kind == "^":
            return "" if value else render(content, values)
        if value is True:
            return render(content, values)
        items = [value] if isinstance(value, Mapping) else value
        return "".join(render(content, item) for item in items or ())

    return Html(_MARK.sub(replace, template))
