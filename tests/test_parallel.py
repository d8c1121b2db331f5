"""One step on one device, by pmap, by shard_map and by vmap: the same game to the last digits."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gan_jax
from gan_jax import latents, objectives, parallel
from gan_jax.game import Net
from gan_jax.games.gan import gan
from gan_jax.networks import dcgan, mlp
from gan_jax.penalties import Penalties

CPU_CONVOLUTIONS = True

KEY = jax.random.key(0)
DEVICES, ROUNDS = 4, 3
BATCH = {"real": np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 1)).astype(np.float32)}


def floats(*shape):
    return (jax.ShapeDtypeStruct(shape, jnp.float32),)


def convolutional(axis_name):
    """The DCGAN of 16 px with R1; batch norm in both networks sees the global batch."""
    norm = dcgan.batch_norm(axis_name)
    return gan(
        Net(dcgan.Generator(16, 1, width=4, norm=norm), floats(2, 5)),
        Net(dcgan.Discriminator(16, width=4, norm=norm), floats(2, 16, 16, 1)),
        optax.sgd(0.05),
        optax.sgd(0.05),
        objective=objectives.non_saturating(),
        prior=latents.normal(5),
        penalties=Penalties(r1=1.0),
        ema=0.9,
    )


def perceptrons(**options):
    return gan(
        Net(mlp.Generator((2,), (6,)), floats(1, 3)),
        Net(mlp.Discriminator((6,)), floats(1, 2)),
        optax.adam(1e-2),
        optax.adam(1e-2),
        objective=objectives.relativistic(),
        prior=latents.normal(3),
        **options,
    )


def step_of(game, axis_name):
    def step(state, batch, key):
        return gan_jax.step(game, state, batch, key, axis_name=axis_name)

    return step


def rounds(step, state, batch):
    """The state and the metrics of each round, waiting for every one (see `parallel`)."""
    history = []
    for _ in range(ROUNDS):
        state, metrics = jax.block_until_ready(step(state, batch, KEY))
        history.append(jax.device_get(metrics))
    return jax.device_get(state), history


def on_one_device(game, batch):
    return rounds(jax.jit(step_of(game, None)), gan_jax.init(game, KEY), batch)


def on_devices(game, batch, backend, devices=DEVICES):
    mesh = parallel.make_mesh(devices)
    step = parallel.data_parallel(step_of(game, parallel.AXIS), mesh, backend=backend)
    state = parallel.place(gan_jax.init(game, KEY), mesh)
    return rounds(step, state, parallel.shard(batch, mesh))


def by_vmap(game, batch):
    """Devices simulated on one: the step's own axis, mapped."""
    step = jax.vmap(
        step_of(game, parallel.AXIS),
        in_axes=(None, 0, None),
        out_axes=None,
        axis_name=parallel.AXIS,
    )
    shares = jax.tree.map(lambda x: x.reshape(DEVICES, -1, *x.shape[1:]), batch)
    return rounds(jax.jit(step), gan_jax.init(game, KEY), shares)


@pytest.fixture(scope="module")
def played():
    """Three rounds of the convolutional game in four ways."""
    game = convolutional(parallel.AXIS)
    return {
        "one": on_one_device(convolutional(None), BATCH),
        "pmap": on_devices(game, BATCH, "pmap"),
        "shard_map": on_devices(game, BATCH, "shard_map"),
        "vmap": by_vmap(game, BATCH),
    }


def close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_pmap_and_shard_map_agree_in_every_bit(played):
    jax.tree.map(np.testing.assert_array_equal, played["pmap"], played["shard_map"])


@pytest.mark.parametrize("how", ["pmap", "shard_map", "vmap"])
def test_several_devices_report_what_one_reports(played, how):
    close(played[how][1], played["one"][1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", ["pmap", "shard_map", "vmap"])
def test_several_devices_reach_the_state_that_one_reaches(played, how):
    """Parameters, batch statistics and averages.

    A gradient summed instead of averaged, or R1 through a device's own statistics, would show here.
    """
    close(played[how][0], played["one"][0], rtol=1e-3, atol=1e-5)


def test_batch_norm_of_a_devices_own_share_is_another_game(played):
    """The other way, `sync_batch_norm` False: so the tests above would see it."""
    own = on_devices(convolutional(None), BATCH, "shard_map")
    losses = [rounds[0]["discriminator"]["loss"] for rounds in (own[1], played["one"][1])]
    assert abs(losses[0] - losses[1]) > 1e-3


@pytest.mark.parametrize("axis_name", [None, parallel.AXIS])
def test_batch_norm_takes_its_own_share_or_all(axis_name):
    """Mean 0 and deviation 1 of each share, or only of all; the running mean is of all."""
    x = np.random.default_rng(0).normal(size=(8, 64, 1)).astype(np.float32)
    x[:4] += 3.0
    norm = dcgan.batch_norm(axis_name)(use_running_average=False)
    variables = norm.init(KEY, jnp.zeros((1, 1)))

    def run(x):
        return norm.apply(variables, x, mutable=["batch_stats"])

    y, moved = jax.vmap(run, axis_name=parallel.AXIS)(x)
    scale = np.asarray(variables["params"]["scale"]).item()
    means = np.abs(np.asarray(y).mean(axis=1))
    np.testing.assert_allclose(y.mean(), 0.0, atol=1e-5)
    if axis_name is None:
        np.testing.assert_allclose(means, 0.0, atol=1e-5)
    else:
        whole = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        np.testing.assert_allclose(y, scale * whole, rtol=1e-4, atol=1e-4)
        assert means.min() > 0.5
        stored = moved["batch_stats"]["mean"]
        assert np.ptp(np.asarray(stored)) == 0.0


def test_the_rounds_moved_both_players(played):
    """The comparisons above are of something."""
    start = gan_jax.init(convolutional(None), KEY)
    for name, params in played["one"][0].params.items():
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), params, start.params[name])
        assert max(jax.tree.leaves(moved)) > 1e-3, name


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_noise_does_not_depend_on_the_number_of_devices(devices):
    """Latents and the gradient penalty's mixing numbers follow the global example."""
    game = perceptrons(penalties=Penalties(gradient_penalty=10.0))
    batch = {"real": np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)}
    alone, several = on_one_device(game, batch), on_devices(game, batch, "shard_map", devices)
    close(several[1], alone[1], rtol=1e-4, atol=1e-5)
    close(several[0].params, alone[0].params, rtol=1e-3, atol=1e-5)


class Dropped(nn.Module):
    """A generator of nothing but dropout."""

    @nn.compact
    def __call__(self, z, train: bool = True):
        bias = self.param("bias", nn.initializers.ones, (64,))
        return nn.Dropout(0.5, deterministic=not train)(jnp.zeros((z.shape[0], 64)) + bias[None])


class Spread(nn.Module):
    """How far a device's samples lie from those of all devices, as the logit of each."""

    @nn.compact
    def __call__(self, x, train: bool = True):
        scale = self.param("scale", nn.initializers.ones, ())
        mean = jnp.mean(x)
        spread = jnp.abs(mean - jax.lax.pmean(mean, parallel.AXIS))
        return jnp.full(x.shape[0], scale * (0.0 if self.is_initializing() else spread))


def test_devices_draw_different_dropout():
    """The same mask on every device would make the noise of a large batch that of a small one."""
    game = gan(
        Net(Dropped(), floats(1, 3)),
        Net(Spread(), floats(1, 64)),
        optax.sgd(0.0),
        optax.sgd(0.0),
        objective=objectives.wasserstein(),
        prior=latents.normal(3),
    )
    state = parallel.on_one_device(lambda: gan_jax.init(game, KEY))()
    step = jax.vmap(
        step_of(game, parallel.AXIS),
        in_axes=(None, 0, None),
        out_axes=None,
        axis_name=parallel.AXIS,
    )
    _, metrics = step(state, {"real": jnp.zeros((DEVICES, 2, 64))}, KEY)
    assert metrics["discriminator"]["fake_logit"] > 1e-3


SMALL = {"real": np.zeros((8, 2), np.float32)}
backends = pytest.mark.parametrize("backend", ["pmap", "shard_map"])


def opened(game, backend):
    mesh = parallel.make_mesh(DEVICES)
    step = parallel.data_parallel(step_of(game, parallel.AXIS), mesh, backend=backend)
    return mesh, step, parallel.place(gan_jax.init(game, KEY), mesh)


@backends
def test_the_state_is_donated(backend):
    mesh, step, state = opened(perceptrons(), backend)
    new, _ = jax.block_until_ready(step(state, parallel.shard(SMALL, mesh), KEY))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(new))


def test_the_compiled_step_writes_the_state_where_it_was():
    """Donation as the compiler sees it: all of the state is an alias, no copy of it is made."""
    game, mesh = perceptrons(), parallel.make_mesh(DEVICES)
    state = jax.eval_shape(lambda: gan_jax.init(game, KEY))
    step = step_of(game, parallel.AXIS)
    lowered = parallel.lower(step, mesh, state, SMALL, KEY, platform="cpu")
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    assert lowered.compile().memory_analysis().alias_size_in_bytes == size


@backends
def test_the_new_state_is_an_unstacked_tree_on_every_device(backend):
    mesh, step, state = opened(perceptrons(), backend)
    shapes = jax.tree.map(jnp.shape, state)
    new, metrics = jax.block_until_ready(step(state, parallel.shard(SMALL, mesh), KEY))
    assert jax.tree.map(jnp.shape, new) == shapes
    assert all(leaf.shape == () for leaf in jax.tree.leaves(metrics))
    assert all(len(leaf.sharding.device_set) == DEVICES for leaf in jax.tree.leaves(new))


@backends
def test_the_step_is_traced_and_compiled_once(backend, caplog):
    game, traced = perceptrons(n_critic=2), []

    def counted(state, batch, key):
        traced.append(1)
        return gan_jax.step(game, state, batch, key, axis_name=parallel.AXIS)

    mesh = parallel.make_mesh(DEVICES)
    step = parallel.data_parallel(counted, mesh, backend=backend)
    state = parallel.place(gan_jax.init(game, KEY), mesh)
    compiled = []
    with jax.log_compiles():
        for _ in range(4):
            caplog.clear()
            state, _ = jax.block_until_ready(step(state, parallel.shard(SMALL, mesh), KEY))
            compiled.append(sum("XLA compilation" in line for line in caplog.messages))
    assert len(traced) == 1 and compiled[0] > 0 and compiled[1:] == [0, 0, 0]


@backends
def test_a_step_compiled_from_shapes_compiles_nothing_when_it_runs(backend, caplog):
    game, mesh = perceptrons(), parallel.make_mesh(DEVICES)
    step = parallel.data_parallel(step_of(game, parallel.AXIS), mesh, backend=backend)
    state = parallel.place(gan_jax.init(game, KEY), mesh)
    half = parallel.shard(jax.tree.map(lambda x: x[: len(x) // 2], SMALL), mesh)
    batch = parallel.batch_like(half, len(jax.tree.leaves(SMALL)[0]))
    ahead = step.compile(parallel.abstract(state, mesh), batch, KEY)
    lazily = rounds(step, state, parallel.shard(SMALL, mesh))
    state = parallel.place(gan_jax.init(game, KEY), mesh)
    with jax.log_compiles():
        caplog.clear()
        early = rounds(ahead, state, parallel.shard(SMALL, mesh))
        assert not any("XLA compilation" in line for line in caplog.messages)
    for a, b in zip(jax.tree.leaves(early), jax.tree.leaves(lazily), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rows", [1, 6, 9])
def test_a_batch_that_does_not_divide_is_refused(rows):
    with pytest.raises(ValueError, match=rf"batch of {rows} .* among 4 devices"):
        parallel.shard({"real": np.zeros((rows, 2))}, parallel.make_mesh(4))


@pytest.mark.parametrize("devices", [0, -1, 9])
def test_devices_that_are_not_there_are_refused(devices):
    with pytest.raises(ValueError, match=rf"{devices} devices .* 8 present"):
        parallel.make_mesh(devices)


def test_a_mesh_takes_all_devices_or_the_first():
    assert parallel.make_mesh().size == 8
    assert parallel.make_mesh(2).devices.tolist() == jax.devices()[:2]


def test_a_batch_is_split_in_order_and_keeps_its_types():
    mesh = parallel.make_mesh(4)
    batch = {"image": np.arange(8, dtype=np.uint8)[:, None], "label": np.arange(8, dtype=np.int32)}
    split = parallel.shard(batch, mesh)
    assert {name: leaf.dtype for name, leaf in split.items()} == {
        "image": "uint8",
        "label": "int32",
    }
    shares = [shard.data.tolist() for shard in split["label"].addressable_shards]
    assert shares == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_snapshot_outlives_the_donated_state():
    mesh, step, state = opened(perceptrons(), "pmap")
    before = jax.device_get(state)
    kept = parallel.snapshot(state)
    jax.block_until_ready(step(state, parallel.shard(SMALL, mesh), KEY))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(kept), before)


def test_an_abstract_state_has_shapes_types_and_places():
    mesh, _, state = opened(perceptrons(), "pmap")
    for shape, leaf in zip(
        jax.tree.leaves(parallel.abstract(state, mesh)), jax.tree.leaves(state), strict=True
    ):
        assert (shape.shape, shape.dtype, shape.sharding) == (leaf.shape, leaf.dtype, leaf.sharding)


def test_alone_binds_the_axis_to_one_device():
    def centred(x):
        return x - jax.lax.pmean(jnp.mean(x), parallel.AXIS), jax.lax.axis_index(parallel.AXIS)

    x, index = parallel.on_one_device(centred)(jnp.arange(4.0))
    np.testing.assert_allclose(x, [-1.5, -0.5, 0.5, 1.5])
    assert index == 0
