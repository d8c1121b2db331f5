"""The HTML of reports and tables, from the Jinja templates of `templates/`."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup as Html

Values = dict[str, Any]
"""What a block of a template is filled in with, by name: texts, numbers, lists, inner blocks."""

_TEMPLATES = Environment(
    loader=PackageLoader("gan_jax.reporting"), autoescape=True, undefined=StrictUndefined
)


def render(template: str, **values: object) -> Html:
    """Fill in a template. Values are escaped unless they are `Html`.

    Raises:
        jinja2.UndefinedError: a value is missing.
    """
    return Html(_TEMPLATES.get_template(template).render(values))
