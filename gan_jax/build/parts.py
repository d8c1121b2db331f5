"""The results of building: a game with its sampling recipe, and the experiment as objects."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from jax.sharding import Mesh
from jaxtyping import Array, Key, PyTree

from gan_jax.build.schedule import Stage
from gan_jax.config import Experiment
from gan_jax.game import Batch, Game, Metrics, State
from gan_jax.sampling.recipes import SamplingRecipe
from gan_jax.sampling.sampler import Sampler

IW_DRAWS = 64  # of the importance-weighted bound (Burda et al. 2016, arXiv:1509.00519)


class Bounds(NamedTuple):
    """Bounds on the log-likelihood of a model.

    Attributes:
        of: `(x, key)` to "elbo" and "iw_bound" in nats [b], and the "reconstruction".
        per_level: as in `games.vae.Likelihood`.
        label: names the likelihood.
    """

    of: Callable[[Array, Array], Mapping[str, Array]]
    per_level: float
    label: str


CAPABILITIES = {
    "images": "data of images",
    "labels": "a generator that is conditioned on labels (game.condition)",
    "latents": "a generator with a latent space",
    "styles": "a generator with styles",
    "likelihood": "a game with a likelihood: a VAE",
    "translation": "a game that translates pictures",
    "captions": "captions to draw from",
    "voices": "data of voices",
    "discriminator features": "a Dcgan player",
}
"""What a metric may need of an experiment, and how an error message names it."""


class Parts(NamedTuple):
    """A game and how its states make samples.

    Attributes:
        game: the game.
        recipe: how its networks make samples.
        real: the column of the data that samples imitate.
        held_out: samples begin with data: grids show those of the test split.
        bounds: of a state, where the game has a likelihood.
        see: what a round makes of its batch, given the step.
        also: capabilities beyond those that `provides` reads off the other fields.
    """

    game: Game
    recipe: SamplingRecipe
    real: str = "image"
    held_out: bool = False
    bounds: Callable[[State], Bounds] | None = None
    see: Callable[[dict[str, PyTree], Array], dict[str, PyTree]] = lambda batch, step: batch
    also: frozenset[str] = frozenset()

    @property
    def provides(self) -> frozenset[str]:
        """What metrics may ask of the game: see `CAPABILITIES`."""
        recipe = self.recipe
        there = {
            "labels": recipe.classes > 0,
            "latents": recipe.prior is not None,
            "styles": recipe.styles is not None,
            "likelihood": self.bounds is not None,
            "translation": bool(recipe.translators),
        }
        return self.also | {name for name, yes in there.items() if yes}


class Built(NamedTuple):
    """An experiment as objects, those of one stage if the game grows.

    Attributes:
        experiment: the experiment.
        key: the root key of the run.
        game: the game.
        mesh: the devices.
        round: `(state, batch, key)` to the state after a round and its metrics, on one device's
            share of a host batch.
        sampler: makes samples.
        exact: makes a sampler that computes in float32 whatever the precision.
        real, held_out, bounds, provides: as in `Parts`.
        stages: all stages.
        at: `(step)` to the objects of the stage that a round belongs to.
        missing: of capabilities that the game has and a state without some networks has not, what
            they need.
        stand_in: the data set that conditions of samples are taken from in place of the
            experiment's; "" for the experiment's.
    """

    experiment: Experiment
    key: Key[Array, ""]
    game: Game
    mesh: Mesh
    round: Callable[[State, Batch, Array], tuple[State, Metrics]]
    sampler: Sampler
    exact: Callable[[], Sampler]
    real: str
    held_out: bool
    bounds: "Callable[[State], Bounds] | None"
    provides: frozenset[str]
    stages: tuple[Stage, ...]
    at: "Callable[[int], Built]"
    missing: Mapping[str, str] = {}
    stand_in: str = ""

    @property
    def classes(self) -> int:
        """Number of classes that the generator is conditioned on; 0 for none."""
        return getattr(self.experiment.game, "classes", 0)
