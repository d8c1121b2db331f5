"""DF-GAN's networks (Tao et al. 2022, arXiv:2008.05865); "the code" is its authors'."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.build.experiment import build
from gan_jax.config import Dfgan, Experiment, Player, TextToImage, change
from gan_jax.errors import UserError
from gan_jax.networks import dfgan

KEY = jax.random.key(0)
MAPS = jax.random.normal(KEY, (2, 4, 4, 3))
CONDITION = jax.random.normal(jax.random.key(1), (2, 5))
IMAGES = jax.random.normal(jax.random.key(2), (2, 16, 16, 3))


def shapes(module, *inputs):
    variables = jax.eval_shape(lambda: module.init(KEY, *inputs))
    return {
        "/".join(key.key for key in path[1:]): leaf.shape
        for path, leaf in jax.tree_util.tree_flatten_with_path(variables)[0]
    }


def test_an_affine_is_initially_the_identity():
    """The code: last layers of zero weight, bias 1 of gamma and 0 of beta."""
    module = dfgan.Affine()
    variables = module.init(KEY, MAPS, CONDITION)
    np.testing.assert_allclose(module.apply(variables, MAPS, CONDITION), MAPS)
    moved = jax.tree.map(lambda x: x + 0.1, variables)
    assert not np.allclose(module.apply(moved, MAPS, CONDITION), MAPS)


def test_a_fusion_is_two_leaky_rectifiers_with_affines():
    """Section 3.4: initially 0.2 of 0.2 of what is negative."""
    module = dfgan.Fusion()
    variables = module.init(KEY, MAPS, CONDITION)
    wanted = np.where(MAPS > 0, MAPS, 0.04 * MAPS)
    np.testing.assert_allclose(module.apply(variables, MAPS, CONDITION), wanted, rtol=1e-5)


def test_the_functions_of_the_condition_have_a_hidden_layer_of_as_many_units_as_channels():
    found = shapes(dfgan.Affine(), MAPS, CONDITION)
    for name in ("gamma", "beta"):
        assert found[f"{name}_hidden/kernel"] == (5, 3)
        assert found[f"{name}/kernel"] == (3, 3)


def test_a_block_enlarges_before_all_else_as_in_the_code():
    """Here the first fusion and the shortcut come before pixels are repeated: it is the same."""
    module = dfgan.UpBlock(4)
    variables = module.init(KEY, MAPS, CONDITION)
    variables = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(KEY, x.shape), variables)
    params = variables["params"]

    def conv(x, layer):
        kernel, bias = layer["kernel"], layer["bias"]
        dimensions = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dimensions)
        return y + bias[None, None, None]

    def fuse(x, layer):
        return dfgan.Fusion().apply({"params": layer}, x, CONDITION)

    large = MAPS.repeat(2, axis=1).repeat(2, axis=2)
    y = conv(fuse(large, params["fusion0"]), params["conv0"])
    y = conv(fuse(y, params["fusion1"]), params["conv1"])
    wanted = conv(large, params["shortcut"]) + y
    np.testing.assert_allclose(module.apply(variables, MAPS, CONDITION), wanted, atol=1e-4)


def test_a_block_of_the_discriminator_is_initially_its_shortcut():
    """The code: x + gamma * residual, where gamma starts from 0."""
    module = dfgan.DownBlock(3)
    variables = module.init(KEY, MAPS)
    mean = MAPS.reshape(2, 2, 2, 2, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(module.apply(variables, MAPS), mean, rtol=1e-5, atol=1e-6)
    params = {**variables["params"], "gamma": jnp.ones(())}
    assert not np.allclose(module.apply({"params": params}, MAPS), mean)


@pytest.mark.parametrize(
    ("resolution", "wanted"), [(32, (256, 128, 64, 32)), (128, (256, 256, 256, 128, 64, 32))]
)
def test_channels_double_up_to_eight_times(resolution, wanted):
    assert dfgan.channels(32, resolution) == wanted


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_the_networks_are_of_the_codes_sizes(resolution):
    """A block for each doubling from 4 px; no norm has statistics."""
    z, sentence = jnp.zeros((2, 100)), jnp.zeros((2, 256))
    images = jnp.zeros((2, resolution, resolution, 3))
    generator, judge = dfgan.Generator(resolution), dfgan.Discriminator(resolution)
    made = jax.eval_shape(lambda: generator.init_with_output(KEY, z, sentence))
    assert made[0].shape == images.shape
    assert set(made[1]) == {"params"}
    blocks = int(np.log2(resolution)) - 2
    found = shapes(judge, images, sentence)
    assert sum(name.endswith("gamma") for name in found) == blocks
    assert found["joint/kernel"] == (3, 3, 256 + 256, 64)  # to twice the width
    assert found["out/kernel"] == (4, 4, 64, 1)
    assert not any(name.startswith(("joint/bias", "out/bias")) for name in found)
    assert found["block0/conv0/kernel"] == (4, 4, 32, 64)
    assert "block0/conv0/bias" not in found
    assert shapes(generator, z, sentence)["project/kernel"] == (100, 16 * 256)


def test_a_block_whose_channels_stay_has_no_convolution_in_its_shortcut():
    found = shapes(dfgan.Discriminator(64, 2), jnp.zeros((2, 64, 64, 3)), CONDITION)
    assert "block2/shortcut/kernel" in found
    assert "block3/shortcut/kernel" not in found


def test_the_sentence_scales_maps_in_every_block():
    module = dfgan.Generator(16, width=2)
    z = jax.random.normal(KEY, (2, 3))
    variables = module.init(KEY, z, CONDITION)
    same = module.apply(variables, z, CONDITION)
    np.testing.assert_allclose(module.apply(variables, z, -CONDITION), same)  # initially not
    moved = {**variables["params"]}
    for block in ("block0", "block1"):
        shaken = jax.tree.map(lambda x: x + 0.1, moved[block]["fusion1"])
        params = {**moved, block: {**moved[block], "fusion1": shaken}}
        others = (module.apply({"params": params}, z, c) for c in (CONDITION, -CONDITION))
        assert not np.allclose(*others)


def test_the_discriminator_has_one_output_which_needs_the_sentence():
    """Section 3.3: there is no unconditional logit, nothing is left without the joint layer."""
    module = dfgan.Discriminator(16, 2)
    variables = module.init(KEY, IMAGES, CONDITION)
    logits = module.apply(variables, IMAGES, CONDITION)
    assert logits.shape == (2,)
    assert not np.allclose(logits, module.apply(variables, IMAGES, -CONDITION))
    params = {
        **variables["params"],
        "joint": jax.tree.map(jnp.zeros_like, variables["params"]["joint"]),
    }
    np.testing.assert_array_equal(module.apply({"params": params}, IMAGES, CONDITION), 0.0)


def test_the_sentence_is_at_every_pixel_of_the_last_map():
    module = dfgan.Discriminator(16, 2)
    variables = module.init(KEY, IMAGES, CONDITION)
    params = variables["params"]
    maps = jnp.concatenate(
        [jnp.zeros((2, 4, 4, 8)), jnp.broadcast_to(CONDITION[:, None, None], (2, 4, 4, 5))], axis=-1
    )
    dimensions = ("NHWC", "HWIO", "NHWC")
    kernel = params["joint"]["kernel"]
    y = jax.lax.conv_general_dilated(maps, kernel, (1, 1), "SAME", dimension_numbers=dimensions)
    wanted = jnp.einsum(
        "bhwc,hwc->b", jnp.where(y > 0, y, 0.2 * y), params["out"]["kernel"][..., 0]
    )
    blank = {
        name: part if name in ("joint", "out") else jax.tree.map(jnp.zeros_like, part)
        for name, part in params.items()
    }
    found = module.apply({"params": blank}, IMAGES, CONDITION)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resolution", [4, 28])
def test_a_resolution_without_blocks_is_refused(resolution):
    player = Player(Dfgan(width=2))
    experiment = Experiment("x", player, player, TextToImage(caption=0))
    with pytest.raises(UserError, match=r"data\.resolution"):
        build(change(experiment, {"data.resolution": resolution, "run.devices": 1}))


def test_the_auxiliary_reading_sees_the_image_alone():
    module = dfgan.Discriminator(16, 2, auxiliary=True)
    variables = module.init(KEY, IMAGES, CONDITION)
    logits, read = module.apply(variables, IMAGES, CONDITION)
    other, same = module.apply(variables, IMAGES, -CONDITION)
    assert read.shape == CONDITION.shape
    np.testing.assert_array_equal(read, same)
    assert not np.allclose(logits, other)
    assert not np.allclose(read, module.apply(variables, -IMAGES, CONDITION)[1])
