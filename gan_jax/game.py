"""The game as a value: networks, players and an ordered tuple of moves.

`init` opens a game, `step` plays one round, `vector_field` is the same game as a loss-landscape
notebook sees it. Whatever the literature calls a method is a function in `games/` that returns a
`Game`. The game itself is Goodfellow et al. 2014, arXiv:1406.2661.
"""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key, PyTree, Scalar

Variables = Mapping[str, PyTree]  # {"params": ..., and the collections that are not trained}
Batch = Mapping[str, Any]  # per-example arrays; the core adds "index", the global example number,
# and the scalar "round", which counts from 0
Metrics = dict[str, dict[str, Array]]  # of each move, by its label


class Net(NamedTuple):
    """A Linen module as a pure function. `inputs` are its inputs' shapes with a batch of any size.

    The module's `__call__` takes `(*inputs, train=...)`.
    """

    module: nn.Module
    inputs: tuple[jax.ShapeDtypeStruct, ...]

    def init(self, key: Key[Array, ""]) -> Variables:
        """Fresh variables: `params` and, where the module has them, statistics."""
        inputs = [jnp.zeros(x.shape, x.dtype) for x in self.inputs]
        return self.module.init(_streams(key) | {"params": key}, *inputs, train=True)

    def __call__(
        self,
        variables: Variables,
        *inputs: Array | None,
        key: Key[Array, ""] | None = None,
        train: bool = True,
        method: str | None = None,
    ) -> tuple[Any, Variables]:
        """The module's output and its statistics after this pass (unchanged unless `train`).

        `method` names another of the module's methods that takes `(*inputs, train=...)`.

        Nothing is stored on the side, so the call can be differentiated any number of times.
        `key` feeds the streams `dropout` and `noise` of modules that draw random numbers.
        """
        stats = statistics(variables)
        rngs = {} if key is None else _streams(key)
        if not train:
            out = self.module.apply(variables, *inputs, train=False, rngs=rngs, method=method)
            return out, stats
        out, moved = self.module.apply(
            variables, *inputs, train=True, rngs=rngs, mutable=list(stats), method=method
        )
        return out, {**stats, **moved}


class Memory(NamedTuple):
    """State without a network: a pool of past images, a running mean.

    A loss returns its new value in `Aux.stats`; on several devices that value must already be the
    same on each (a pool is gathered), unless `mean` says that its floats are to be averaged.
    """

    initial: Callable[[], PyTree]
    mean: bool = False


class Player(NamedTuple):
    """Owns networks and moves them with one optimiser."""

    nets: tuple[str, ...]
    tx: optax.GradientTransformation


class Aux(NamedTuple):
    """What a loss reports beside its value: new statistics by network, scalars by name."""

    stats: Mapping[str, PyTree] = {}
    metrics: Mapping[str, Scalar] = {}


Loss = Callable[[Mapping[str, Any], Batch, Array], tuple[Scalar, Aux]]


class Move(NamedTuple):
    """`player` descends `loss(variables, batch, key)` in its own parameters, every `every` rounds.

    The move is played in the last of each `every` rounds: the critic's extra steps (n_critic) and
    lazy regularisation are the same number. `reads_shared` says whether the loss reads the round's
    shared forward pass, so that a move that does not pays no backward pass through it.
    """

    player: str
    loss: Loss
    every: int = 1
    name: str = ""
    reads_shared: bool = True

    @property
    def label(self) -> str:
        """`player` or `player/name`: the prefix of the move's metrics."""
        return f"{self.player}/{self.name}" if self.name else self.player


class Shared(NamedTuple):
    """A forward pass through `player`'s networks, run once at the start of a round.

    `forward(variables, batch, key) -> (values, stats)`; the values, a dict, join the batch of every
    move. Only `player`'s own gradients flow back through it, so fakes serve all moves of a round.

    `recall(variables, values, key) -> (more, stats)` is for what remembers examples (a pool of past
    fakes): it sees the values of all devices' examples in their global order, and gives a dict of
    as many rows, of which each device's own join its batch, as constants, and new memories.
    """

    player: str
    forward: Callable[[Mapping[str, Any], Batch, Array], tuple[dict[str, Any], dict[str, PyTree]]]
    recall: Callable[[Mapping[str, Any], Batch, Array], tuple[dict[str, Any], dict]] | None = None


class Game(NamedTuple):
    """Networks, players, and moves played in this order: alternation is the tuple.

    `ema` maps a network to the decay per round of its averaged copy, a number or a function of the
    round; `simultaneous` takes every gradient at the round's start, for ablations.
    """

    nets: Mapping[str, Net | Memory]
    players: Mapping[str, Player]
    moves: tuple[Move, ...]
    shared: Shared | None = None
    ema: Mapping[str, float | Callable[[Scalar], Scalar]] = {}
    simultaneous: bool = False


@flax.struct.dataclass
class State:
    """All that a game carries from round to round, arrays only: this is the checkpoint.

    `step` counts rounds; `params`, `stats` by network; `opt` by player; `ema` holds full variables
    by network, parameters averaged and statistics copied.
    """

    step: PyTree
    params: PyTree
    stats: PyTree
    opt: PyTree
    ema: PyTree


def fold(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """The key of a named purpose: independent of the order in which purposes are asked for."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def noise_key(key: Key[Array, ""], name: str, batch: Batch) -> Key[Array, ""]:
    """The key of a network's dropout and noise: another one on each device."""
    return jax.random.fold_in(fold(key, name), batch["index"][0])


def statistics(variables: Variables) -> dict[str, PyTree]:
    """A network's variables without its parameters."""
    return {name: tree for name, tree in variables.items() if name != "params"}


def init(game: Game, key: Key[Array, ""]) -> State:
    """Opens a game: the state before the first round.

    A player that names no network of the game is a `KeyError` naming it, two moves of one label
    are a `ValueError`.
    """
    labels = [move.label for move in game.moves]
    if len(set(labels)) < len(labels):
        raise ValueError(f"two moves share a label, and so their metrics: {labels}; name one")
    variables = {n: net.init(fold(key, n)) for n, net in game.nets.items() if isinstance(net, Net)}
    memories = {n: m.initial() for n, m in game.nets.items() if isinstance(m, Memory)}
    params = {n: v["params"] for n, v in variables.items()}
    stats = {n: statistics(v) for n, v in variables.items()}
    opt = {n: p.tx.init({net: params[net] for net in p.nets}) for n, p in game.players.items()}
    ema = {n: jax.tree.map(jnp.copy, dict(variables[n])) for n in game.ema}
    return State(jnp.zeros((), jnp.int32), params, stats | memories, opt, ema)


def variables(game: Game, state: State) -> dict[str, Any]:
    """What losses read: `{"params": ..., **statistics}` of a network, the value of a memory."""
    return {
        name: {"params": state.params[name], **state.stats[name]}
        if isinstance(net, Net)
        else state.stats[name]
        for name, net in game.nets.items()
    }


def step(
    game: Game,
    state: State,
    batch: Batch,
    key: Key[Array, ""],
    *,
    axis_name: str | None = None,
) -> tuple[State, Metrics]:
    """Plays one round: the shared forward pass, each move in turn, the averaged copies.

    `key` is the run's root key, the same in every round; it is folded with the round here. Inside a
    mapped axis, `batch` is this device's share and gradients, statistics and metrics are averaged
    over `axis_name`. Returns the next state and, by move, `loss`, `grad_norm` and the loss's own
    metrics; a move that was not played in this round reports zeros.
    """
    key = jax.random.fold_in(key, state.step)
    batch = indexed(batch, state.step, axis_name)
    opening = state.params
    forward, stats = _share(game, variables(game, state), batch, key)
    state = _remember(game, state, stats, axis_name)
    recalled, memories = _recall(game, variables(game, state), forward, key, axis_name)
    state = _remember(game, state, memories, axis_name)
    batch |= recalled
    metrics = {}
    for number, move in enumerate(game.moves):
        move_key = jax.random.fold_in(key, number)

        def turn(state: State, move: Move = move, move_key: Array = move_key):
            params = opening if game.simultaneous else state.params
            seen = variables(game, dataclasses.replace(state, params=params))
            played = gradient(game, move, seen, batch, move_key, forward)
            return _update(game, move, state, *played, axis_name)

        if move.every == 1:
            state, metrics[move.label] = turn(state)
        else:
            idle = jax.tree.map(
                lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(turn, state)[1]
            )
            state, metrics[move.label] = jax.lax.cond(
                (state.step + 1) % move.every == 0,
                turn,
                lambda state, idle=idle: (state, idle),
                state,
            )
    return dataclasses.replace(_average(game, state), step=state.step + 1), metrics


def played(game: Game, step: int) -> tuple[str, ...]:
    """The labels of the moves that round number `step` (from 0) plays."""
    return tuple(m.label for m in game.moves if (step + 1) % m.every == 0)


class Forward(NamedTuple):
    """The round's shared values, and the way back: `pull` maps their cotangents to gradients."""

    values: dict[str, Any]
    pull: Callable[[dict[str, Any]], tuple[dict[str, PyTree]]]


def gradient(
    game: Game,
    move: Move,
    variables: Mapping[str, Any],
    batch: Batch,
    key: Key[Array, ""],
    forward: Forward | None = None,
) -> tuple[Scalar, Aux, dict[str, PyTree]]:
    """The move's loss, its report, and the gradient in the mover's own parameters, by network."""
    own = {name: variables[name]["params"] for name in game.players[move.player].nets}

    def loss(params: dict[str, PyTree], values: dict[str, Any]) -> tuple[Scalar, Aux]:
        mine = {name: {**variables[name], "params": params[name]} for name in own}
        return move.loss({**variables, **mine}, {**batch, **values}, key)

    if forward is None or game.shared is None:
        (value, aux), grads = jax.value_and_grad(loss, has_aux=True)(own, {})
    elif move.reads_shared and game.shared.player == move.player:
        (value, aux), (grads, cotangent) = jax.value_and_grad(loss, (0, 1), has_aux=True)(
            own, forward.values
        )
        grads = jax.tree.map(jnp.add, grads, forward.pull(cotangent)[0])
    else:
        (value, aux), grads = jax.value_and_grad(loss, has_aux=True)(own, forward.values)
    return value, aux, grads


def vector_field(
    game: Game, state: State, batch: Batch, key: Key[Array, ""]
) -> dict[str, dict[str, PyTree]]:
    """The game's vector field: of each player, the gradient of the sum of its own losses.

    Nothing moves; every loss sees the same state, as if all played at once, and a move that is
    played rarely (lazy regularisation) counts for its share of the player's rounds. Sign: the
    gradient of the player's *own* loss (Berard et al. 2020, arXiv:1906.04848).
    """
    key = jax.random.fold_in(key, state.step)
    batch = indexed(batch, state.step)
    seen = variables(game, state)
    forward, _ = _share(game, seen, batch, key)
    batch |= _recall(game, seen, forward, key, None)[0]
    field: dict[str, dict[str, PyTree]] = {}
    for number, move in enumerate(game.moves):
        grads = gradient(game, move, seen, batch, jax.random.fold_in(key, number), forward)[2]
        weight = share(game, move)
        grads = jax.tree.map(lambda g, weight=weight: weight * g, grads)
        if move.player in field:
            grads = jax.tree.map(jnp.add, field[move.player], grads)
        field[move.player] = grads
    return field


def _streams(key: Array) -> dict[str, Array]:
    return {name: fold(key, name) for name in ("dropout", "noise")}


def indexed(batch: Batch, round: PyTree, axis_name: str | None = None) -> dict[str, Any]:
    """The batch with each example's global number, so that noise ignores the device count.

    The round is there for what has a schedule.
    """
    leaves = [leaf for leaf in jax.tree.leaves(batch) if leaf.ndim]  # a scalar is of them all
    size = leaves[0].shape[0] if leaves else 0
    index = jnp.arange(size, dtype=jnp.int32)
    if axis_name is not None:
        index = index + size * jax.lax.axis_index(axis_name)
    return {**batch, "index": index, "round": jnp.asarray(round)}


def share(game: Game, move: Move) -> float:
    """A move's weight in its player's loss: the share of the player's rounds that it plays."""
    return min(m.every for m in game.moves if m.player == move.player) / move.every


def _share(
    game: Game, variables: Mapping[str, Any], batch: Batch, key: Array
) -> tuple[Forward | None, dict[str, PyTree]]:
    shared = game.shared
    if shared is None:
        return None, {}
    own = {name: variables[name]["params"] for name in game.players[shared.player].nets}

    def run(params: dict[str, PyTree]) -> tuple[dict[str, Any], dict[str, PyTree]]:
        mine = {name: {**variables[name], "params": params[name]} for name in own}
        return shared.forward({**variables, **mine}, batch, fold(key, "shared"))

    values, pull, stats = jax.vjp(run, own, has_aux=True)
    return Forward(values, pull), stats


def _recall(
    game: Game,
    variables: Mapping[str, Any],
    forward: Forward | None,
    key: Array,
    axis_name: str | None,
) -> tuple[dict[str, Any], dict[str, PyTree]]:
    """The own rows of what `Shared.recall` makes of all devices' values, and the new memories."""
    if forward is None or game.shared is None or game.shared.recall is None:
        return {}, {}
    key = fold(key, "recall")
    if axis_name is None:
        return game.shared.recall(variables, forward.values, key)
    everyone = jax.lax.all_gather(forward.values, axis_name, tiled=True)
    recalled, memories = game.shared.recall(variables, everyone, key)

    def own(rows: Array) -> Array:
        size = len(rows) // jax.lax.axis_size(axis_name)
        return jax.lax.dynamic_slice_in_dim(rows, size * jax.lax.axis_index(axis_name), size)

    return jax.tree.map(own, recalled), memories


def _update(
    game: Game,
    move: Move,
    state: State,
    value: Scalar,
    aux: Aux,
    grads: dict[str, PyTree],
    axis_name: str | None,
) -> tuple[State, dict[str, Array]]:
    """One descent step of the mover, its statistics remembered, its metrics."""
    grads, metrics = _mean((grads, {"loss": value, **aux.metrics}), axis_name)
    metrics["grad_norm"] = optax.tree.norm(grads)
    own = {name: state.params[name] for name in grads}
    updates, opt = game.players[move.player].tx.update(grads, state.opt[move.player], own)
    state = dataclasses.replace(
        state,
        params=state.params | optax.apply_updates(own, updates),
        opt={**state.opt, move.player: opt},
    )
    return _remember(game, state, aux.stats, axis_name), metrics


def _mean(tree: PyTree, axis_name: str | None) -> PyTree:
    """The mean over an axis of devices; one device's own is not even copied."""
    if axis_name is None or jax.lax.axis_size(axis_name) == 1:
        return tree
    return jax.lax.pmean(tree, axis_name)


def _remember(
    game: Game, state: State, stats: Mapping[str, PyTree], axis_name: str | None
) -> State:
    """Stores new statistics; networks' and running means' floats are averaged over the devices."""

    def mean(leaf: Array) -> Array:
        return _mean(leaf, axis_name) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    def one(name: str, tree: PyTree) -> PyTree:
        net = game.nets[name]
        if isinstance(net, Net):
            tree = statistics(tree)
        return jax.tree.map(mean, tree) if isinstance(net, Net) or net.mean else tree

    kept = {name: one(name, tree) for name, tree in stats.items()}
    return dataclasses.replace(state, stats={**state.stats, **kept})


def _average(game: Game, state: State) -> State:
    """The averaged copies after the round: parameters by decay, statistics copied."""
    ema = {}
    for name, decay in game.ema.items():
        rate = decay(state.step) if callable(decay) else decay
        params = jax.tree.map(
            lambda mean, new, rate=rate: new + rate * (mean - new),
            state.ema[name]["params"],
            state.params[name],
        )
        ema[name] = {"params": params, **state.stats[name]}
    return dataclasses.replace(state, ema=ema)
