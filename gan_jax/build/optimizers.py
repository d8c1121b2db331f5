"""A player's optax transform, and the schedules of rates and penalties."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import optax
from jaxtyping import Array

from gan_jax import config, penalties
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.game import Game

Value = float | Callable[[Array], Array]  # a number, or a function of the round


def annealed(
    experiment: Experiment,
    anneal: config.Anneal,
    value: float,
    *,
    start: float | None = None,
    end: float | None = None,
) -> Value:
    """A value, or its schedule where the experiment anneals: half a cosine.

    Args:
        experiment: gives the batch size.
        anneal: the length of the cosine; 0 kimg for no schedule.
        value: the value without a schedule.
        start: the first value; None for `value`.
        end: the last value; None for `value`.

    Returns:
        The value, or a function of the round.
    """
    first, last = value if start is None else start, value if end is None else end
    if not anneal.kimg or first == last:
        return value

    def at(round: Array | int) -> Array:
        done = jnp.minimum(round * experiment.batch_size / (1000.0 * anneal.kimg), 1.0)
        return first + (last - first) * 0.5 * (1.0 - jnp.cos(jnp.pi * done))

    return at


def make_annealed(
    experiment: Experiment,
    role: str,
    anneal: config.Anneal,
    rounds: int = 1,
    lazy: int = 1,
    start: int = 0,
) -> optax.GradientTransformation:
    """A player's optimiser, with annealed rate and beta2.

    Args:
        experiment: names the player.
        role: "generator" or "discriminator".
        anneal: the schedule.
        rounds: rounds between the player's moves.
        lazy: rounds between its extra moves, of a lazy penalty (see `lazily`); 1 for none.
        start: the round of its first move.

    Raises:
        UserError: if the optimiser is annealed and not plain Adam.
    """
    player: config.Player = getattr(experiment, role)
    if not anneal.kimg:
        return make_optimizer(lazily(player, lazy))
    if player.optimizer != "adam" or player.clip_weights:
        given = f"{role}.optimizer = {player.optimizer!r} with clip_weights {player.clip_weights:g}"
        raise UserError(f"{given}: game.anneal moves plain Adam; did you mean 'adam' and 0?")
    b1, b2 = player.betas
    goal = dataclasses.replace(player, lr=anneal.lr * player.lr, betas=(b1, anneal.beta2 or b2))
    first, last = lazily(player, lazy), lazily(goal, lazy)
    per_move = rounds * (1.0 if lazy == 1 else lazy / (lazy + 1))

    def counted(value: float, end: float) -> Value:
        """The schedule as a function of the optimiser's count of its moves."""
        at = annealed(experiment, anneal, value, end=end)
        return (lambda count: at(start + count * per_move)) if callable(at) else at

    return optax.inject_hyperparams(optax.adam, static_args=("b1",))(
        learning_rate=counted(first.lr, last.lr),
        b1=first.betas[0],
        b2=counted(first.betas[1], last.betas[1]),
    )


def rated(player: config.Player, rate: float) -> config.Player:
    """The player with its learning rate multiplied by `rate`."""
    return dataclasses.replace(player, lr=player.lr * rate)


def decaying(experiment: Experiment, game: Game) -> Game:
    """The game with the linear decay of its players' learning rates.

    An optimiser counts its own moves; the images that were shown follow from how often it moves,
    and since when.

    Raises:
        UserError: for a decay that ends before it begins, and for one in a run that grows.
    """
    players = {}
    for name, player in game.players.items():
        role = "discriminator" if name.endswith("discriminator") else "generator"
        start, end = getattr(experiment, role).decay
        if start == end == 0.0:
            players[name] = player
            continue
        if end <= start:
            raise UserError(f"{role}.decay = ({start:g}, {end:g}): the fall ends before it begins")
        grow = getattr(experiment.game, "grow", None)
        if grow is not None and grow.start:
            raise UserError(f"{role}.decay cannot be had with game.grow, which begins Adam anew")
        own = [move for move in game.moves if move.player == name]
        moves, size = sum(1.0 / move.every for move in own), experiment.batch_size / 1000.0
        shown = size * min(move.start for move in own)
        fall = linear_decay(start - shown, end - shown, size / moves)
        players[name] = player._replace(tx=optax.chain(player.tx, optax.scale_by_schedule(fall)))
    return game._replace(players=players)


def linear_decay(start: float, end: float, kimg: float) -> optax.Schedule:
    """The factor of the learning rate by the count of moves, of `kimg` each: from 1 down to 0."""
    return lambda count: jnp.clip((end - count * kimg) / (end - start), 0.0, 1.0)


def lazily(player: config.Player, every: int) -> config.Player:
    """The player whose Adam also takes a step for a lazy penalty every `every` rounds.

    Adam then takes (every + 1) / every as many steps, so its rate and the logarithms of its betas
    shrink by that ratio.

    References:
        Karras et al. 2020 (arXiv:1912.04958), appendix B.
    """
    if every == 1:
        return player
    ratio = every / (every + 1)
    b1, b2 = player.betas
    return dataclasses.replace(player, lr=player.lr * ratio, betas=(b1**ratio, b2**ratio))


def make_optimizer(player: config.Player) -> optax.GradientTransformation:
    """The player's optax transform, followed by weight clipping if it has any."""
    b1, b2 = player.betas
    tx = {
        "adam": lambda: optax.adam(player.lr, b1, b2),
        "optimistic_adam": lambda: optax.optimistic_adam_v2(player.lr, b1=b1, b2=b2),
        "rmsprop": lambda: optax.rmsprop(player.lr, decay=0.99, eps_in_sqrt=False),
        "sgd": lambda: optax.sgd(player.lr),
    }[player.optimizer]()
    clip = player.clip_weights
    return optax.chain(tx, penalties.clip_weights(clip)) if clip else tx
