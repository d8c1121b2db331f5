"""The networks and games that an experiment may name: those of the package and a user's own."""

import abc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

from gan_jax.errors import UserError, nearest

if TYPE_CHECKING:  # for a type checker, any dataclass will do

    @runtime_checkable
    class Network(Protocol):
        """Any dataclass."""

        __dataclass_fields__: ClassVar[dict[str, Any]]

    @runtime_checkable
    class Game(Protocol):
        """Any dataclass."""

        __dataclass_fields__: ClassVar[dict[str, Any]]

else:  # registered classes are virtual subclasses, which the command line's parser understands

    class Network(abc.ABC):  # noqa: B024
        """The configuration of a network: a frozen dataclass that was registered as one."""

    class Game(abc.ABC):  # noqa: B024
        """The configuration of a game: a frozen dataclass that was registered as one."""


C = TypeVar("C", bound=type)


class Kind(NamedTuple):
    """A registered configuration class, and how `tiny` shrinks it.

    Attributes:
        config: the frozen dataclass.
        tiny: by field, its value in the smallest relative, or a function of the value it has.
        resolution: the largest images of a network's smallest relative, in pixels.
        stand_in: the embedded data set that stands in for a game's data where that is not at hand.
    """

    config: type
    tiny: Mapping[str, object] = {}
    resolution: int = 32
    stand_in: str = "fashion_mnist_10k"


KINDS: dict[type, dict[str, Kind]] = {Network: {}, Game: {}}
"""By base (`Network`, `Game`) and class name."""


def add(base: type, kind: Kind) -> None:
    """Register a configuration class as a kind of `base`.

    A file that is read again replaces its own classes.

    Raises:
        UserError: if a class of the package has that name.
    """
    name = kind.config.__name__
    old = KINDS[base].get(name)
    if old is not None and old.config is not kind.config and _is_ours(old.config):
        what = "network" if base is Network else "game"
        raise UserError(f"gan_jax has a {what} named {name!r} already; give yours another name")
    base.register(kind.config)  # pyright: ignore[reportAttributeAccessIssue]
    KINDS[base][name] = kind


def _is_ours(config: type) -> bool:
    return config.__module__.startswith("gan_jax.")


def network(**shrunk: Any) -> Callable[[C], C]:
    """Decorate a dataclass that configures a network; the arguments are those of `Kind`."""
    return _decorator(Network, shrunk)


def game(**shrunk: Any) -> Callable[[C], C]:
    """Decorate a dataclass that configures a game; the arguments are those of `Kind`."""
    return _decorator(Game, shrunk)


def _decorator(base: type, shrunk: Mapping[str, Any]) -> Callable[[C], C]:
    def register(config: C) -> C:
        add(base, Kind(config, **shrunk))
        return config

    return register


def find(base: type, name: str, path: str = "") -> type:
    """The configuration class of that name.

    Raises:
        UserError: if there is none, naming the nearest.
    """
    if name not in KINDS[base]:
        guess = nearest(name, KINDS[base])
        raise UserError(f"{path or 'experiment'} has no kind {name!r}; did you mean {guess}?")
    return KINDS[base][name].config


def kind_of(value: object) -> Kind | None:
    """The kind of a network's or game's configuration; None for any other value."""
    return kind_of_class(type(value))


def kind_of_class(config: type) -> Kind | None:
    """The kind of a configuration class; None for any other class."""
    for kinds in KINDS.values():
        kind = kinds.get(config.__name__)
        if kind is not None and kind.config is config:
            return kind
    return None
