"""The convolutions equal XLA's to the second derivative, in every form the CPU gives them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax import parallel
from gan_jax.errors import UserError
from gan_jax.networks.conv import (
    Conv,
    ConvTranspose,
    conv,
    conv_transpose,
    conv_with_constant,
    grouped_conv,
)
from gan_jax.networks.cpu import direct, dispatch, onednn
from gan_jax.networks.geometry import Geometry
from gan_jax.networks.layers import SpectralConv

CPU_CONVOLUTIONS = True

# (height, width), kernel, channels in and out, stride, padding: every form and the odd cases
CASES = {
    "minimal 4x4 stride 2": ((8, 8), (4, 4), (16, 24), 2, 1),
    "minimal 4x4 odd tiles": ((6, 10), (4, 4), (16, 16), 2, 1),
    "minimal 3x3": ((8, 6), (3, 3), (32, 16), 1, 1),
    "minimal 2x2 uneven": ((7, 5), (2, 2), (16, 16), 1, 0),
    "minimal 5x5 stride 2": ((9, 8), (5, 5), (16, 16), 2, 2),
    "wide 4x4 stride 2": ((16, 18), (4, 4), (16, 24), 2, 1),
    "wide 4x4": ((10, 9), (4, 4), (16, 24), 1, 1),
    "wide 3x3": ((8, 12), (3, 3), (16, 24), 1, 1),
    "wide 3x3 uneven": ((9, 10), (3, 3), (24, 16), 1, ((0, 1), (2, 1))),
    "direct 3x3 stride 2": ((9, 8), (3, 3), (16, 16), 2, ((0, 0), (1, 1))),
    "one pixel of four": ((7, 8), (1, 1), (6, 7), 2, ((0, 0), (0, 1))),
    "few channels in": ((8, 8), (4, 4), (3, 8), 2, 1),
    "few channels out": ((8, 8), (4, 4), (8, 1), 2, 1),
    "whole image": ((4, 4), (4, 4), (6, 5), 1, 0),
    "7x7": ((8, 8), (7, 7), (3, 4), 1, 3),
    "7x7, few features": ((8, 6), (7, 7), (4, 2), 1, 3),
    "one by one": ((5, 4), (1, 1), (6, 7), 1, 0),
    "flat kernel": ((1, 12), (1, 5), (4, 6), (1, 2), ((0, 0), (2, 2))),
    "stride 3": ((9, 9), (3, 3), (4, 4), 3, 0),
    "rows left over": ((8, 7), (4, 4), (4, 4), 2, 0),
}


@pytest.fixture(autouse=True)
def as_of_a_large_batch(monkeypatch):
    monkeypatch.setattr(dispatch, "FEW_OUTPUTS", 0)


def pair(value):
    return (value, value) if isinstance(value, int) else value


def pads(padding):
    return ((padding, padding),) * 2 if isinstance(padding, int) else padding


def plain(x, kernel, stride, padding):
    return lax.conv_general_dilated(
        x,
        kernel,
        pair(stride),
        pads(padding),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )


def arrays(case):
    image, size, (c, f), stride, padding = CASES[case]
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(3, *image, c)), rng.normal(size=(*size, c, f)) / 4
    return jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32), stride, padding


def geometry(x, kernel, stride, padding):
    size, (c, f) = kernel.shape[:2], kernel.shape[2:]
    return Geometry(size, pair(stride), pads(padding), x.shape[1:3], len(x), c, f, x.dtype)


def forms(geometry, library=False):
    operations = ("conv", "input_gradient", "kernel_gradient")
    return [dispatch.choose(geometry, each, library=library).name for each in operations]


def assert_close(found, wanted, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        scale = float(np.abs(b).max()) or 1.0
        np.testing.assert_allclose(np.asarray(a) / scale, np.asarray(b) / scale, atol=tolerance)


def derivatives(function):
    """Output, both gradients, and both gradients of a squared input gradient, as R1 takes them."""

    def loss(x, kernel):
        return jnp.sum(jnp.sin(function(x, kernel)))

    def slope(x, kernel):
        return jnp.sum(jnp.square(jax.grad(loss)(x, kernel)))

    return jax.jit(
        lambda x, k: (function(x, k), jax.grad(loss, (0, 1))(x, k), jax.grad(slope, (0, 1))(x, k))
    )


@pytest.mark.parametrize("case", CASES)
def test_a_convolution_equals_the_plain_one_to_the_second_derivative(case):
    x, kernel, stride, padding = arrays(case)
    found = derivatives(lambda x, k: conv(x, k, stride=stride, padding=padding))(x, kernel)
    wanted = derivatives(lambda x, k: plain(x, k, stride, padding))(x, kernel)
    assert_close(found, wanted)


FORMS = {  # of the convolution and its gradients to input and kernel
    "minimal 4x4 stride 2": ["winograd"] * 3,
    "minimal 3x3": ["winograd"] * 3,
    "minimal 5x5 stride 2": ["winograd"] * 3,
    "wide 4x4": ["winograd"] * 3,
    "direct 3x3 stride 2": ["direct", "winograd", "direct"],
    "one pixel of four": ["direct"] * 3,
    "one by one": ["direct"] * 3,
    "few channels in": ["kn2row"] * 3,
    "few channels out": ["kn2row"] * 3,
    "whole image": ["im2col"] * 3,
    "7x7": ["im2col"] * 3,
    "7x7, few features": ["kn2row"] * 3,
}


@pytest.mark.parametrize("case", FORMS)
def test_the_form_depends_on_the_geometry(case):
    assert forms(geometry(*arrays(case))) == FORMS[case]


def test_the_library_is_chosen_only_where_it_may_be_called():
    own = geometry(*arrays("7x7 from 3"))
    assert forms(own) == ["im2col"] * 3
    assert forms(own, library=True) == ["onednn", "im2col", "im2col"]
    assert forms(own._replace(dtype=np.dtype("float16")), library=True) == ["im2col"] * 3


LIBRARY = {  # what oneDNN takes, of convolutions and their input gradients
    "direct 3x3 stride 2": (True, False),
    "few channels in, many out": (True, False),
    "7x7 from 3": (True, False),
    "7x7 to 3": (False, True),
    "one by one of 3": (True, False),
    "flat kernel of 16": (True, True),
    "wide 3x3": (False, False),
}
CASES |= {
    "few channels in, many out": ((8, 9), (4, 4), (3, 16), 2, 1),
    "7x7 from 3": ((8, 8), (7, 7), (3, 16), 1, 3),
    "7x7 to 3": ((8, 6), (7, 7), (16, 3), 1, ((3, 0), (1, 4))),
    "one by one of 3": ((8, 8), (1, 1), (3, 16), 1, 0),
    "flat kernel of 16": ((4, 12), (1, 5), (16, 20), 1, ((0, 0), (2, 2))),
}


@pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
@pytest.mark.parametrize("case", LIBRARY)
def test_the_library_s_convolutions_equal_the_plain_ones_to_the_second_derivative(case):
    x, kernel, stride, padding = arrays(case)

    def ours(x, k):
        return conv(x, k, stride=stride, padding=padding)

    def gradient(x, k):
        return jax.grad(lambda x: ours(x, k).sum())(x)

    with onednn.enabled():
        found = derivatives(ours)(x, kernel)
        texts = [jax.jit(f).lower(x, kernel).compile().as_text() for f in (ours, gradient)]
    assert_close(found, derivatives(lambda x, k: plain(x, k, stride, padding))(x, kernel))
    assert tuple("__onednn$convolution" in text for text in texts) == LIBRARY[case]
    assert "__onednn" not in jax.jit(ours).lower(x, kernel).compile().as_text()


@pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
def test_padding_beyond_the_kernel_is_cropped_from_gradients():
    """XLA's own gradient is wrong on the CPU there (jaxlib 0.10.2), so it is none of `CASES`."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 4, 5, 17)), rng.normal(size=(3, 5, 17, 3))
    y = rng.normal(size=(2, 9, 6, 3)).astype(np.float32)
    x, kernel = jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32)

    def gradient(y):
        return jax.vjp(lambda x: conv(x, kernel, padding=((3, 4), (5, 0))), x)[1](y)[0]

    painted = np.zeros((2, 11, 10, 17), np.float32)
    for u, v in np.ndindex(3, 5):
        painted[:, u : u + 9, v : v + 6] += y @ np.asarray(kernel[u, v]).T
    assert_close(jax.jit(gradient)(y), painted[:, 3:7, 5:])
    with onednn.enabled():
        assert_close(jax.jit(gradient)(y), painted[:, 3:7, 5:])


@pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
def test_grouped_convolutions_by_the_library_are_one_after_the_other():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(3, 8, 8, 6)), rng.normal(size=(5, 5, 3, 32))
    x, kernel = jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32)
    call = jax.jit(lambda x, k: grouped_conv(x, k, groups=2))
    with onednn.enabled():
        compiled = call.lower(x, kernel).compile()
    assert "__onednn$convolution" in compiled.as_text()
    assert_close(compiled(x, kernel), call(x, kernel))


@pytest.mark.parametrize("case", ["minimal 4x4 stride 2", "minimal 5x5 stride 2", "whole image"])
def test_few_outputs_change_nothing(case, monkeypatch):
    monkeypatch.setattr(dispatch, "FEW_OUTPUTS", 256)
    x, kernel, _, padding = arrays(case)
    assert forms(geometry(x, kernel, 2, padding)) == ["direct"] * 3
    found = derivatives(lambda x, k: conv(x, k, stride=2, padding=padding))(x, kernel)
    assert_close(found, derivatives(lambda x, k: plain(x, k, 2, padding))(x, kernel))


def test_portions_of_a_batch_change_nothing(monkeypatch):
    monkeypatch.setattr(direct, "CACHE", 3000)  # one image's numbers, and not a kernel's
    monkeypatch.setattr(direct, "FEWEST_ROWS", 1)
    x, kernel, stride, padding = arrays("direct 3x3 stride 2")
    compute = derivatives(lambda x, k: conv(x, k, stride=stride, padding=padding))
    assert "while" in compute.lower(x, kernel).as_text()
    wanted = derivatives(lambda x, k: plain(x, k, stride, padding))(x, kernel)
    assert_close(compute(x, kernel), wanted)


@pytest.mark.parametrize("case", CASES)
def test_a_transposed_convolution_is_the_transpose_to_the_second_derivative(case):
    image, size, _, stride, padding = CASES[case]
    x, kernel, *_ = arrays(case)
    steps = [(n + sum(p) - k) for n, p, k in zip(image, pads(padding), size, strict=True)]
    extra = tuple(n % s for n, s in zip(steps, pair(stride), strict=True))
    y, swapped = plain(x, kernel, stride, padding), kernel.swapaxes(2, 3)
    y = y / jnp.std(y)  # of size one, as x is: the sines below magnify what is larger

    def painted(y, k):
        return conv_transpose(y, k, stride=stride, padding=pads(padding), output_padding=extra)

    def transposed(y, k):
        pull = jax.linear_transpose(lambda x: plain(x, k.swapaxes(2, 3), stride, padding), x)
        return pull(y)[0]

    assert_close(derivatives(painted)(y, swapped), derivatives(transposed)(y, swapped))


def test_an_impulse_paints_the_kernel_where_torch_paints_it():
    x = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1, 0].set(1.0)
    kernel = jnp.arange(16.0).reshape(4, 4, 1, 1)
    painted = np.asarray(conv_transpose(x, kernel, stride=2, padding=1))[0, :, :, 0]
    wanted = np.zeros((6, 6), np.float32)
    wanted[1:5, 1:5] = kernel[:, :, 0, 0]  # stride * 1 + tap - padding
    np.testing.assert_array_equal(painted, wanted)
    assert conv_transpose(x, kernel, stride=2, padding=1, output_padding=1).shape == (1, 7, 7, 1)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_get_plain_convolutions(platform):
    x, kernel, stride, padding = arrays("minimal 4x4 stride 2")

    def gradients(x, kernel):
        return jax.grad(lambda x, k: conv(x, k, stride=stride, padding=padding).sum(), (0, 1))(
            x, kernel
        )

    traced = jax.jit(gradients).trace(x, kernel)
    assert "stablehlo.convolution" in traced.lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.convolution" not in traced.lower(lowering_platforms=("cpu",)).as_text()


@pytest.mark.parametrize(
    ("image", "size", "stride", "padding"),
    [
        ((8, 7), (4, 4), 2, 1),
        ((5, 6), (3, 3), 1, "SAME"),
        ((4, 4), (4, 4), 1, 0),
        ((3, 9), (1, 5), (1, 2), ((0, 0), (2, 3))),
        ((4, 5), (3, 4), 1, ((3, 4), (4, 0))),
    ],
)
def test_constant_channels_are_those_written_out_to_the_second_derivative(
    image, size, stride, padding
):
    rng = np.random.default_rng(0)
    shapes = (3, *image, 2), (3, 5), (*size, 7, 4)
    given = tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)

    def ours(x, constant, kernel):
        return conv_with_constant(x, constant, kernel, stride=stride, padding=padding)

    def written(x, constant, kernel):
        maps = jnp.broadcast_to(constant[:, None, None], (3, *image, 5))
        return conv(jnp.concatenate([x, maps], axis=-1), kernel, stride=stride, padding=padding)

    def derivatives(function):
        def slopes(*given):
            return jax.grad(lambda *given: jnp.sin(function(*given)).sum(), (0, 1, 2))(*given)

        def steepness(*given):
            return sum(jnp.square(slope).sum() for slope in slopes(*given))

        second = jax.grad(steepness, (0, 1, 2))
        return jax.jit(lambda *given: (function(*given), slopes(*given), second(*given)))

    assert_close(derivatives(ours)(*given), derivatives(written)(*given))


@pytest.mark.parametrize("layer", [Conv, SpectralConv])
def test_a_layer_s_constant_channels_are_its_last(layer):
    x, constant = jnp.linspace(-1.0, 1.0, 2 * 6 * 6 * 3).reshape(2, 6, 6, 3), jnp.eye(2, 4)
    maps = jnp.broadcast_to(constant[:, None, None], (2, 6, 6, 4))
    module = layer(5, 4, stride=2, padding=1)
    variables = module.init(jax.random.key(0), x, constant)
    whole = jnp.concatenate([x, maps], axis=-1)
    assert_close(module.init(jax.random.key(0), whole), variables)
    assert_close(module.apply(variables, x, constant), module.apply(variables, whole))
    with pytest.raises(UserError, match="the input has 3 and 2 constant ones"):
        conv_with_constant(x, constant[:, :2], jnp.zeros((4, 4, 7, 5)))


def test_minimal_filtering_spares_products():
    x, kernel = jnp.zeros((8, 16, 16, 32)), jnp.zeros((4, 4, 32, 32))
    compiled = jax.jit(lambda x, k: conv(x, k, stride=2, padding=1)).lower(x, kernel).compile()
    direct = 2 * 8 * 8 * 8 * 16 * 32 * 32
    assert compiled.cost_analysis()["flops"] < 0.75 * direct  # 9 of 16, and the sums around them


def test_the_family_is_closed_to_the_third_derivative():
    x, kernel, stride, padding = arrays("minimal 3x3")

    def value(x):
        return jnp.sum(conv(x, kernel, stride=stride, padding=padding) ** 4)

    def wanted(x):
        return jnp.sum(plain(x, kernel, stride, padding) ** 4)

    def third(f):
        second = jax.grad(lambda x: jnp.sum(jax.grad(f)(x) ** 2))
        return jax.jit(jax.grad(lambda x: jnp.sum(second(x) ** 2)))

    assert_close(third(value)(x), third(wanted)(x), 1e-4)


def test_vmap_and_devices_change_nothing():
    x, kernel, stride, padding = arrays("minimal 4x4 stride 2")
    xs = jnp.stack([x, 2 * x])
    mapped = jax.vmap(lambda x: conv(x, kernel, stride=stride, padding=padding))(xs)
    assert_close(mapped[1], 2 * conv(x, kernel, stride=stride, padding=padding))
    mesh = parallel.make_mesh(3)

    def total(state, batch, key):
        found = conv(batch, kernel, stride=stride, padding=padding)
        return state, jax.lax.psum(jnp.sum(found, 0), parallel.AXIS)

    spread = parallel.data_parallel(total, mesh, backend="shard_map")
    _, summed = spread(
        parallel.place(jnp.zeros(()), mesh), parallel.shard(np.asarray(x), mesh), jnp.zeros(())
    )
    assert_close(summed, plain(x, kernel, stride, padding).sum(0))


def test_bfloat16_is_within_its_own_precision():
    x, kernel, stride, padding = arrays("minimal 4x4 stride 2")
    half = conv(x.astype(jnp.bfloat16), kernel, stride=stride, padding=padding)
    assert half.dtype == jnp.bfloat16
    assert_close(half.astype(np.float32), plain(x, kernel, stride, padding), 0.03)


def test_modules_hold_a_kernel_and_a_bias_in_float32():
    x = jnp.zeros((2, 8, 8, 3))
    down = Conv(5, (4, 4), stride=2, padding=1, dtype=jnp.bfloat16)
    variables = down.init(jax.random.key(0), x)
    assert {k: v.shape for k, v in variables["params"].items()} == {
        "kernel": (4, 4, 3, 5),
        "bias": (5,),
    }
    assert {v.dtype for v in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    assert down.apply(variables, x).shape == (2, 4, 4, 5)
    up = ConvTranspose(6, (5, 5), stride=2, padding=2, output_padding=1, use_bias=False)
    variables = up.init(jax.random.key(0), x)
    assert variables["params"]["kernel"].shape == (5, 5, 6, 3)  # the convolution's
    assert up.apply(variables, x).shape == (2, 16, 16, 6)


def test_an_image_smaller_than_the_kernel_is_refused():
    with pytest.raises(UserError, match="does not fit"):
        conv(jnp.zeros((1, 2, 2, 3)), jnp.zeros((4, 4, 3, 4)), padding=0)


def grouped(x, kernel):
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        feature_group_count=x.shape[-1] // kernel.shape[2],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )


@pytest.mark.parametrize(("groups", "channels", "features"), [(3, 4, 5), (2, 16, 16)])
def test_a_grouped_convolution_equals_the_plain_one(groups, channels, features):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, 6, 5, groups * channels)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, channels, groups * features)) / 8, jnp.float32)
    found = derivatives(lambda x, k: grouped_conv(x, k, groups=groups))(x, kernel)
    assert_close(found, derivatives(grouped)(x, kernel))


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_get_plain_grouped_convolutions(platform):
    x, kernel = jnp.zeros((2, 8, 8, 64)), jnp.zeros((3, 3, 16, 64))
    traced = jax.jit(lambda x, k: grouped_conv(x, k, groups=4)).trace(x, kernel)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == 1 and "feature_group_count = 4" in text


def test_a_grouped_convolution_refuses_channels_that_do_not_fit():
    with pytest.raises(UserError, match="do not fit 8 channels"):
        grouped_conv(jnp.zeros((1, 4, 4, 8)), jnp.zeros((3, 3, 3, 6)), groups=3)
