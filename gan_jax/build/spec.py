"""What is known of a network or a game, in one value each; a user's own register like ours."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import flax.linen as nn
from jax.typing import DTypeLike

from gan_jax.build.parts import Parts
from gan_jax.build.schedule import Stage
from gan_jax.config import Experiment, kinds
from gan_jax.games.frozen import FrozenFeatures
from gan_jax.networks import dcgan


class Context(NamedTuple):
    """What a network is built for.

    Attributes:
        config: its configuration, as the experiment has it.
        shape: of one real sample: [h w c] of images, [d] of points, [t m] of speech.
        dtype: the arithmetic of its layers; parameters are float32.
        axis: the device axis that batch statistics are taken over; None for each device's own.
    """

    config: Any
    shape: tuple[int, ...]
    dtype: DTypeLike
    axis: str | None

    @property
    def batch_norm(self) -> dcgan.Norm:
        """The batch norm of these devices, as `dcgan.Generator` takes it."""
        return dcgan.batch_norm(self.axis)


Make = Callable[..., nn.Module]


class NetworkSpec(NamedTuple):
    """A kind of network.

    `generator` and `discriminator` are `(context, **options) -> nn.Module`; None where the network
    has no such role. The options are what a game asks of the network, such as `classes=10` of a
    discriminator with an auxiliary classifier; one that a function does not take is refused by
    name.

    Attributes:
        config: the frozen dataclass that configures it.
        generator: makes the module that maps (z, condition...) to samples.
        discriminator: makes the module that maps (x, condition...) to logits [b].
        features: `(context, seed) ->` the frozen network through which the discriminator sees
            samples: its inputs are then that network's maps.
        makes: what it makes or judges, in words for an error message.
        axes: of one sample: 3 for images, 2 for speech, 0 for any.
        multiple: what must divide the sides of images that a generator translates, by the shape it
            was trained on.
        provides: capabilities of an experiment whose discriminator it is (`CAPABILITIES`).
        tiny: by field, its value in a recipe's smallest relative, or a function of its value.
        tiny_resolution: the largest images of that relative, in pixels.
        starts: what its generator starts from: "latents", "samples" as a translator, "styles", or
            "" for anything.
    """

    config: type
    generator: Make | None = None
    discriminator: Make | None = None
    features: Callable[[Context, int], FrozenFeatures] | None = None
    makes: str = "pictures"
    axes: int = 3
    multiple: Callable[[tuple[int, ...]], int] = lambda shape: 1
    provides: frozenset[str] = frozenset()
    tiny: Mapping[str, object] = {}
    tiny_resolution: int = 32
    starts: Literal["", "latents", "samples", "styles"] = ""


class GameSpec(NamedTuple):
    """A kind of game.

    Attributes:
        config: the frozen dataclass that configures it.
        make: `(experiment, config, shape, stage) -> Parts`, where `shape` is that of one real
            sample and `stage` the part of a growing run (see `build.schedule`).
        columns: of its batches: "image", or "x" and "y", or "image" and "text".
        stand_in: the embedded data set that a recipe's smallest relative plays with where the
            recipe's own is not at hand.
        tiny: by field, its value in that relative, or a function of its value.
    """

    config: type
    make: Callable[[Experiment, Any, tuple[int, ...], Stage], Parts]
    columns: tuple[str, ...] = ("image",)
    stand_in: str = "fashion_mnist_10k"
    tiny: Mapping[str, object] = {}


NETWORKS: dict[type, NetworkSpec] = {}
GAMES: dict[type, GameSpec] = {}


def register_network(spec: NetworkSpec) -> None:
    """Make a network known to experiments, by the name of its configuration's class.

    Raises:
        UserError: if the package has a network of that name.
    """
    if kinds.kind_of_class(spec.config) is None:  # the package's own say it in config/networks.py
        kind = kinds.Kind(spec.config, spec.tiny, spec.tiny_resolution)
        kinds.add(kinds.Network, kind)
    NETWORKS[spec.config] = spec


def register_game(spec: GameSpec) -> None:
    """Make a game known to experiments, by the name of its configuration's class.

    Raises:
        UserError: if the package has a game of that name.
    """
    if kinds.kind_of_class(spec.config) is None:
        kinds.add(kinds.Game, kinds.Kind(spec.config, spec.tiny, stand_in=spec.stand_in))
    GAMES[spec.config] = spec
