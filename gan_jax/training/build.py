"""From an Experiment's names to objects: the one place where names are resolved."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Key

from gan_jax import config, latents, objectives, parallel, penalties
from gan_jax.config import Experiment, UserError
from gan_jax.data.pipeline import Source, open_source
from gan_jax.game import Batch, Game, Metrics, Net, State, fold, step
from gan_jax.games.gan import gan
from gan_jax.latents import Prior
from gan_jax.metrics.names import higher_is_better
from gan_jax.metrics.path_length import Paths
from gan_jax.networks import dcgan, layers, mlp
from gan_jax.training import scores


class Sampler(NamedTuple):
    """Samples of a state as host arrays, the same for the same key.

    `draw(state, key, count)` gives [count ...]; `walk(state, key, count, stops, frames)` gives
    [frames count ...], a closed walk of each sample through `stops` latents; `paths(state)` is the
    latent space as path length sees it.
    """

    draw: Callable[[State, Key[Array, ""], int], np.ndarray]
    walk: Callable[[State, Key[Array, ""], int, int, int], np.ndarray]
    paths: Callable[[State], Paths]


class Built(NamedTuple):
    """An experiment as objects.

    `key` is the run's root key; `round` plays one round of a device's share of a host batch;
    `highest` says whether the best checkpoint has the highest value of its metric.
    """

    experiment: Experiment
    key: Key[Array, ""]
    game: Game
    mesh: Mesh
    round: Callable[[State, Batch, Array], tuple[State, Metrics]]
    sampler: Sampler
    highest: bool


def build(experiment: Experiment) -> Built:
    """Resolves every name of an experiment; opens no data.

    Raises UserError for what cannot be built: a resolution that the networks do not have, a batch
    that does not divide among the devices, a metric that does not exist.
    """
    config.check(experiment)
    run = experiment.run
    try:
        mesh = parallel.make_mesh(run.devices or None)
    except ValueError as error:
        raise UserError(f"run.devices = {run.devices}: {error}") from error
    devices = mesh.size
    if experiment.batch_size < 1 or experiment.batch_size % devices:
        fits = max(1, round(experiment.batch_size / devices)) * devices
        raise UserError(
            f"batch_size = {experiment.batch_size} does not divide among {devices} devices; "
            f"the nearest that does is {fits}"
        )
    scores.expand(run.metrics)
    scores.check_features(run.features)
    game = make_game(experiment, data_shape(experiment.data))
    return Built(
        experiment,
        jax.random.key(experiment.seed),
        game,
        mesh,
        lambda state, batch, key: step(game, state, to_real(batch), key, axis_name=parallel.AXIS),
        make_sampler(experiment, game),
        higher_is_better(run.best),
    )


def data_shape(data: config.Data) -> tuple[int, ...]:
    """The shape of one real sample: pictures, or the points of a toy mixture."""
    if data.name.startswith("toy/"):
        return (2,)
    return (data.resolution, data.resolution, data.channels)


def open_data(experiment: Experiment, split: str | None = None) -> Source:
    """The experiment's data set, or another split of it; prepared first if need be.

    Raises UserError when it is not there and cannot be prepared.
    """
    data = experiment.data
    return open_source(
        data.name,
        split=split or data.split,
        path=data.path,
        resolution=data.resolution,
        channels=data.channels,
        resize=data.resize,
        on_bad_image=data.on_bad_image,
        data_dir=data.data_dir,
        seed=experiment.seed,
    )


def evaluate(
    built: Built,
    state: State,
    key: Key[Array, ""],
    source: Source,
    *,
    split: str | None = None,
    metrics: tuple[str, ...] = (),
    count: int | None = None,
    features: str | None = None,
) -> dict[str, float]:
    """The metrics of a state's samples against a data source; by default as the experiment says."""
    experiment, run = built.experiment, built.experiment.run
    subject = scores.Subject(
        sample=lambda count: built.sampler.draw(state, key, count),
        source=source,
        split=split or experiment.data.split,
        count=count or run.metric_samples,
        features=features or run.features,
        paths=lambda: built.sampler.paths(state),
    )
    return scores.scores(metrics or run.metrics, subject)


def to_real(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A host batch as games want it: pictures uint8 to float32 in [-1, 1], under `real`."""
    rest = {name: value for name, value in batch.items() if name not in ("image", "x")}
    if "x" in batch:
        return {"real": batch["x"], **rest}
    return {"real": batch["image"].astype(jnp.float32) / 127.5 - 1.0, **rest}


OBJECTIVES = {
    "minimax": objectives.minimax,
    "non_saturating": objectives.non_saturating,
    "least_squares": objectives.least_squares,
    "hinge": objectives.hinge,
    "wasserstein": objectives.wasserstein,
    "relativistic": objectives.relativistic,
}
ACTIVATIONS = {"relu": nn.relu, "leaky_relu": dcgan.leaky_relu, "tanh": jnp.tanh}
PRIORS = {"normal": latents.normal, "uniform": latents.uniform}


def make_game(experiment: Experiment, shape: tuple[int, ...]) -> Game:
    """The experiment's game on data of `shape` (without the batch)."""
    options = experiment.game
    generator, discriminator = make_nets(experiment, shape)
    every = options.penalty_every if options.r1 or options.r2 or options.gradient_penalty else 1
    decay = (
        0.5 ** (experiment.batch_size / (1000.0 * options.ema_kimg)) if options.ema_kimg else None
    )
    return gan(
        generator,
        discriminator,
        make_optimizer(experiment.generator),
        make_optimizer(lazily(experiment.discriminator, every)),
        objective=OBJECTIVES[options.objective](),
        prior=PRIORS[options.prior](options.z),
        r1=options.r1,
        r2=options.r2,
        gradient_penalty=options.gradient_penalty,
        penalty_every=options.penalty_every,
        n_critic=options.n_critic,
        ema=decay,
        simultaneous=options.simultaneous,
    )


def make_nets(experiment: Experiment, shape: tuple[int, ...]) -> tuple[Net, Net]:
    """Generator and discriminator for data of `shape`."""
    dtype = jnp.dtype(experiment.precision)
    axis = parallel.AXIS if experiment.sync_batch_norm else None

    def make(player: config.Player, role: str) -> Any:
        network = player.network
        generates = role == "generator"
        if isinstance(network, config.Mlp):
            if generates:
                out = (lambda x: x) if len(shape) == 1 else jnp.tanh  # points are not bounded
                return mlp.Generator(shape, network.widths, out=out, dtype=dtype)
            return mlp.Discriminator(network.widths, dtype=dtype)
        if len(shape) != 3:
            raise UserError(f"{role}.network = Dcgan makes pictures; the data has shape {shape}")
        resolution, _, channels = shape
        try:
            dcgan.smallest(resolution)
        except ValueError as error:
            raise UserError(f"data.resolution: {error}") from error
        batch = dcgan.batch_norm(axis)
        norms = {"batch": batch, "batch_everywhere": batch, "spectral": None, "none": None}
        common = {
            "resolution": resolution,
            "width": network.width,
            "kernel": network.kernel,
            "norm": norms[network.norm],
            "dtype": dtype,
            "pooled": network.resample == "pooled",
            "hidden": network.hidden,
            "norm_ends": network.norm == "batch_everywhere",
        }
        if network.activation:
            common["activation"] = ACTIVATIONS[network.activation]
        if network.norm == "spectral" and generates:
            raise UserError("generator.network.norm = 'spectral': did you mean 'batch' or 'none'?")
        if generates:
            return dcgan.Generator(channels=channels, **common)
        if network.norm == "spectral":
            common |= {"conv": layers.SpectralConv, "dense": layers.SpectralDense}
        return dcgan.Discriminator(**common)

    z = jax.ShapeDtypeStruct((2, experiment.game.z), jnp.float32)
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    return (
        Net(make(experiment.generator, "generator"), (z,)),
        Net(make(experiment.discriminator, "discriminator"), (x,)),
    )


def lazily(player: config.Player, every: int) -> config.Player:
    """The player's optimiser when one more move every `every` rounds shares it.

    Adam takes (every + 1) / every as many steps, so its rate and the logarithms of its betas shrink
    by that ratio (Karras et al. 2020, arXiv:1912.04958, appendix B).
    """
    if every == 1:
        return player
    ratio = every / (every + 1)
    b1, b2 = player.betas
    return dataclasses.replace(player, lr=player.lr * ratio, betas=(b1**ratio, b2**ratio))


def make_optimizer(player: config.Player) -> optax.GradientTransformation:
    """The player's optax transform, with weight clipping last when it is asked for."""
    b1, b2 = player.betas
    tx = {
        "adam": lambda: optax.adam(player.lr, b1, b2),
        "optimistic_adam": lambda: optax.optimistic_adam_v2(player.lr, b1=b1, b2=b2),
        "rmsprop": lambda: optax.rmsprop(player.lr, decay=0.99),
        "sgd": lambda: optax.sgd(player.lr),
    }[player.optimizer]()
    clip = player.clip_weights
    return optax.chain(tx, penalties.clip_weights(clip)) if clip else tx


SAMPLE_BATCH, STANDING_BATCHES = 64, 8


def make_sampler(experiment: Experiment, game: Game) -> Sampler:
    """The sampler of a game from noise to data.

    The averaged generator makes the samples if there is one. Averaged parameters never saw the
    running batch statistics, so those are taken anew, over fixed latents (standing statistics,
    Brock et al. 2019, arXiv:1809.11096, section 4.1).
    """
    prior = PRIORS[experiment.game.prior](experiment.game.z)
    between = {"normal": latents.slerp, "uniform": latents.lerp}[experiment.game.prior]
    net = game.nets["generator"]
    assert isinstance(net, Net)

    @jax.jit
    def settle(state: State) -> Any:
        if "generator" in state.ema:
            return parallel.alone(lambda v: standing(net, v, prior))(state.ema["generator"])
        return {"params": state.params["generator"], **state.stats["generator"]}

    @jax.jit
    def generate(variables: Any, z: Array) -> Array:
        return net(variables, z, train=False)[0]

    def batched(state: State, zs: Array) -> np.ndarray:
        variables, count = settle(state), len(zs)
        zs = jnp.pad(zs, ((0, -count % SAMPLE_BATCH), (0, 0)))  # one shape, one compilation
        parts = zs.reshape(-1, SAMPLE_BATCH, zs.shape[-1])
        return np.concatenate([np.asarray(generate(variables, z)) for z in parts])[:count]

    def draw(state: State, key: Array, count: int) -> np.ndarray:
        return batched(state, prior(key, jnp.arange(count)))

    def walk(state: State, key: Array, count: int, stops: int, frames: int) -> np.ndarray:
        z = prior(key, jnp.arange(stops * count)).reshape(stops, count, -1)
        where = jnp.arange(frames) * stops / frames
        stop = where.astype(jnp.int32)
        t = (where - stop)[:, None, None]
        zs = between(z[stop], z[(stop + 1) % stops], t)
        images = batched(state, zs.reshape(frames * count, -1))
        return images.reshape(frames, count, *images.shape[1:])

    def paths(state: State) -> Paths:
        variables = settle(state)

        def synthesise(key: Array, z: Array) -> Array:
            return generate(variables, z)

        return Paths("z", prior, between, synthesise)

    return Sampler(draw, walk, paths)


def standing(net: Net, variables: Any, prior: Prior) -> Any:
    """The variables with batch statistics averaged over `STANDING_BATCHES` fixed batches."""
    if "batch_stats" not in variables:
        return variables
    key = fold(jax.random.key(0), "standing")
    moved = {**variables, "batch_stats": jax.tree.map(jnp.zeros_like, variables["batch_stats"])}
    for number in range(STANDING_BATCHES):
        z = prior(key, number * SAMPLE_BATCH + jnp.arange(SAMPLE_BATCH))
        moved = {**moved, **net(moved, z)[1]}
    weight = 1.0 - dcgan.DECAY**STANDING_BATCHES  # a running mean that starts from zero lacks this
    stats = jax.tree.map(lambda leaf: leaf / weight, moved["batch_stats"])
    return {**variables, "batch_stats": stats}
