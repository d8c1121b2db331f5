"""The networks that translate pictures: U-Net, PatchGAN, the residual translator, instance norm."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game import Net
from gan_jax.networks import resnet_translator, smooth, unet
from gan_jax.networks.dcgan import batch_norm
from gan_jax.networks.layers import SPECTRAL, SpectralConv
from gan_jax.networks.norms import instance_norm
from gan_jax.networks.patchgan import PatchGan, smallest
from gan_jax.networks.resnet_translator import ResnetTranslator
from gan_jax.networks.unet import Unet

KEY = jax.random.key(0)
SMALL = Unet(channels=2, width=4, depth=2)
PICTURES = np.random.default_rng(1).normal(size=(2, 4, 4, 3)).astype(np.float32)
FULL = {
    "unet": (Unet(depth=8), 256, 3),
    "unet_64": (Unet(depth=6), 64, 3),
    "unet_instance": (Unet(norm=instance_norm), 256, 3),
    "patchgan": (PatchGan(), 256, 6),
    "translator": (ResnetTranslator(), 256, 3),
}


@functools.cache
def shapes(module, side, channels):
    """Output and variables of the full network, without computing any."""
    x = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    return jax.eval_shape(module.init_with_output, KEY, x)


def count(module, side, channels):
    params = shapes(module, side, channels)[1]["params"]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def maps(module, x, rngs):
    """The shapes of what each layer and the whole network gives, by the layer's name."""

    def run(x, rngs):
        variables = module.init(rngs, x)
        return module.apply(variables, x, rngs=rngs, capture_intermediates=True, mutable=True)[1]

    seen = jax.eval_shape(run, x, rngs)["intermediates"]
    (whole,) = seen.pop("__call__")
    return {"__call__": whole} | {name: layer["__call__"][0] for name, layer in seen.items()}


def drawn(module, x):
    """Variables of order one, without compiling the initialisation."""
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(draw.uniform(0.1, 1.0, leaf.shape), leaf.dtype),
        jax.eval_shape(module.init, KEY, x),
    )


@functools.partial(jax.jit, static_argnames=("module", "train"))
def output(module, variables, x, train, key=None):
    return Net(module, ())(variables, x, key=key, train=train)[0]


# Instance norm


def test_instance_norm_is_the_plain_formula():
    """Ulyanov et al. 2016, equation 4, with the epsilon of the CycleGAN authors' code."""
    x = 3.0 + 2.0 * jax.random.normal(KEY, (2, 5, 4, 3))
    plain = np.asarray(x, np.float64)
    mean, variance = plain.mean((1, 2), keepdims=True), plain.var((1, 2), keepdims=True)
    np.testing.assert_allclose(
        instance_norm().apply({}, x), (plain - mean) / np.sqrt(variance + 1e-5), atol=1e-5
    )


def test_instance_norm_has_no_variables():
    assert not instance_norm(use_running_average=True).init(KEY, jnp.ones((1, 4, 4, 2)))


def test_instance_norm_takes_statistics_in_float32():
    """The mean 1000 of a bfloat16 picture swamps its contrast, unless it is summed in float32."""
    x = (1000.0 + 8.0 * jax.random.normal(KEY, (1, 16, 16, 1))).astype(jnp.bfloat16)
    low = instance_norm(dtype=jnp.bfloat16).apply({}, x)
    high = instance_norm().apply({}, x.astype(jnp.float32))
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(low.astype(jnp.float32), high, atol=0.01)


# PatchGAN


@pytest.mark.parametrize("field", [1, 16, 70, 286])
def test_a_logit_sees_its_receptive_field(field):
    """The sizes of the paper's table 2, measured: where a logit's gradient in the picture is."""
    module = PatchGan(field, width=1, norm=None)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 320, 320, 1)), jnp.float32)

    @jax.jit
    @jax.grad
    def slope(x, variables):
        logits = module.apply(variables, x)
        return logits[0, logits.shape[1] // 2, logits.shape[2] // 2]

    seen = np.asarray(slope(x, drawn(module, x)))[0, ..., 0] != 0
    for lines in (seen.any(axis=0), seen.any(axis=1)):
        extent = np.flatnonzero(lines)
        assert extent[-1] - extent[0] + 1 == len(extent) == field


@pytest.mark.parametrize(("field", "side"), [(1, 256), (16, 126), (70, 30), (286, 6)])
def test_one_logit_for_each_patch_of_a_picture_of_256_px(field, side):
    """256 px halved, and one less for each of the last two convolutions; 30x30 is the port's."""
    logits, _ = shapes(PatchGan(field, dtype=jnp.bfloat16), 256, 3)
    assert (logits.shape, logits.dtype) == ((1, side, side), jnp.float32)


def test_conditions_join_the_channels():
    x, condition = jnp.ones((1, 8, 8, 3)), jnp.ones((1, 8, 8, 2))
    variables = jax.eval_shape(PatchGan(16, width=4).init, KEY, x, condition, condition)
    assert variables["params"]["conv0"]["kernel"].shape == (4, 4, 3 + 2 + 2, 4)


def test_the_widths_and_norms_of_the_largest_patchgan():
    """Isola et al., 6.1.2: C64-C128-C256-C512-C512-C512, no norm on the first."""
    params = shapes(PatchGan(286), 256, 3)[1]["params"]
    widths = [params[f"conv{level}"]["kernel"].shape[-1] for level in range(6)]
    assert widths == [64, 128, 256, 512, 512, 512]
    assert {name for name in params if "norm" in name} == {f"norm{level}" for level in range(1, 6)}


def test_patchgan_takes_spectral_convolutions():
    module = PatchGan(16, width=2, norm=None, conv=SpectralConv)
    _, variables = shapes(module, 8, 3)
    assert set(variables[SPECTRAL]) == {"conv0", "conv1", "out"}


def test_a_wrong_receptive_field_names_the_nearest():
    with pytest.raises(ValueError, match=r"34 is none of .* nearest is 16"):
        shapes(PatchGan(34), 64, 3)


@pytest.mark.parametrize("field", [16, 70, 286])
def test_the_smallest_picture_gives_one_logit_and_none_is_smaller(field):
    side = smallest(field)
    assert shapes(PatchGan(field), side, 3)[0].shape == (1, 1, 1)
    with pytest.raises(ValueError, match=f"at least {side} px, not {side - 1}"):
        shapes(PatchGan(field), side - 1, 3)


# U-Net


@pytest.mark.parametrize(("resolution", "halvings"), [(8, 3), (64, 6), (256, 8)])
def test_depth_leads_to_one_pixel(resolution, halvings):
    assert unet.depth(resolution) == halvings


@pytest.mark.parametrize(("resolution", "nearest"), [(0, 8), (4, 8), (90, 64), (100, 128)])
def test_depth_names_the_nearest_valid_resolution(resolution, nearest):
    with pytest.raises(ValueError, match=f"{resolution} is not .* nearest is {nearest}"):
        unet.depth(resolution)


def test_a_side_that_cannot_be_halved_names_the_nearest():
    with pytest.raises(ValueError, match="60 px cannot be halved 6 times: the nearest is 64"):
        shapes(Unet(depth=6), 60, 3)


@pytest.mark.parametrize("train", [True, False])
def test_the_unet_is_random_exactly_when_it_gets_a_key(train):
    """Isola et al., 3.3: dropout stays on at test."""
    variables = drawn(SMALL, PICTURES)
    run = functools.partial(output, SMALL, variables, PICTURES, train)
    np.testing.assert_array_equal(run(), run())
    np.testing.assert_array_equal(run(KEY), run(KEY))
    assert not np.allclose(run(KEY), run(jax.random.key(2)))
    assert not np.allclose(run(KEY), run())


def test_each_picture_of_a_batch_has_its_own_noise():
    variables = drawn(SMALL, PICTURES)
    twins = jnp.broadcast_to(PICTURES[:1], PICTURES.shape)
    first, second = output(SMALL, variables, twins, False, KEY)
    assert not np.allclose(first, second)
    first, second = output(SMALL, variables, twins, False)
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("skip", [True, False])
def test_only_skips_lead_round_the_bottleneck(skip):
    module = SMALL.clone(skip=skip)
    variables = drawn(module, PICTURES)
    params = variables["params"]
    shut = {**params, "down1": jax.tree.map(jnp.zeros_like, params["down1"])}
    first, second = output(module, {**variables, "params": shut}, PICTURES, False)
    assert np.allclose(first, second) != skip


def test_the_encoder_decoder_has_the_layers_of_the_unet():
    """Section 3.2.1: the same layers, and half the channels into each that a skip leads to."""
    with_skips, without = (shapes(Unet(skip=s), 256, 3)[1]["params"] for s in (True, False))
    assert with_skips.keys() == without.keys()
    for name in with_skips:
        whole, part = (jax.tree.leaves(p[name])[-1].shape for p in (with_skips, without))
        joined = name == "out" or (name.startswith("up") and name != "up7")
        assert whole == ((4, 4, part[2], 2 * part[3]) if joined else part)


def test_the_unet_norms_neither_its_ends_nor_the_bottleneck():
    """The authors' `models.lua`, `defineG_unet`."""
    params = shapes(Unet(), 256, 3)[1]["params"]
    down, up = ({f"norm_{way}{n}" for n in range(1, 8)} for way in ("down", "up"))
    assert {name for name in params if name.startswith("norm")} == (down - {"norm_down7"}) | up


def test_the_unet_sees_one_picture_through_batch_norm():
    """A norm on the 1x1 bottleneck would make its map zero, and what is behind it constant."""
    module = SMALL.clone(skip=False)
    variables = drawn(module, PICTURES)
    first, second = (output(module, variables, x[None], True) for x in PICTURES)
    assert not np.allclose(first, second)


def test_dropout_is_in_the_three_innermost_decoder_layers():
    """Section 6.1.1: CD512-CD512-CD512-C512-C256-C128-C64."""
    x = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    seen = maps(Unet(width=1, depth=6), x, {"params": KEY, "dropout": KEY})
    noisy = [out for name, out in seen.items() if name.startswith("Dropout")]
    assert sorted(out.shape[1] for out in noisy) == [2, 4, 8]


# The residual translator


@pytest.mark.parametrize("resolution", [128, 256])
def test_the_paper_takes_nine_blocks_from_256_px(resolution):
    """Zhu et al., 7.2."""
    assert resnet_translator.blocks(resolution) == {128: 6, 256: 9}[resolution]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 20)])
def test_the_translator_keeps_the_size_of_a_picture(height, width):
    x = jax.ShapeDtypeStruct((1, height, width, 2), jnp.float32)
    out, _ = jax.eval_shape(ResnetTranslator(5, 4, 1).init_with_output, KEY, x)
    assert out.shape == (1, height, width, 5)


@pytest.mark.parametrize(("side", "nearest"), [(4, 8), (30, 32), (65, 64)])
def test_the_translator_names_the_nearest_valid_side(side, nearest):
    with pytest.raises(ValueError, match=f"{side} px is not .* nearest is {nearest}"):
        shapes(ResnetTranslator(), side, 3)


def test_the_translator_reflects_its_borders():
    """The corner of a map is the kernel's product with the reflected corner of the one before."""
    module = ResnetTranslator(width=2, blocks=1, norm=None)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 8, 8, 3)), jnp.float32)
    variables = drawn(module, x)
    names = ("in", "down2", "block0a", "block0b")

    @jax.jit
    def run(variables):
        seen = module.apply(variables, x, capture_intermediates=True, mutable=True)[1]
        return {name: seen["intermediates"][name]["__call__"][0] for name in names}

    seen = run(variables)
    before = {"in": x} | {
        name: np.maximum(seen[source], 0.0)
        for name, source in (("block0a", "down2"), ("block0b", "block0a"))
    }
    for name, below in before.items():
        layer = variables["params"][name]
        size = layer["kernel"].shape[0]
        pads = ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0))
        corner = np.pad(below, pads, mode="reflect")[0, :size, :size]
        expected = np.einsum("ijc,ijcf->f", corner, layer["kernel"]) + layer["bias"]
        np.testing.assert_allclose(seen[name][0, 0, 0], expected, rtol=1e-4)


def test_the_encoder_gives_the_maps_that_cut_compares():
    """Park et al. 2020: the image, both halving convolutions, the first and the fifth block."""
    module = ResnetTranslator(width=2, blocks=7)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 16, 16, 3)), jnp.float32)
    variables = drawn(module, x)

    @jax.jit
    def run(variables):
        out, seen = module.apply(variables, x, capture_intermediates=True, mutable=True)
        encoded = module.apply(variables, x, method="encode")
        both = module.apply(variables, x, method="translate_and_encode")
        return out, encoded, both, seen["intermediates"]

    out, encoded, (translation, along), seen = run(variables)
    np.testing.assert_array_equal(translation, out)
    jax.tree.map(np.testing.assert_array_equal, encoded, along)
    layers = {name: layer["__call__"][0] for name, layer in seen.items() if name != "__call__"}
    blocks = [jax.nn.relu(layers["norm_down2"])]
    for number in range(7):
        blocks.append(blocks[-1] + layers[f"norm_block{number}b"])
    expected = (x, layers["down1"], layers["down2"], blocks[1], blocks[5])
    for found, map in zip(encoded, expected, strict=True):
        np.testing.assert_allclose(found, map, atol=1e-6)


@pytest.mark.parametrize(("blocks", "maps"), [(1, 4), (2, 5), (4, 5), (9, 5)])
def test_the_encoder_ends_at_the_fifth_block_or_at_the_last(blocks, maps):
    """And asks for no layer behind it: what has no gradient is not computed."""
    module = ResnetTranslator(width=2, blocks=blocks)
    x = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    encode = functools.partial(module.init_with_output, method="encode")
    found, variables = jax.eval_shape(encode, KEY, x)
    assert len(found) == maps
    convolutions = [name for name in variables["params"] if "norm" not in name]
    assert len(convolutions) == 3 + 2 * min(blocks, 5)


# Anti-aliased resampling


def filtered(x, taps, pads, mode):
    """A map [h w] padded, then multiplied by a separable filter at every place."""
    x = np.pad(x, pads, mode=mode)
    size = len(taps)
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size))
    return np.einsum("ijkl,k,l->ij", windows, taps, taps)


def test_halving_filters_by_1_2_1_of_reflected_borders():
    """The `Downsample` of CUT's code, whose default filter has three taps."""
    x = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    found = smooth.halve(jnp.asarray(x)[None, :, :, None])[0, ..., 0]
    taps = np.array([1.0, 2.0, 1.0]) / 4.0
    np.testing.assert_allclose(found, filtered(x, taps, 1, "reflect")[::2, ::2], atol=1e-6)


def test_doubling_filters_by_1_3_3_1_of_repeated_borders():
    """The `Upsample` of CUT's code: zeros between the pixels, a filter of gain 4."""
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    found = smooth.double(jnp.asarray(x)[None, :, :, None])[0, ..., 0]
    spread = np.zeros((10, 12))
    spread[::2, ::2] = np.pad(x, 1, mode="edge")
    taps = np.array([1.0, 3.0, 3.0, 1.0]) / 4.0
    whole = filtered(spread, taps, ((0, 1), (0, 1)), "constant")
    np.testing.assert_allclose(found, whole[:6, :8], atol=1e-6)


def test_filters_replace_strides_in_both_networks():
    """Maps keep their sizes but for the outputs of the convolutions, which a filter halves."""
    x = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    translator = ResnetTranslator(width=2, blocks=1, antialias=True)
    seen = maps(translator, x, KEY)
    sides = {"down1": 16, "down2": 8, "block0a": 4, "up1": 8, "up0": 16, "__call__": 16}
    assert {name: seen[name].shape[1] for name in sides} == sides
    encoded = jax.eval_shape(
        functools.partial(translator.init_with_output, method="encode"), KEY, x
    )[0]
    assert [m.shape[1] for m in encoded] == [16, 16, 8, 4]
    plain, filters = (PatchGan(16, 2, norm=None, antialias=a) for a in (False, True))
    judged = [jax.eval_shape(net.init_with_output, KEY, x)[0].shape for net in (plain, filters)]
    assert judged[0] == judged[1]
    assert maps(filters, x, KEY)["conv0"].shape[1] == 15


# All


@pytest.mark.parametrize(
    ("name", "published", "biases"),
    [
        # The PyTorch port's print-outs, in millions, of 3 channels; its U-Net with batch norm has
        # no biases on the first layer and on the bottleneck: 64 + 512.
        ("unet", 54.414, -64 - 512),
        ("patchgan", 2.769, 0),
        # With instance norm the port keeps the biases that the norm removes, 2 of each width but
        # 18 + 1 of 256.
        ("translator", 11.378, 2 * 64 + 2 * 128 + (18 + 1) * 256),
    ],
)
def test_as_many_parameters_as_the_authors(name, published, biases):
    assert round((count(*FULL[name]) + biases) / 1e6, 3) == published


@pytest.mark.parametrize(("side", "millions"), [(256, 54.408), (64, 29.238)])
def test_as_many_parameters_as_the_port_with_one_channel(side, millions):
    """junyanz/pytorch-CycleGAN-and-pix2pix, issue 1152."""
    module = Unet(channels=1, depth=unet.depth(side))
    assert round((count(module, side, 1) - 64 - 512) / 1e6, 3) == millions


@pytest.mark.parametrize("name", FULL)
def test_a_bias_is_where_no_norm_follows(name):
    _, variables = shapes(*FULL[name])
    expected = {
        "unet": {"down0", "down7", "out"},
        "unet_64": {"down0", "down5", "out"},
        "unet_instance": {"down0", "down7", "out"},
        "patchgan": {"conv0", "out"},
        "translator": {"out"},
    }
    biased = {layer for layer, p in variables["params"].items() if {"kernel", "bias"} <= p.keys()}
    assert biased == expected[name]


@pytest.mark.parametrize("name", FULL)
def test_bfloat16_is_for_the_computation_alone(name):
    module, side, channels = FULL[name]
    module = module.clone(dtype=jnp.bfloat16)
    x = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    seen = maps(module, x, {"params": KEY, "dropout": KEY})
    result = seen.pop("__call__")
    stored = jax.tree.leaves(shapes(module, side, channels)[1])
    assert {leaf.dtype for leaf in [result, *stored]} == {jnp.dtype("float32")}
    logits = "out" if name == "patchgan" else ""  # of a discriminator: float32, as its losses
    assert {leaf.dtype for at, leaf in seen.items() if at != logits} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("norm", [None, instance_norm, batch_norm()])
@pytest.mark.parametrize("make", [PatchGan, Unet, ResnetTranslator])
def test_every_network_takes_every_norm(make, norm):
    _, variables = shapes(make(norm=norm), 256, 3)
    assert ("batch_stats" in variables) == (norm not in (None, instance_norm))
