"""StyleGAN's networks: each detail that implementers get wrong is one property here.

"The paper" is Karras et al. 2019 (arXiv:1812.04948), "Progressive GAN" Karras et al. 2018
(arXiv:1710.10196); "the authors' code" is the published configuration of StyleGAN.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.networks import stylegan_layers
from gan_jax.networks.stylegan import (
    Discriminator,
    Finish,
    Generator,
    Noise,
    Style,
    Synthesis,
)
from gan_jax.networks.stylegan_layers import EqualConv, EqualDense, Maps
from gan_jax.networks.stylegan_mapping import Mapping, mix_styles

KEY = jax.random.key(0)
TINY = Maps(width=1 / 256)  # two channels
Z = jax.random.normal(jax.random.key(1), (4, 3))
OTHER = jax.random.normal(jax.random.key(2), (4, 3))
X = jax.random.normal(jax.random.key(3), (4, 8, 8, 3))
MAPPING = Mapping(size=4, depth=2)
SYNTHESIS = Synthesis(resolution=8, maps=TINY)
GENERATOR = Generator(MAPPING, SYNTHESIS.clone(noise=False))
DISCRIMINATOR = Discriminator(resolution=8, maps=TINY)
YOUNG = SYNTHESIS.clone(stage=0), DISCRIMINATOR.clone(stage=0)  # of 4 px
ROWS = {  # of the paper's Table 1
    "A": {"styles": False, "const_input": False, "noise": False, "blur": False},
    "B": {"styles": False, "const_input": False, "noise": False},
    "C": {"const_input": False, "noise": False},
    "D": {"noise": False},
    "E": {},
}


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
        jax.eval_shape(module.init, KEY, *inputs),
    )


@functools.partial(jax.jit, static_argnames=("module", "train"))
def run(module, variables, *inputs, key=None, train=False):
    return Net(module, ())(variables, *inputs, key=key, train=train)


# Equalised learning rate


@pytest.mark.parametrize("module", [EqualDense(500), EqualDense(500, rate=0.01), EqualConv(50)])
def test_weights_are_normal_with_deviation_one_over_the_rate(module):
    """Appendix C of the paper: N(0, 1); with a rate r N(0, 1/r), as in the authors' code."""
    sizes = (1, 4, 4, 30) if isinstance(module, EqualConv) else (1, 300)
    params = jax.jit(lambda: module.init(KEY, jnp.ones(sizes))["params"])()
    np.testing.assert_allclose(getattr(module, "rate", 1.0) * np.std(params["kernel"]), 1.0, 0.02)
    assert not params["bias"].any()


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_dense_scales_weights_by_he_and_rate_and_bias_by_rate(rate):
    """Progressive GAN, section 4.1: the He constant sqrt(2 / fan-in) at runtime."""
    params = {"kernel": jnp.ones((6, 2)), "bias": jnp.ones(2)}
    out = EqualDense(2, rate=rate).apply({"params": params}, jnp.ones((1, 6)))
    np.testing.assert_allclose(out, np.full((1, 2), rate * (6 * math.sqrt(2 / 6) + 1)), 1e-6)


def convolved(x, **make):
    draw = np.random.default_rng(1)
    kernel = jnp.asarray(draw.normal(size=(3, 3, 3, 2)), jnp.float32)
    return EqualConv(2, use_bias=False, **make).apply({"params": {"kernel": kernel}}, x)


def test_convolution_scales_weights_by_he():
    ones = {"kernel": jnp.ones((3, 3, 3, 2))}
    out = EqualConv(2, use_bias=False).apply({"params": ones}, jnp.ones((1, 3, 3, 3)))
    np.testing.assert_allclose(out[0, 1, 1], np.full(2, 27 * math.sqrt(2 / 27)), 1e-6)


def test_up_is_doubled_pixels_then_the_convolution():
    """Progressive GAN, Table 2; that a fused layer is the same function is exact algebra."""
    expected = convolved(stylegan_layers.double(X))
    np.testing.assert_allclose(convolved(X, up=True), expected, atol=1e-5)


def test_down_is_the_convolution_then_the_mean_of_2x2():
    expected = stylegan_layers.halve(convolved(X))
    np.testing.assert_allclose(convolved(X, down=True), expected, atol=1e-5)


# Resampling and norms


def test_blur_is_the_normalised_outer_product_of_1_2_1():
    """Appendix C: a separable second-order binomial filter."""
    impulse = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2, 0].set(16.0)
    expected = np.zeros((5, 5))
    expected[1:4, 1:4] = np.outer([1, 2, 1], [1, 2, 1])
    np.testing.assert_array_equal(stylegan_layers.blur(impulse)[0, :, :, 0], expected)


def test_pixel_norm_is_the_plain_formula():
    """Progressive GAN, section 4.2."""
    x = np.asarray(X, np.float64)
    expected = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(stylegan_layers.pixel_norm(X), expected, atol=1e-5)


@pytest.mark.parametrize(("batch", "group"), [(8, 4), (4, 4), (2, 4), (6, 3)])
def test_minibatch_deviation_is_the_plain_formula(batch, group):
    """Progressive GAN, section 3; groups interleaved, 1e-8 in the root: the authors' code."""
    x = np.random.default_rng(0).normal(size=(batch, 4, 4, 3))
    size = min(group, batch)
    expected = np.zeros((batch, 4, 4, 1))
    for first in range(batch // size):
        members = range(first, batch, batch // size)
        expected[members] = np.mean(np.sqrt(np.var(x[members], axis=0) + 1e-8))
    out = stylegan_layers.minibatch_deviation(jnp.asarray(x, jnp.float32), group)
    np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_minibatch_deviation_is_that_of_the_global_batch():
    x = jax.random.normal(KEY, (8, 4, 4, 2))
    split = jax.vmap(lambda x: stylegan_layers.minibatch_deviation(x, 4, "data"), axis_name="data")
    out = split(x.reshape(4, 2, 4, 4, 2)).reshape(8, 4, 4, 1)
    np.testing.assert_allclose(out, stylegan_layers.minibatch_deviation(x, 4), rtol=1e-6)


def test_a_batch_that_does_not_divide_names_the_nearest_group():
    with pytest.raises(UserError, match=r"batch_size of 6 .* groups of 4 .*; 3 would"):
        stylegan_layers.minibatch_deviation(jnp.zeros((6, 4, 4, 1)), 4)


# Mapping


def test_mapping_is_normalised_latent_then_dense_layers_of_rate_a_hundredth():
    """Sections 2 and C of the paper: 8 layers, all 512 wide, a hundredth of the learning rate."""
    full = Mapping()
    assert (full.size, full.depth, full.rate) == (512, 8, 0.01)
    variables = drawn(MAPPING, (1, 3))
    z = np.asarray(Z, np.float64)
    x = z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)
    for layer in range(2):
        dense = jax.tree.map(np.asarray, variables["params"][f"dense{layer}"])
        scale = 0.01 * math.sqrt(2 / x.shape[1])
        x = x @ (scale * dense["kernel"]) + 0.01 * dense["bias"]
        x = np.where(x > 0, x, 0.2 * x)
    np.testing.assert_allclose(run(MAPPING, variables, Z)[0], x, rtol=1e-4, atol=1e-7)


def test_label_joins_the_latent_before_the_norm():
    """The authors' code: a learned matrix as wide as the latent, concatenated, then the norm."""
    module = Mapping(depth=0)
    label = jnp.eye(2)[jnp.array([0, 1, 1, 0])]
    variables = drawn(module, (1, 3), (1, 2))
    matrix = variables["params"]["label"]
    joined = jnp.concatenate([Z, matrix[jnp.array([0, 1, 1, 0])]], axis=1)
    expected = stylegan_layers.pixel_norm(joined)
    np.testing.assert_allclose(run(module, variables, Z, label)[0], expected, rtol=1e-5)


def test_an_empty_label_is_none():
    assert "label" not in drawn(Mapping(depth=0), (1, 3), (1, 0)).get("params", {})


def test_w_avg_moves_by_the_batch_mean_in_training_passes_only():
    """The authors' code: decay 0.995, from zero."""
    variables = drawn(MAPPING, (1, 3))
    w, stats = run(MAPPING, variables, Z, train=True)
    before = variables["moving"]["w_avg"]
    expected = 0.995 * before + 0.005 * w.mean(axis=0)
    np.testing.assert_allclose(stats["moving"]["w_avg"], expected, rtol=1e-5)
    kept = run(MAPPING, variables, Z, train=False)[1]["moving"]["w_avg"]
    np.testing.assert_array_equal(kept, before)
    assert not jax.jit(lambda: MAPPING.init(KEY, Z)["moving"]["w_avg"])().any()


# Synthesis: a layer's end


def test_layer_ends_with_noise_bias_rectifier_norm_style():
    """Figure 1b: in this order."""
    w = jax.random.normal(KEY, (4, 4))
    module = Finish()
    draw = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(size=leaf.shape), leaf.dtype),
        jax.eval_shape(lambda: module.init(KEY, X, w, False)),
    )
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    noise = np.asarray(variables["fixed"]["noise"]["noise"], np.float64)
    x = np.asarray(X, np.float64) + noise * params["noise"]["scale"] + params["bias"]
    x = np.where(x > 0, x, 0.2 * x)
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    affine = params["style"]["affine"]
    style = np.asarray(w) @ affine["kernel"] / math.sqrt(4) + affine["bias"]  # gain 1
    gain, bias = style[:, None, None, :3] + 1.0, style[:, None, None, 3:]
    expected = (x - mean) / np.sqrt(variance + 1e-8) * gain + bias
    np.testing.assert_allclose(module.apply(variables, X, w, False), expected, atol=1e-4)


def test_style_sets_mean_and_deviation_of_every_channel():
    """Equation 1: deviation 1 + y_s, mean y_b; at first the affine map has no bias."""
    w = jax.random.normal(KEY, (4, 4))
    variables = Style().init(KEY, X, w)
    assert not variables["params"]["affine"]["bias"].any()
    style = np.asarray(EqualDense(6, 1.0).apply({"params": variables["params"]["affine"]}, w))
    out = Style().apply(variables, X, w)
    np.testing.assert_allclose(out.mean((1, 2)), style[:, 3:], atol=1e-5)
    np.testing.assert_allclose(out.std((1, 2)), np.abs(1.0 + style[:, :3]), atol=1e-5)


def test_noise_has_no_effect_at_first():
    """Appendix C: the noise scaling factors start at zero."""
    module = Noise()
    variables = module.init(KEY, X, False)
    out = module.apply(variables, X, True, rngs={"noise": KEY})
    np.testing.assert_array_equal(out, X)


def test_noise_is_one_map_a_picture_scaled_a_channel():
    """Section 2: single-channel images, broadcast by per-channel factors."""
    module = Noise()
    scale = jnp.array([1.0, -2.0, 3.0])
    variables = {**module.init(KEY, X, False), "params": {"scale": scale}}
    added = module.apply(variables, 0 * X, True, rngs={"noise": KEY}) / scale[None, None, None]
    np.testing.assert_allclose(added, np.broadcast_to(added[..., :1], added.shape), rtol=1e-6)
    assert np.ptp(np.asarray(added[:, 0, 0, 0])) > 0


# Synthesis: the whole


def test_constant_input_is_ones_of_4x4():
    """Appendix C: initialised to one."""
    const = jax.jit(lambda: SYNTHESIS.init(KEY, jnp.ones((1, 4, 4)))["params"]["const"])
    np.testing.assert_array_equal(const(), np.ones((1, 4, 4, 2)))


@pytest.mark.parametrize("row", ROWS)
def test_rows_of_table_1(row):
    """Which parts each row has; A and B map nothing."""
    synthesis = SYNTHESIS.clone(**ROWS[row])
    mapping = MAPPING.clone(depth=0) if row in "AB" else MAPPING
    variables = jax.eval_shape(Generator(mapping, synthesis).init, KEY, Z)
    params = variables["params"]
    names = str(jax.tree.structure(params))
    assert ("mapping" in params, "affine" in names) == (row not in "AB",) * 2
    assert ("const" in names, "project" in names) == (row in "DE", row not in "DE")
    assert ("scale" in names, "fixed" in variables) == (row == "E",) * 2


def test_row_a_differs_from_b_by_the_blur():
    """Section 2, B: bilinear resampling. Averages of pictures agree only without borders."""
    module = SYNTHESIS.clone(**ROWS["B"])
    variables, ws = drawn(module, (1, 4, 4)), jnp.ones((1, 4, 4))
    plain = run(SYNTHESIS.clone(**ROWS["A"]), variables, ws)[0]
    assert not np.allclose(plain, run(module, variables, ws)[0], rtol=1e-2)


def test_parameters_of_the_full_networks():
    """What the authors' code prints; 26.2 and 23.1 million in section 2 of the paper.

    The traditional generator: 23.1 million in Progressive GAN, Table 2.
    """
    z = shape(1, 512)
    old = Generator(Mapping(depth=0), Synthesis(styles=False, const_input=False, noise=False))
    assert count(Generator(Mapping(), Synthesis()), z) == 26_219_627
    assert count(Discriminator(), shape(1, 1024, 1024, 3)) == 23_087_249
    assert round(count(old, z) / 1e5) == 231


def test_channels_of_every_resolution():
    """Progressive GAN, Table 2: from 4 to 1024 px."""
    assert [Maps().at(s) for s in range(9)] == [512, 512, 512, 512, 256, 128, 64, 32, 16]


def test_the_full_generator_has_18_layers():
    """Section 2 of the paper: two for each resolution from 4 to 1024."""
    assert stylegan_layers.layers(stylegan_layers.stages(1024)) == 18


def test_another_resolution_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"resolution 100 .* 128 is"):
        stylegan_layers.stages(100)
    with pytest.raises(UserError, match="stage 2 is none of 0 to 1; 1 is"):
        SYNTHESIS.clone(stage=2).apply({}, jnp.ones((1, 8, 4)))


# Styles of two latents, truncation


@functools.cache
def mixed():
    """A training pass with two latents that cross over at layer 2: pictures and statistics."""
    empty, one = jnp.zeros((4, 0)), jnp.array(1.0)
    variables = drawn(GENERATOR, (1, 3))
    return run(GENERATOR, variables, Z, empty, one, OTHER, jnp.array(2), train=True)


def test_mixing_takes_the_first_styles_below_the_crossover_and_the_second_above():
    """Section 3.1."""
    variables = drawn(GENERATOR, (1, 3))
    maps = jax.jit(lambda z: GENERATOR.apply(variables, z, method="map"))
    crossed = jnp.concatenate([maps(Z)[:, :2], maps(OTHER)[:, 2:]], axis=1)
    np.testing.assert_array_equal(mix_styles(maps(Z), maps(OTHER), jnp.array(2)), crossed)
    synthesis = sub(variables, "synthesis")
    expected = run(GENERATOR.synthesis, synthesis, crossed, jnp.array(1.0))[0]
    np.testing.assert_allclose(mixed()[0], expected, rtol=1e-4, atol=1e-4)


def sub(variables, name):
    return {kind: tree[name] for kind, tree in variables.items() if name in tree}


def test_each_example_may_have_its_crossover():
    ws, other = jnp.zeros((3, 4, 1)), jnp.ones((3, 4, 1))
    mixed = mix_styles(ws, other, jnp.array([0, 2, 4]))
    np.testing.assert_array_equal(mixed.sum((1, 2)), [4, 2, 0])


def test_mixing_needs_both_of_its_inputs():
    with pytest.raises(UserError, match="both"):
        GENERATOR.apply(drawn(GENERATOR, (1, 3)), Z, other=OTHER)


def test_mixing_leaves_w_avg_to_the_first_latents():
    """The authors' code."""
    variables = drawn(GENERATOR, (1, 3))
    alone = run(MAPPING, sub(variables, "mapping"), Z, train=True)[1]
    np.testing.assert_allclose(mixed()[1]["moving"]["mapping"]["w_avg"], alone["moving"]["w_avg"])


def test_truncation_scales_the_deviation_from_w_avg_below_the_cutoff():
    """Appendix B."""
    module = GENERATOR.clone(psi=0.7, cutoff=2)
    variables = drawn(GENERATOR, (1, 3))
    w = np.asarray(run(MAPPING, sub(variables, "mapping"), Z)[0])
    mean = np.asarray(variables["moving"]["mapping"]["w_avg"])
    ws = module.apply(variables, Z, method="map")
    near = mean + 0.7 * (w - mean)
    np.testing.assert_allclose(ws, np.stack([near] * 2 + [w] * 2, axis=1), rtol=1e-6)


def test_training_passes_and_metrics_do_not_truncate():
    """The authors' metrics; psi is 1 unless asked for."""
    assert GENERATOR.psi == 1.0
    variables = drawn(GENERATOR, (1, 3))
    plain = GENERATOR.apply(variables, Z, method="map")
    trained = GENERATOR.clone(psi=0.5).apply(
        variables, Z, train=True, method="map", mutable=["moving"]
    )[0]
    np.testing.assert_array_equal(trained, plain)


# Noise


def test_noise_is_the_keys_or_without_one_constant():
    variables = drawn(Noise(), (1, 8, 8, 3))
    first, same, other, constant, again = (
        run(Noise(), variables, X, key=key)[0] for key in (KEY, KEY, jax.random.key(9), None, None)
    )
    np.testing.assert_array_equal(first, same)
    np.testing.assert_array_equal(constant, again)
    assert not np.allclose(first, other, rtol=1e-2)
    assert not np.allclose(first, constant, rtol=1e-2)


def test_training_without_a_key_is_refused():
    with pytest.raises(UserError, match="give a key"):
        Net(SYNTHESIS, ())(drawn(SYNTHESIS, (1, 4, 4)), jnp.ones((1, 4, 4)), train=True)


# Growing


def test_all_parameters_exist_from_the_start():
    young, final = (jax.eval_shape(m.init, KEY, shape(1, 4, 4)) for m in (YOUNG[0], SYNTHESIS))
    assert young == final
    young = jax.eval_shape(YOUNG[1].init, KEY, X)
    assert young == jax.eval_shape(DISCRIMINATOR.init, KEY, shape(1, 8, 8, 3))


def test_a_generators_new_stage_is_faded_in():
    """Progressive GAN, figure 2: the doubled old picture, then the new one."""
    variables, ws = drawn(SYNTHESIS, (1, 4, 4)), jnp.ones((2, 4, 4))
    old = stylegan_layers.double(run(YOUNG[0], variables, ws)[0])
    new = run(SYNTHESIS, variables, ws)[0]
    for alpha, expected in ((0.0, old), (1.0, new), (0.25, 0.75 * old + 0.25 * new)):
        out = run(SYNTHESIS, variables, ws, jnp.array(alpha))[0]
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_a_discriminators_new_stage_is_faded_in():
    """Progressive GAN, figure 2: at first it sees the halved picture as the stage before does."""
    variables = drawn(DISCRIMINATOR, (1, 8, 8, 3))
    old = run(YOUNG[1], variables, stylegan_layers.halve(X))[0]
    new = run(DISCRIMINATOR, variables, X)[0]
    empty = jnp.zeros((4, 0))
    for alpha, expected in ((0.0, old), (1.0, new)):
        out = run(DISCRIMINATOR, variables, X, empty, jnp.array(alpha))[0]
        np.testing.assert_allclose(out, expected, rtol=1e-4)


def test_reals_are_faded_as_fakes_are():
    """The authors' code: data blended with its halved and doubled copy."""
    half, doubled = stylegan_layers.halve(X), stylegan_layers.double(stylegan_layers.halve(X))
    np.testing.assert_array_equal(stylegan_layers.fade_reals(X, 1), X)
    np.testing.assert_array_equal(stylegan_layers.fade_reals(X, 0), half)
    np.testing.assert_array_equal(stylegan_layers.fade_reals(X, 1, jnp.array(0.0)), doubled)
    np.testing.assert_allclose(stylegan_layers.fade_reals(X, 1, jnp.array(1.0)), X, atol=1e-6)
    with pytest.raises(UserError, match="stage 2 has 16 px, the data 8"):
        stylegan_layers.fade_reals(X, 2)


def test_unused_parameters_have_zero_gradient_and_statistics_keep_their_shape():
    variables = drawn(SYNTHESIS, (1, 4, 4))
    ws = jax.random.normal(KEY, (2, 4, 4))

    @jax.jit
    def gradient(params):
        def loss(params):
            net = Net(YOUNG[0], ())
            out, stats = net({**variables, "params": params}, ws, key=KEY, train=True)
            return jnp.sum(jnp.square(out)), stats

        return jax.grad(loss, has_aux=True)(params)

    grads, stats = gradient(variables["params"])
    jax.tree.map(np.testing.assert_array_equal, stats["fixed"], variables["fixed"])
    used = {name: any(leaf.any() for leaf in jax.tree.leaves(g)) for name, g in grads.items()}
    unused = {"conv2", "conv3", "finish2", "finish3", "to_rgb1"}
    assert {name for name, flag in used.items() if not flag} == unused


# Discriminator


def test_head_is_a_convolution_of_513_maps_and_two_dense_layers():
    """Progressive GAN, Table 2."""
    params = jax.eval_shape(Discriminator(resolution=4).init, KEY, shape(1, 4, 4, 3))["params"]
    kernels = {name: params[name]["kernel"].shape for name in ("conv0", "dense", "out")}
    assert kernels == {"conv0": (3, 3, 513, 512), "dense": (8192, 512), "out": (512, 1)}


def test_devices_that_share_a_batch_have_the_gradient_of_one():
    """With `axis_name` the groups of the minibatch deviation lie across devices."""
    one, many = (Discriminator(resolution=4, maps=TINY, axis_name=name) for name in (None, "data"))
    x, params = X[:, ::2, ::2], drawn(many, (1, 4, 4, 3))["params"]

    def loss(params, x, module):
        return jnp.mean(jnp.square(module.apply({"params": params}, x)))

    def share(x):
        return jax.lax.pmean(jax.grad(loss)(params, x, many), "data")

    grads = jax.jit(jax.vmap(share, axis_name="data"))(x.reshape(2, 2, 4, 4, 3))
    alone = jax.jit(jax.grad(loss), static_argnums=2)(params, x, one)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-3, atol=1e-4), grads, alone
    )


def test_a_label_picks_its_output():
    """The authors' code: the dot product of label and outputs."""
    module = DISCRIMINATOR
    variables = drawn(module, (1, 8, 8, 3), (1, 2))
    first, second, both = (
        run(module, variables, X, jnp.tile(jnp.array([row]), (4, 1)))[0]
        for row in ([1.0, 0.0], [0.0, 1.0], [1.0, 1.0])
    )
    np.testing.assert_allclose(first + second, both, rtol=1e-5)
    assert not np.allclose(first, second)


def test_r1_has_the_gradient_of_a_homogeneous_function():
    """Without biases the logit has degree 6 in the six layers' weights, its squared slope 12."""
    module = DISCRIMINATOR
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


def test_the_generator_can_be_differentiated_twice():
    """Against finite differences."""
    module = SYNTHESIS
    variables, w = drawn(SYNTHESIS, (1, 4, 4)), jax.random.normal(KEY, (1, 4, 4))

    @jax.jit
    @jax.value_and_grad
    def slope(t):
        def squares(ws):
            return jnp.mean(jnp.square(module.apply(variables, ws, train=False)))

        return jnp.sum(jnp.square(jax.grad(squares)(w + t)))

    numeric = (slope(1e-2)[0] - slope(-1e-2)[0]) / 2e-2
    np.testing.assert_allclose(slope(0.0)[1], numeric, rtol=2e-2)


def test_half_precision_computes_in_bfloat16_and_keeps_float32_outside():
    half = GENERATOR.clone(synthesis=SYNTHESIS.clone(dtype=jnp.bfloat16))
    judge = DISCRIMINATOR.clone(dtype=jnp.bfloat16)
    variables = jax.eval_shape(half.init, KEY, Z)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    out = jax.eval_shape(lambda v: half.apply(v, Z, train=False), variables)
    assert out == shape(4, 8, 8, 3)
    logits = jax.eval_shape(lambda x: judge.init_with_output(KEY, x)[0], out)
    assert logits == shape(4)


def test_the_blur_is_its_own_transpose():
    x, y = (jax.random.normal(jax.random.key(n), (2, 5, 6, 3)) for n in (0, 1))
    plain = jax.linear_transpose(stylegan_layers.blur.__wrapped__, x)(y)[0]
    np.testing.assert_allclose(jax.vjp(stylegan_layers.blur, x)[1](y)[0], plain, atol=1e-6)
