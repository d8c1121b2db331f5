"""Give named tuples and flax's dataclasses a signature in the API reference."""

from typing import Any

import griffe


class Signatures(griffe.Extension):
    """An extension of griffe: fields become parameters, and are not listed again."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Change every such class of a package."""
        _visit(pkg)


def _visit(parent: griffe.Module | griffe.Class) -> None:
    for member in list(parent.members.values()):
        if member.is_alias:
            continue
        if isinstance(member, griffe.Class) and _has_fields(member):
            _sign(member)
        if isinstance(member, griffe.Module | griffe.Class):
            _visit(member)


def _has_fields(cls: griffe.Class) -> bool:
    flax = any(str(one.value).startswith("flax.struct.dataclass") for one in cls.decorators)
    return flax or any(str(base) == "NamedTuple" for base in cls.bases)


def _sign(cls: griffe.Class) -> None:
    """Make the signature from the fields, and drop those that have no docstring of their own."""
    fields = [
        member
        for member in cls.members.values()
        if isinstance(member, griffe.Attribute) and member.annotation and not _computed(member)
    ]
    keyword = griffe.ParameterKind.positional_or_keyword
    parameters = [griffe.Parameter("self", kind=keyword)]
    parameters += [
        griffe.Parameter(field.name, annotation=field.annotation, kind=keyword, default=field.value)
        for field in fields
    ]
    init = griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
    cls.set_member("__init__", init)
    for field in fields:
        if field.docstring is None:
            cls.del_member(field.name)


def _computed(attribute: griffe.Attribute) -> bool:
    return bool(attribute.labels & {"property", "cached"})
