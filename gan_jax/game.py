"""The game as a value: networks, players and an ordered tuple of moves.

`init` makes the state before the first round, `step` plays one round, `vector_field` gives the
gradients of all players at one state. Each method of the literature is a function in `games/` that
returns a `Game`. The adversarial game is that of Goodfellow et al. 2014, arXiv:1406.2661.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key, PyTree, Scalar

from gan_jax import averages
from gan_jax.averages import Decay

Variables = Mapping[str, PyTree]  # of a network: "params", and its other collections, statistics
GameVariables = Mapping[str, PyTree]  # what losses read: networks' variables, memories' values
Batch = Mapping[str, PyTree]  # arrays [b ...]; `step` adds `Values`, "index" [b] and "round"
Values = dict[str, PyTree]  # what a shared forward pass adds: arrays [b ...], or tuples of them
Statistics = dict[str, PyTree]  # new statistics of networks and values of memories, by name
Metrics = dict[str, dict[str, Array]]  # scalars by the move's label and their name


class Net(NamedTuple):
    """A Linen module, called with `(*inputs, train=...)`, as a pure function.

    Attributes:
        module: the network.
        inputs: shapes and types of its inputs, for a batch of any size.
        remat: whether training computes its activations again for the backward pass instead of
            keeping them (Chen et al. 2016, arXiv:1604.06174).
    """

    module: nn.Module
    inputs: tuple[jax.ShapeDtypeStruct, ...]
    remat: bool = False

    def init(self, key: Key[Array, ""]) -> Variables:
        """Initialise `params` and, where the module has them, statistics."""
        inputs = [jnp.zeros(x.shape, x.dtype) for x in self.inputs]
        return self.module.init(_rngs(key) | {"params": key}, *inputs, train=True)

    def __call__(
        self,
        variables: Variables,
        *inputs: Array | None,
        key: Key[Array, ""] | None = None,
        train: bool = True,
        method: str | None = None,
    ) -> tuple[PyTree, Variables]:
        """Apply the module without side effects; return its output and its new statistics.

        `key` seeds the streams `dropout` and `noise` of modules that draw random numbers. The
        statistics change only if `train`. `method` names the method to call, if not `__call__`.
        """
        stats = statistics(variables)
        rngs = {} if key is None else _rngs(key)
        apply = functools.partial(self.module.apply, train=train, rngs=rngs, method=method)
        if not train:
            return apply(variables, *inputs), stats
        apply = functools.partial(apply, mutable=list(stats))
        out, moved = (jax.checkpoint(apply) if self.remat else apply)(variables, *inputs)
        return out, {**stats, **moved}


class Memory(NamedTuple):
    """State without a network: a pool of past images, a running mean.

    A loss returns its new value in `Aux.stats`, which must be the same on every device unless
    `mean`: then its floats are averaged over devices.
    """

    initial: Callable[[], PyTree]
    mean: bool = False


class Player(NamedTuple):
    """Networks by name, and the optimiser that updates them."""

    nets: tuple[str, ...]
    tx: optax.GradientTransformation


class Aux(NamedTuple):
    """The second value of a loss: new statistics by network or memory, metrics by name."""

    stats: Mapping[str, PyTree] = {}
    metrics: Mapping[str, Scalar] = {}


Loss = Callable[[GameVariables, Batch, Array], tuple[Scalar, Aux]]
"""`(variables, batch, key) -> (loss, aux)`."""


class Move(NamedTuple):
    """A step of one player: it descends the loss in its own parameters.

    Attributes:
        every: the move is played in the last of each `every` rounds: n_critic of a generator, the
            interval of a lazy regularisation.
        name: tells the moves of a player apart.
        start: the round from which on the move is played.
        reads_shared: whether the loss depends on the round's shared forward pass; if not, no
            backward pass through it is computed.
    """

    player: str
    loss: Loss
    every: int = 1
    name: str = ""
    reads_shared: bool = True
    start: int = 0

    @property
    def label(self) -> str:
        """Return `player` or `player/name`, the prefix of the move's metrics."""
        return f"{self.player}/{self.name}" if self.name else self.player


class Shared(NamedTuple):
    """A forward pass through `player`'s networks, run once at the start of a round.

    All moves of the round use its values (the fakes); only `player`'s gradients flow through it.

    Attributes:
        forward: `(variables, batch, key) -> (values, stats)`; a dict of values, which is added to
            the batch of every move, and new statistics.
        recall: `(variables, values, key) -> (rows, memories)`, for a memory of examples (a pool of
            past fakes). It gets the values of all devices in their global order. Of its rows, as
            many, each device's own are added to its batch, as constants.
    """

    player: str
    forward: Callable[[GameVariables, Batch, Array], tuple[Values, Statistics]]
    recall: Callable[[GameVariables, Batch, Array], tuple[Values, Statistics]] | None = None


class Game(NamedTuple):
    """Networks, players, and the moves of a round in their order.

    Attributes:
        nets: networks and memories by name.
        players: players by name.
        moves: played one after another: alternating gradient descent.
        shared: a forward pass whose values all moves use.
        ema: the decay per round of averaged copies by name (see `averages`), a number or a function
            of the round. A network's first copy has the network's name.
        simultaneous: whether every gradient is taken at the parameters of the round's start.
    """

    nets: Mapping[str, Net | Memory]
    players: Mapping[str, Player]
    moves: tuple[Move, ...]
    shared: Shared | None = None
    ema: Mapping[str, Decay] = {}
    simultaneous: bool = False


@flax.struct.dataclass
class State:
    """The state of a game between two rounds, arrays only: the checkpoint.

    `step` counts rounds; `params` are by network, `stats` by network or memory, `opt` by player;
    `ema` has the variables of averaged copies by their names, with the latest statistics.
    """

    step: PyTree
    params: PyTree
    stats: PyTree
    opt: PyTree
    ema: PyTree


def fold(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """Derive the key of a named purpose; no other purpose changes it."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def noise_key(key: Key[Array, ""], name: str, batch: Batch) -> Key[Array, ""]:
    """Derive the key of a network's dropout and noise, which differs between devices."""
    return jax.random.fold_in(fold(key, name), batch["index"][0])


def statistics(variables: Variables) -> dict[str, PyTree]:
    """Return a network's variables without its parameters."""
    return {name: tree for name, tree in variables.items() if name != "params"}


def init(game: Game, key: Key[Array, ""]) -> State:
    """Make the state before the first round.

    Raises KeyError for a player of an unknown network, ValueError for two moves of the same label.
    """
    labels = [move.label for move in game.moves]
    if len(set(labels)) < len(labels):
        raise ValueError(f"two moves share a label, and so their metrics: {labels}; name one")
    variables = {n: net.init(fold(key, n)) for n, net in game.nets.items() if isinstance(net, Net)}
    memories = {n: m.initial() for n, m in game.nets.items() if isinstance(m, Memory)}
    params = {n: v["params"] for n, v in variables.items()}
    stats = {n: statistics(v) for n, v in variables.items()}
    opt = {n: p.tx.init({net: params[net] for net in p.nets}) for n, p in game.players.items()}
    ema = averages.first_copies(game.ema, variables)
    return State(jnp.zeros((), jnp.int32), params, stats | memories, opt, ema)


def variables(game: Game, state: State) -> dict[str, PyTree]:
    """Collect what losses read: `{"params": ..., **statistics}` of networks, values of memories."""
    return {
        name: {"params": state.params[name], **state.stats[name]}
        if isinstance(net, Net)
        else state.stats[name]
        for name, net in game.nets.items()
    }


def step(
    game: Game, state: State, batch: Batch, key: Key[Array, ""], *, axis_name: str | None = None
) -> tuple[State, Metrics]:
    """Play one round: the shared forward pass, each move in turn, the averaged copies.

    Args:
        game: the game.
        state: the state after the round before.
        batch: arrays [b ...]; inside a mapped axis this device's share.
        key: the run's root key, the same in every round, as it is folded with the round.
        axis_name: the mapped axis over which gradients, statistics and metrics are averaged.

    Returns:
        The next state, and by move `loss`, `grad_norm` and the loss's own metrics; zeros for a move
        that is not played in this round.
    """
    key = jax.random.fold_in(key, state.step)
    batch = with_index(batch, state.step, axis_name)
    start = state.params
    forward, stats = _run_shared(game, variables(game, state), batch, key)
    state = _store_statistics(game, state, stats, axis_name)
    recalled, memories = _recall(game, variables(game, state), forward, key, axis_name)
    state = _store_statistics(game, state, memories, axis_name)
    batch |= recalled
    metrics = {}
    for number, move in enumerate(game.moves):
        move_key = jax.random.fold_in(key, number)

        def turn(state: State, move: Move = move, move_key: Array = move_key):
            params = start if game.simultaneous else state.params
            current = variables(game, dataclasses.replace(state, params=params))
            value, aux, grads = gradient(game, move, current, batch, move_key, forward)
            return _update(game, move, state, value, aux, grads, axis_name)

        if move.every == 1 and not move.start:
            state, metrics[move.label] = turn(state)
        else:
            idle = jax.tree.map(
                lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(turn, state)[1]
            )
            state, metrics[move.label] = jax.lax.cond(
                _is_due(move, state.step),
                turn,
                lambda state, idle=idle: (state, idle),
                state,
            )
    ema = averages.move(state.ema, game.ema, state.params, state.stats, state.step)
    return dataclasses.replace(state, ema=ema, step=state.step + 1), metrics


def played(game: Game, step: int) -> tuple[str, ...]:
    """Return the labels of the moves that are played in round `step` (from 0)."""
    return tuple(m.label for m in game.moves if _is_due(m, step))


def _is_due(move: Move, step: Array | int) -> Array | bool:
    last_of_interval = (step + 1) % move.every == 0
    return last_of_interval & (step >= move.start) if move.start else last_of_interval


class Forward(NamedTuple):
    """The values of a round's shared forward pass.

    `pull` maps their cotangents to gradients in the player's parameters.
    """

    values: Values
    pull: Callable[[Values], tuple[dict[str, PyTree]]]


def gradient(
    game: Game,
    move: Move,
    variables: GameVariables,
    batch: Batch,
    key: Key[Array, ""],
    forward: Forward | None = None,
) -> tuple[Scalar, Aux, dict[str, PyTree]]:
    """Compute a move's loss, its `Aux`, and its gradients by network of the player.

    The batch is from `with_index`. Without `forward`, it has the shared values already.
    """
    own = {name: variables[name]["params"] for name in game.players[move.player].nets}

    def loss(params: dict[str, PyTree], values: Values) -> tuple[Scalar, Aux]:
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
    """Compute the gradient of each player's own loss, all at the same state.

    A player's loss is the sum over its moves, weighted by `move_weight`. Descent moves against the
    field (Berard et al. 2020, arXiv:1906.04848). Returns gradients by player and network.
    """
    key = jax.random.fold_in(key, state.step)
    batch = with_index(batch, state.step)
    current = variables(game, state)
    forward, _ = _run_shared(game, current, batch, key)
    batch |= _recall(game, current, forward, key, None)[0]
    field: dict[str, dict[str, PyTree]] = {}
    for number, move in enumerate(game.moves):
        grads = gradient(game, move, current, batch, jax.random.fold_in(key, number), forward)[2]
        weight = move_weight(game, move)
        grads = jax.tree.map(lambda g, weight=weight: weight * g, grads)
        if move.player in field:
            grads = jax.tree.map(jnp.add, field[move.player], grads)
        field[move.player] = grads
    return field


def _rngs(key: Array) -> dict[str, Array]:
    return {name: fold(key, name) for name in ("dropout", "noise")}


def with_index(batch: Batch, round: PyTree, axis_name: str | None = None) -> dict[str, PyTree]:
    """Add the examples' global numbers, `index` [b], and the `round`, from 0, to a batch.

    Random numbers depend on the global number of the example, not on the number of devices.
    """
    leaves = [leaf for leaf in jax.tree.leaves(batch) if leaf.ndim]  # scalars are not per example
    size = leaves[0].shape[0] if leaves else 0
    index = jnp.arange(size, dtype=jnp.int32)
    if axis_name is not None:
        index = index + size * jax.lax.axis_index(axis_name)
    return {**batch, "index": index, "round": jnp.asarray(round)}


def move_weight(game: Game, move: Move) -> float:
    """Return a move's weight in its player's loss: in what part of its rounds it is played."""
    return min(m.every for m in game.moves if m.player == move.player) / move.every


def _run_shared(
    game: Game, variables: GameVariables, batch: Batch, key: Array
) -> tuple[Forward | None, Statistics]:
    """Run the shared forward pass, if there is one, and return it with the new statistics."""
    shared = game.shared
    if shared is None:
        return None, {}
    own = {name: variables[name]["params"] for name in game.players[shared.player].nets}

    def run(params: dict[str, PyTree]) -> tuple[Values, Statistics]:
        mine = {name: {**variables[name], "params": params[name]} for name in own}
        return shared.forward({**variables, **mine}, batch, fold(key, "shared"))

    values, pull, stats = jax.vjp(run, own, has_aux=True)
    return Forward(values, pull), stats


def _recall(
    game: Game, variables: GameVariables, forward: Forward | None, key: Array, axis_name: str | None
) -> tuple[Values, Statistics]:
    """Call `Shared.recall` on all devices' values; return this device's rows and the memories."""
    if forward is None or game.shared is None or game.shared.recall is None:
        return {}, {}
    key = fold(key, "recall")
    if axis_name is None:
        return game.shared.recall(variables, forward.values, key)
    gathered = jax.lax.all_gather(forward.values, axis_name, tiled=True)
    recalled, memories = game.shared.recall(variables, gathered, key)

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
    """Update the player by one optimiser step, store its statistics, and collect its metrics."""
    grads, metrics = _mean((grads, {"loss": value, **aux.metrics}), axis_name)
    metrics["grad_norm"] = optax.tree.norm(grads)
    own = {name: state.params[name] for name in grads}
    updates, opt = game.players[move.player].tx.update(grads, state.opt[move.player], own)
    state = dataclasses.replace(
        state,
        params=state.params | optax.apply_updates(own, updates),
        opt={**state.opt, move.player: opt},
    )
    return _store_statistics(game, state, aux.stats, axis_name), metrics


def _mean(tree: PyTree, axis_name: str | None) -> PyTree:
    """Average over an axis of devices; of a single device the tree itself, without a copy."""
    if axis_name is None or jax.lax.axis_size(axis_name) == 1:
        return tree
    return jax.lax.pmean(tree, axis_name)


def _store_statistics(
    game: Game, state: State, stats: Mapping[str, PyTree], axis_name: str | None
) -> State:
    """Store new statistics; floats of networks and of `mean` memories are averaged over devices."""

    def mean(leaf: Array) -> Array:
        return _mean(leaf, axis_name) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    def stored(name: str, tree: PyTree) -> PyTree:
        net = game.nets[name]
        if isinstance(net, Net):
            tree = statistics(tree)
        return jax.tree.map(mean, tree) if isinstance(net, Net) or net.mean else tree

    new = {name: stored(name, tree) for name, tree in stats.items()}
    return dataclasses.replace(state, stats={**state.stats, **new})
