"""A network, a data set, a metric, a game and a recipe of your own, in one file anywhere.

Copy this file and change it; nothing of the package needs editing:

    gan-jax train path/to/template.py:rings --workdir runs/rings
    gan-jax train path/to/template.py:rings --workdir runs/rings --run.kimg 40   # resumes
    gan-jax sample runs/rings
    gan-jax evaluate runs/rings --metrics ring_error

The toy problem: images of rings at 16 px, whose mean radius is known.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gan_jax
from gan_jax import latents
from gan_jax.build.networks import make_network
from gan_jax.build.parts import Parts
from gan_jax.config import Ablation, Data, Experiment, Player, Run, ablation
from gan_jax.data.source import Source
from gan_jax.errors import NoSplit
from gan_jax.game import Move, Net
from gan_jax.sampling.recipes import from_noise

SIDE = 16  # pixels
RADII = (3.0, 6.0)  # pixels


# --- a network: its configuration, its modules, its spec ------------------------------------------


@dataclass(frozen=True)
class Radial:
    """A small network that works on pixels as one vector."""

    width: int = 128
    """Units of each hidden layer."""


class RadialGenerator(nn.Module):
    """Latents [b z] to images [b h w c] in [-1, 1]."""

    shape: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, z: jax.Array, *, train: bool = True) -> jax.Array:
        x = nn.gelu(nn.Dense(self.width)(z))
        x = nn.gelu(nn.Dense(self.width)(x))
        x = nn.Dense(int(np.prod(self.shape)))(x)
        return jnp.tanh(x.reshape(-1, *self.shape))


class RadialDiscriminator(nn.Module):
    """Images [b h w c] to logits [b]."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = True) -> jax.Array:
        x = nn.gelu(nn.Dense(self.width)(x.reshape(len(x), -1)))
        return nn.Dense(1)(nn.gelu(nn.Dense(self.width)(x)))[:, 0]


def radial_generator(context: gan_jax.Context) -> nn.Module:
    """The generator for samples of `context.shape`."""
    return RadialGenerator(context.shape, context.config.width)


def radial_discriminator(context: gan_jax.Context) -> nn.Module:
    """The discriminator."""
    return RadialDiscriminator(context.config.width)


gan_jax.register_network(
    gan_jax.NetworkSpec(Radial, radial_generator, radial_discriminator, tiny={"width": 8})
)


# --- a data set of numpy arrays -------------------------------------------------------------------


def open_rings(data: Data, split: str, seed: int) -> Source:
    """Rings with radii that are uniform between two bounds; 2,000 to train on, 500 to test."""
    sizes = {"train": 2000, "test": 500}
    if split not in sizes:
        raise NoSplit(f"data set 'mine/rings' has no split {split!r}; it has train and test")
    rng = np.random.default_rng(list(sizes).index(split))
    radius = rng.uniform(*RADII, size=(sizes[split], 1, 1))
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2.0
    ring = np.exp(-((np.hypot(x, y) - radius) ** 2))
    images = np.rint(255.0 * ring[..., None]).astype(np.uint8)
    return gan_jax.from_arrays("mine/rings", {"image": images}, description="rings at 16 px")


gan_jax.register_dataset(gan_jax.DatasetSpec("mine/rings", open_rings))


# --- a metric -------------------------------------------------------------------------------------


def ring_error(context) -> dict[str, float]:
    """How far samples are from the nearest ring: mean absolute grey level, as a share of 255.

    `context.sample(n)` draws samples, uint8 [n h w c]; `context.source` is the data set.
    """
    samples = context.sample(256).astype(np.float32)[..., 0] / 255.0
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2.0
    radii = np.linspace(*RADII, 61)[:, None, None]
    rings = np.exp(-((np.hypot(x, y) - radii) ** 2)).reshape(len(radii), -1)
    flat = samples.reshape(len(samples), 1, -1)
    return {"ring_error": float(np.abs(flat - rings).mean(-1).min(-1).mean())}


gan_jax.register_metric(
    gan_jax.MetricSpec("ring_error", ring_error, better={"ring_error": "lower"})
)


# --- a game: what each player descends ------------------------------------------------------------


@dataclass(frozen=True)
class LeastSquares:
    """Least-squares GAN (Mao et al. 2017, arXiv:1611.04076) with a weight on D's fake term."""

    z: int = 16
    """Size of the latent."""
    fake_weight: float = 1.0
    """Weight of the fake term in the discriminator's loss."""


def make_least_squares(experiment, options: LeastSquares, shape, stage) -> Parts:
    """Two networks, two moves: the discriminator's, then the generator's."""
    z = jax.ShapeDtypeStruct((2, options.z), jnp.float32)
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    generator = Net(make_network(experiment, "generator", shape), (z,))
    discriminator = Net(make_network(experiment, "discriminator", shape), (x,))
    prior = latents.normal(options.z)

    def draw(batch, key):
        """Latents of this batch's rows, the same whatever the number of devices."""
        return prior(key, batch["index"])

    def d_loss(nets, batch, key):
        fake, _ = generator(nets["generator"], draw(batch, key))
        real_logit, _ = discriminator(nets["discriminator"], batch["real"])
        fake_logit, _ = discriminator(nets["discriminator"], jax.lax.stop_gradient(fake))
        loss = jnp.mean((real_logit - 1.0) ** 2) + options.fake_weight * jnp.mean(fake_logit**2)
        return loss, gan_jax.Aux({}, {"loss": loss})

    def g_loss(nets, batch, key):
        fake, _ = generator(nets["generator"], draw(batch, key))
        logit, _ = discriminator(nets["discriminator"], fake)
        loss = jnp.mean((logit - 1.0) ** 2)
        return loss, gan_jax.Aux({}, {"loss": loss})

    def adam(player: Player) -> optax.GradientTransformation:
        return optax.adam(player.lr, *player.betas)

    game = gan_jax.Game(
        nets={"generator": generator, "discriminator": discriminator},
        players={
            "generator": gan_jax.Player(("generator",), adam(experiment.generator)),
            "discriminator": gan_jax.Player(("discriminator",), adam(experiment.discriminator)),
        },
        moves=(Move("discriminator", d_loss), Move("generator", g_loss)),
    )
    return Parts(game, from_noise(generator, prior, latents.slerp))


gan_jax.register_game(gan_jax.GameSpec(LeastSquares, make_least_squares))


# --- a recipe, and a table of ablations -----------------------------------------------------------


def rings() -> Experiment:
    """Rings by a least-squares GAN, half a minute on one core: clean rings of every radius."""
    player = Player(network=Radial(), lr=5e-4, betas=(0.5, 0.99))
    return Experiment(
        "rings",
        player,
        player,
        LeastSquares(),
        Data("mine/rings", resolution=SIDE, channels=1),
        run=Run(kimg=200.0, sample_kimg=20.0, metrics=("ring_error",), best="ring_error"),
    )


WEIGHTS: Ablation = ablation(
    rings(),
    {"weight 1": {}, "weight 0.5": {"game.fake_weight": 0.5}},
    seeds=(0, 1),
    quantities=("ring_error",),
)
