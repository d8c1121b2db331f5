"""Matrix products: their derivatives, and who may have oneDNN's."""

import functools
import itertools
import math
import threading

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import parallel
from gan_jax.networks import products
from gan_jax.networks.cpu import onednn
from gan_jax.networks.products import Dense, product

TRANSPOSES = list(itertools.product((False, True), (False, True)))
CALL = "__onednn$matmul"

has_library = pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")


def factors(transpose_a, transpose_b, sizes=(3, 5, 4), points=(2,), seed=0):
    rng = np.random.default_rng(seed)
    m, k, n = sizes
    shapes = (k, m) if transpose_a else (m, k), (n, k) if transpose_b else (k, n)
    return tuple(jnp.asarray(rng.normal(size=(*points, *s)), jnp.float32) for s in shapes)


def plain(a, b, transpose_a, transpose_b):
    a = a.swapaxes(-1, -2) if transpose_a else a
    return a @ (b.swapaxes(-1, -2) if transpose_b else b)


def compiled(function, *arguments):
    with onednn.enabled():
        return jax.jit(function).lower(*arguments).compile()


@pytest.mark.parametrize("derivative", [jax.grad, jax.jacfwd, jax.hessian])
@pytest.mark.parametrize(("transpose_a", "transpose_b"), TRANSPOSES)
def test_derivatives_are_those_of_the_plain_product(transpose_a, transpose_b, derivative):
    a, b = factors(transpose_a, transpose_b)

    def ours(a, b):
        y = product(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
        return jnp.sin(y).sum()

    def theirs(a, b):
        return jnp.sin(plain(a, b, transpose_a, transpose_b)).sum()

    with onednn.enabled():
        found = jax.jit(derivative(ours, (0, 1)))(a, b)
    expected = derivative(theirs, (0, 1))(a, b)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("axes", [(0, 0), (1, None), (None, 2)])
def test_products_map_over_any_axis(axes):
    a, b = factors(False, False, points=())
    a, b = (
        x if at is None else jnp.stack([x, 2 * x, -x], at)
        for x, at in zip((a, b), axes, strict=True)
    )
    with onednn.enabled():
        found = jax.jit(jax.vmap(product, axes))(a, b)
    np.testing.assert_allclose(found, jax.vmap(jnp.matmul, axes)(a, b), atol=1e-5)


@has_library
def test_factors_must_fit():
    a, b = factors(False, False)
    with onednn.enabled():
        with pytest.raises(TypeError, match="no product of"):
            jax.eval_shape(functools.partial(product, transpose_a=True), a, b)
        with pytest.raises(TypeError, match="no product of"):
            jax.eval_shape(product, a, b.astype(jnp.bfloat16))
    with pytest.raises(TypeError):
        product(a, b, transpose_a=True)


def test_dense_is_flax_s():
    x = jnp.ones((2, 3, 5))
    ours, theirs = Dense(4), nn.Dense(4)
    variables = theirs.init(jax.random.key(0), x)
    assert jax.tree.all(
        jax.tree.map(lambda a, b: (a == b).all(), ours.init(jax.random.key(0), x), variables)
    )
    np.testing.assert_allclose(ours.apply(variables, x), theirs.apply(variables, x), atol=1e-6)


@has_library
@pytest.mark.parametrize(("transpose_a", "transpose_b"), TRANSPOSES)
def test_large_products_are_the_library_s(transpose_a, transpose_b):
    a, b = factors(transpose_a, transpose_b, sizes=(96, 300, 200), points=(3,))

    def run(a, b):
        return product(a, b, transpose_a=transpose_a, transpose_b=transpose_b)

    one = compiled(run, a, b)
    assert CALL in one.as_text()
    np.testing.assert_allclose(one(a, b), plain(a, b, transpose_a, transpose_b), atol=1e-4)
    assert CALL not in jax.jit(run).lower(a, b).compile().as_text()  # outside


@has_library
@pytest.mark.parametrize(("rows", "theirs"), [(12544, True), (800, False)])
def test_sums_over_many_rows_are_the_library_s_though_few_are_made(rows, theirs):
    a, b = factors(True, False, sizes=(16, rows, 800000 // rows), points=())
    found = compiled(functools.partial(product, transpose_a=True), a, b)
    assert (CALL in found.as_text()) == theirs
    np.testing.assert_allclose(found(a, b), a.T @ b, atol=1e-3)


@has_library
@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [((8, 3000, 3000), "float32"), ((20, 20, 20), "float32"), ((300, 300, 300), "bfloat16")],
    ids=["narrow", "small", "bfloat16"],
)
def test_other_products_stay_xla_s(sizes, dtype):
    a, b = (x.astype(dtype) for x in factors(False, False, sizes=sizes))
    assert CALL not in compiled(product, a, b).as_text()


@has_library
@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_get_the_plain_product(platform):
    a, b = factors(False, False, sizes=(300, 300, 300))
    with onednn.enabled():
        text = jax.jit(product).trace(a, b).lower(lowering_platforms=(platform,)).as_text()
    assert CALL not in text
    assert "dot_general" in text


@has_library
def test_programs_with_calls_are_not_cached(monkeypatch):
    large, small = factors(False, False, sizes=(300, 299, 301)), factors(False, False)
    written = []
    monkeypatch.setattr(
        "jax._src.compilation_cache.put_executable_and_time", lambda *_: written.append(True)
    )
    least = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    try:
        compiled(lambda a, b: product(a, b) + 1.5, *large)
        assert not written
        assert jax.config.jax_persistent_cache_min_compile_time_secs == 0.0
        compiled(lambda a, b: product(a, b) + 1.5, *small)
        assert written
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", least)


@has_library
def test_products_side_by_side_have_the_bits_of_those_alone():
    """Independent calls run at once, on threads that share the library's scratch memory."""
    cases = [TRANSPOSES[i % 4] for i in range(12)]
    pairs = [
        factors(*case, sizes=(64 + 8 * i, 300, 128), points=(6,), seed=i)
        for i, case in enumerate(cases)
    ]

    def run(pairs):
        return [
            product(a, b, transpose_a=case[0], transpose_b=case[1])
            for case, (a, b) in zip(cases, pairs, strict=True)
        ]

    together = compiled(run, pairs)
    alone = [
        compiled(lambda a, b, c=case: product(a, b, transpose_a=c[0], transpose_b=c[1]), *pair)(
            *pair
        )
        for case, pair in zip(cases, pairs, strict=True)
    ]
    for _ in range(5):
        for one, other in zip(together(pairs), alone, strict=True):
            np.testing.assert_array_equal(one, other)


@has_library
@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
def test_a_step_over_devices_has_the_library_s_products(backend, monkeypatch):
    kept = []
    original = onednn._bypass_cache
    monkeypatch.setattr(onednn, "_bypass_cache", lambda: kept.append(original()))
    x, kernel = factors(False, False, sizes=(8 * 512, 300, 280), points=())

    def step(state, batch, key):
        gradient = jax.grad(lambda k: jnp.square(products.dense(batch, k)).mean())(state)
        return jax.lax.pmean(state - gradient, parallel.AXIS), {}

    mesh = parallel.make_mesh(8)
    play = onednn.enabled()(parallel.data_parallel(step, mesh, backend=backend))
    expected = kernel - jax.grad(lambda k: jnp.square(x @ k).mean())(kernel)
    state, _ = play(parallel.place(kernel, mesh), parallel.shard(np.asarray(x), mesh), 0)
    assert len(kept) == 2  # forward, and the kernel's gradient
    np.testing.assert_allclose(state, expected, atol=1e-5)


@has_library
def test_the_cache_s_setting_comes_back_once_everyone_is_out():
    setting = "jax_persistent_cache_min_compile_time_secs"
    before, entered, leave = getattr(jax.config, setting), threading.Event(), threading.Event()

    def stay():
        with onednn.enabled():
            onednn._bypass_cache()
            entered.set()
            leave.wait(60)

    other = threading.Thread(target=stay)
    other.start()
    assert entered.wait(60)
    with onednn.enabled():
        pass
    assert getattr(jax.config, setting) == math.inf  # the other may still be compiling
    leave.set()
    other.join()
    assert getattr(jax.config, setting) == before
