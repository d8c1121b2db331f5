"""StyleGAN2's networks: Karras et al. 2020 (arXiv:1912.04958), "the paper" here."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.networks import stylegan2
from gan_jax.networks.stylegan import Generator
from gan_jax.networks.stylegan2 import LARGE, Discriminator, Down, Layer, ModulatedConv, Synthesis
from gan_jax.networks.stylegan_layers import Maps
from gan_jax.networks.stylegan_mapping import Mapping

KEY = jax.random.key(0)
TINY = Maps(width=1 / 256)  # two channels
X = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
W = jax.random.normal(jax.random.key(2), (4, 5))
SYNTHESIS = Synthesis(resolution=8, maps=TINY)
DISCRIMINATOR = Discriminator(resolution=8, maps=TINY)
FIR = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64  # section B: the paper's filter


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def count(module, *inputs):
    params = jax.eval_shape(module.init, KEY, *inputs)["params"]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


@functools.cache
def drawn(module, *shapes):
    """Variables of order one, so that nothing is zero, without compiling the initialisation."""
    draw = np.random.default_rng(0)
    inputs = [shape(*sizes) for sizes in shapes]
    return jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(size=leaf.shape), leaf.dtype),
        jax.eval_shape(lambda *inputs: module.init(KEY, *inputs), *inputs),
    )


@functools.partial(jax.jit, static_argnames=("module", "train"))
def run(module, variables, *inputs, key=None, train=False):
    return Net(module, ())(variables, *inputs, key=key, train=train)[0]


@functools.partial(jax.jit, static_argnames="module")
def run_plain(module, variables, *inputs):
    return module.apply(variables, *inputs)


def correlate(x, kernel):
    """Plain cross-correlation of one picture, every tap that fits."""
    size, (h, w) = len(kernel), x.shape[:2]
    out = np.zeros((h - size + 1, w - size + 1, kernel.shape[-1]))
    for i in range(size):
        for j in range(size):
            out += x[i : i + out.shape[0], j : j + out.shape[1]] @ kernel[i, j]
    return out


def padded(x, before, after):
    return np.pad(x, ((before, after), (before, after), (0, 0)))


def filtered(x, before, after):
    """The filter on every channel of one picture."""
    return correlate(padded(x, before, after), FIR[..., None, None] * np.eye(x.shape[-1]))


# Resampling


def test_upsampling_is_zeros_and_the_filter():
    """The gain of 4 makes up for the zeros: a flat picture stays flat."""
    x = np.asarray(X[0], np.float64)
    zeros = np.zeros((16, 16, 3))
    zeros[::2, ::2] = x
    expected = 4 * filtered(zeros, 2, 1)
    np.testing.assert_allclose(stylegan2.upsample(X)[0], expected, atol=1e-5)
    flat = stylegan2.upsample(jnp.ones((1, 4, 4, 1)))[0, 1:-1, 1:-1]
    np.testing.assert_allclose(flat, np.ones((6, 6, 1)), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 3])
def test_down_is_the_filter_and_a_strided_convolution(size):
    module = Down(2, size, use_bias=False)
    variables = drawn(module, (4, 8, 8, 3))
    kernel = np.asarray(variables["params"]["kernel"], np.float64) / math.sqrt(3 * size**2)
    # the filter reaches as far beyond the pictures as keeps the sampling centred
    pad = {1: 1, 3: 2}[size]
    expected = correlate(filtered(np.asarray(X[0], np.float64), pad, pad), kernel)[::2, ::2]
    np.testing.assert_allclose(run_plain(module, variables, X)[0], expected, atol=1e-5)


def test_down_keeps_a_ramp_centred():
    """A pixel of the half-sized picture lies between the two that it stands for."""
    ramp = jnp.broadcast_to(jnp.arange(8.0)[None, :, None, None], (1, 8, 8, 1))
    out = Down(1, 1, use_bias=False).apply({"params": {"kernel": jnp.ones((1, 1, 1, 1))}}, ramp)
    np.testing.assert_allclose(out[0, 1:3, 1, 0], [2.5, 4.5], rtol=1e-6)


# Modulation


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("up", [False, True])
def test_modulated_convolution_has_a_kernel_a_picture(up, demodulate):
    """Equations 1 and 3, with the kernel itself scaled as they are written."""
    module = ModulatedConv(2, up=up, demodulate=demodulate)
    variables = drawn(module, (4, 8, 8, 3), (4, 5))
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    styles = np.asarray(W) @ params["affine"]["kernel"] / math.sqrt(5) + params["style_bias"]
    out = run_plain(module, variables, X, W)
    for picture, style, actual in zip(np.asarray(X, np.float64), styles, out, strict=True):
        kernel = params["kernel"] / math.sqrt(27) * style[:, None]
        if demodulate:
            kernel = kernel / np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)) + 1e-8)
        if up:  # painting a kernel is correlating with the mirrored one
            zeros = np.zeros((15, 15, 3))
            zeros[::2, ::2] = picture
            expected = 4 * filtered(correlate(padded(zeros, 2, 2), kernel[::-1, ::-1]), 1, 1)
        else:
            expected = correlate(padded(picture, 1, 1), kernel)
        np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_styles_start_around_one():
    """Section B: the affine layers' biases are initialised to one."""
    params = jax.jit(lambda: ModulatedConv(2).init(KEY, X, W)["params"])()
    np.testing.assert_array_equal(params["style_bias"], np.ones(3))


def test_demodulated_outputs_ignore_the_scale_of_the_style():
    """Section 2.2: only ratios of a style's entries remain."""
    module = ModulatedConv(2)
    params = drawn(module, (4, 8, 8, 3), (4, 5))["params"]
    tenfold = {**params, "style_bias": 10 * params["style_bias"]}
    tenfold["affine"] = {"kernel": 10 * params["affine"]["kernel"]}
    once, again = (run_plain(module, {"params": p}, X, W) for p in (params, tenfold))
    np.testing.assert_allclose(once, again, rtol=1e-3, atol=1e-5)


# Generator


def test_layer_ends_with_noise_bias_rectifier():
    """Section 2.1: noise before the bias, no normalised mean; one noise strength a layer."""
    module = Layer(2)
    draw = jax.eval_shape(lambda: module.init(KEY, X, W, False))
    variables = jax.tree.map(lambda a: jnp.full(a.shape, 0.3, a.dtype), draw)
    assert variables["params"]["strength"].shape == ()
    x = run_plain(ModulatedConv(2), {"params": variables["params"]["conv"]}, X, W)
    x = x + 0.3 * 0.3 + 0.3
    expected = math.sqrt(2) * np.where(x > 0, x, 0.2 * x)
    np.testing.assert_allclose(
        Net(module, ())(variables, X, W, train=False)[0], expected, atol=1e-5
    )


def test_noise_has_no_effect_at_first_and_the_constant_is_normal():
    params = jax.jit(lambda: Synthesis(resolution=4).init(KEY, jnp.ones((1, 2, 5)))["params"])()
    assert not params["layer0"]["strength"].any()
    np.testing.assert_allclose(np.std(params["const"]), 1.0, rtol=0.03)


def test_pictures_of_all_resolutions_are_added_up():
    """Figure 7b. Layer l takes style l, a picture the style of the layer after its own."""
    variables, ws = drawn(SYNTHESIS, (1, 4, 5)), jax.random.normal(KEY, (2, 4, 5))
    params, fixed = variables["params"], variables["fixed"]

    def layer(number, x, features, up):
        own = {"params": params[f"layer{number}"], "fixed": fixed[f"layer{number}"]}
        return Layer(features, up=up).apply(own, x, ws[:, number], False)

    def picture(stage, x):
        module = ModulatedConv(3, 1, demodulate=False)
        out = module.apply({"params": params[f"to_rgb{stage}"]}, x, ws[:, 2 * stage + 1])
        return out + params[f"bias_rgb{stage}"][None, None, None]

    @jax.jit
    def plain():
        x = layer(0, jnp.tile(params["const"], (2, 1, 1, 1)), 2, False)
        small = picture(0, x)
        x = layer(2, layer(1, x, 2, True), 2, False)
        return stylegan2.upsample(small) + picture(1, x)

    np.testing.assert_allclose(run(SYNTHESIS, variables, ws), plain(), rtol=1e-4, atol=1e-4)


def test_noise_comes_from_the_key_and_training_needs_one():
    module = SYNTHESIS.clone(resolution=4)
    variables, ws = drawn(module, (1, 4, 5)), jnp.ones((2, 4, 5))
    first, other = (run(module, variables, ws, key=jax.random.key(n)) for n in (1, 2))
    assert not np.allclose(first, other, rtol=1e-2)
    with pytest.raises(UserError, match="give a key"):
        Net(module, ())(variables, ws)


def test_too_few_styles_are_refused():
    with pytest.raises(UserError, match="3 styles, but 8 px take 4"):
        SYNTHESIS.apply({}, jnp.ones((1, 3, 5)))


def test_generator_is_stylegans_with_another_synthesis():
    """Mapping, mixing, truncation and the running mean of w are those of StyleGAN."""
    module = Generator(Mapping(size=5, depth=2), SYNTHESIS)
    variables = drawn(module, (1, 3))
    z = jnp.ones((2, 3))
    ws = module.apply(variables, z, method="map")
    assert ws.shape == (2, 4, 5)
    synthesis = {kind: tree["synthesis"] for kind, tree in variables.items() if kind != "moving"}
    expected = run(SYNTHESIS, synthesis, ws)
    np.testing.assert_allclose(run(module, variables, z), expected, rtol=1e-4, atol=1e-4)


def test_the_path_length_penalty_has_a_gradient():
    """The picture's slope along w, differentiated once more, against finite differences."""
    variables, ws = drawn(SYNTHESIS, (1, 4, 5)), jax.random.normal(KEY, (1, 4, 5))
    noise = jax.random.normal(KEY, (1, 8, 8, 3)) / 8.0

    @jax.jit
    @jax.value_and_grad
    def length(t):
        def along(ws):
            return jnp.sum(SYNTHESIS.apply(variables, ws, train=False) * noise)

        return jnp.sum(jnp.square(jax.grad(along)(ws + t)))

    numeric = (length(1e-3)[0] - length(-1e-3)[0]) / 2e-3
    np.testing.assert_allclose(length(0.0)[1], numeric, rtol=3e-2)


# Discriminator


def test_residual_block_divides_both_branches_by_root_two():
    """Section 4.1."""
    assert_block(Discriminator(resolution=8, maps=TINY, group=0), 1.0)


def test_plain_blocks_have_no_skip():
    assert_block(Discriminator(resolution=8, maps=TINY, group=0, residual=False), 0.0)


def assert_block(module, residual):
    """With `out` alone behind it, the whole network equals its parts applied by hand."""
    params = drawn(module, (1, 8, 8, 3))["params"]

    def rectified(x):
        return math.sqrt(2) * np.where(x > 0, x, 0.2 * x)

    def by_name(name, x, pad):
        own = params[name]
        kernel = np.asarray(own["kernel"], np.float64)
        scale = 1 / math.sqrt(math.prod(kernel.shape[:3]))
        return correlate(padded(x, pad, pad), scale * kernel) + np.asarray(own.get("bias", 0.0))

    logits = run(module, {"params": params}, X)
    for picture, actual in zip(np.asarray(X, np.float64), logits, strict=True):
        x = rectified(by_name("from_rgb", picture, 0))
        y = filtered(rectified(by_name("conv1", x, 1)), 2, 2)
        own = params["down1"]
        kernel = np.asarray(own["kernel"], np.float64) / math.sqrt(18)
        y = rectified(correlate(y, kernel)[::2, ::2] + np.asarray(own["bias"]))
        if residual:
            kernel = np.asarray(params["skip1"]["kernel"], np.float64) / math.sqrt(2)
            y = (y + correlate(filtered(x, 1, 1), kernel)[::2, ::2]) / math.sqrt(2)
        y = rectified(by_name("conv0", y, 1)).reshape(-1)
        for name in ("dense", "out"):
            dense = jax.tree.map(np.asarray, params[name])
            y = y @ dense["kernel"] / math.sqrt(len(y)) + dense["bias"]
            y = rectified(y) if name == "dense" else y
        np.testing.assert_allclose(actual, y[0], rtol=1e-3, atol=1e-4)


def test_the_minibatch_deviation_is_part_of_the_logit():
    variables = drawn(DISCRIMINATOR, (1, 8, 8, 3))
    alone = run(DISCRIMINATOR, variables, jnp.broadcast_to(X[:1], X.shape))
    beside = run(DISCRIMINATOR, variables, X)
    assert not np.allclose(alone[0], beside[0], rtol=1e-3)


def test_a_label_picks_its_output():
    variables = drawn(DISCRIMINATOR, (1, 8, 8, 3), (1, 2))
    first, second, both = (
        run(DISCRIMINATOR, variables, X, jnp.tile(jnp.array([row]), (4, 1)))
        for row in ([1.0, 0.0], [0.0, 1.0], [1.0, 1.0])
    )
    np.testing.assert_allclose(first + second, both, rtol=1e-4, atol=1e-5)


def test_r1_has_the_gradient_of_a_homogeneous_function():
    """Without biases and skip the logit has degree 6 in the layers' weights, its slope^2 12."""
    module = DISCRIMINATOR.clone(residual=False)
    params = jax.tree_util.tree_map_with_path(
        lambda path, p: p * (path[-1].key == "kernel"), drawn(module, (1, 8, 8, 3))["params"]
    )

    @jax.jit
    @jax.value_and_grad
    def penalty(params):
        def judge(x):
            return jnp.sum(module.apply({"params": params}, x))

        return jnp.sum(jnp.square(jax.grad(judge)(X)))

    value, grads = penalty(params)
    along = sum(jax.tree.leaves(jax.tree.map(lambda p, g: jnp.sum(p * g), params, grads)))
    np.testing.assert_allclose(along, 12 * value, rtol=1e-3)


# Sizes


def test_channels_of_the_large_configuration():
    """Configuration F: twice the maps from 64 px on."""
    assert [LARGE.at(s) for s in range(9)] == [512, 512, 512, 512, 512, 256, 128, 64, 32]


def test_parameters_of_the_full_networks():
    """What the authors' code prints for 1024 px, with a mapping network of two layers."""
    generator = Generator(Mapping(depth=2), Synthesis())
    assert count(generator, shape(1, 512)) == 28_794_124
    assert count(Discriminator(), shape(1, 1024, 1024, 3)) == 29_012_513


def test_half_precision_computes_in_bfloat16_and_keeps_float32_outside():
    synthesis, judge = (m.clone(dtype=jnp.bfloat16) for m in (SYNTHESIS, DISCRIMINATOR))
    variables = jax.eval_shape(synthesis.init, KEY, shape(4, 4, 5))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    out = jax.eval_shape(
        lambda v, ws: synthesis.apply(v, ws, train=False), variables, shape(4, 4, 5)
    )
    assert out == shape(4, 8, 8, 3)
    assert jax.eval_shape(lambda x: judge.init_with_output(KEY, x)[0], out) == shape(4)


@pytest.mark.parametrize("pad", [(1, 1), (2, 1), (2, 2)])
def test_the_filter_is_its_own_transpose_with_other_zeros(pad):
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
    y = jax.random.normal(jax.random.key(1), stylegan2.fir(x, pad, 4.0).shape)
    plain = jax.linear_transpose(lambda x: stylegan2.fir.__wrapped__(x, pad, 4.0), x)(y)[0]
    np.testing.assert_allclose(
        jax.vjp(lambda x: stylegan2.fir(x, pad, 4.0), x)[1](y)[0], plain, atol=1e-5
    )
