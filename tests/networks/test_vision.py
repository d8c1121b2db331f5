"""The networks of Vision-aided GAN (Kumari et al. 2022, arXiv:2112.09130)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import vision

KEY = jax.random.key(0)


def floats(*shape):
    return jax.ShapeDtypeStruct((2, *shape), jnp.float32)


def test_the_features_are_maps_of_three_depths():
    """Of 224 px, the code's size: strides 8, 16 and 32."""
    image = floats(64, 64, 1)
    maps, _ = jax.eval_shape(lambda x: vision.Features(224).init_with_output(KEY, x), image)
    assert [x.shape for x in maps] == [(2, 28, 28, 40), (2, 14, 14, 112), (2, 7, 7, 320)]


@pytest.mark.parametrize("side", [16, 128])
def test_images_of_any_size_are_seen_at_the_same_one(side):
    features, image = vision.Features(32), jax.random.uniform(KEY, (1, side, side, 3))
    variables = features.init(KEY, image)
    resized = jax.image.resize(image, (1, 32, 32, 3), "linear")
    for a, b in zip(
        features.apply(variables, image), features.apply(variables, resized), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_the_heads_give_a_map_of_logits_and_of_the_deepest_features_one():
    maps = [floats(28, 28, 40), floats(14, 14, 112), floats(7, 7, 320)]
    head = vision.Discriminator()
    logits, variables = jax.eval_shape(lambda *x: head.init_with_output(KEY, *x), *maps)
    assert [x.shape for x in logits] == [(2, 49), (2, 16), (2, 1)]
    params = variables["params"]
    assert params["head2_hidden"]["kernel"].shape == (4 * 4 * 256, 256)
    assert params.keys() == variables["spectral"].keys(), "all are spectrally normalised"


def test_the_label_is_projected_on_the_deepest_features_alone():
    maps = [jax.random.normal(KEY, (2, side, side, 4)) for side in (4, 2)]
    head, label = vision.Discriminator(4, projection=True), jnp.eye(3)[:2]
    variables = head.init(KEY, *maps, label)
    first, second = head.apply(variables, *maps, label), head.apply(variables, *maps, label[::-1])
    np.testing.assert_array_equal(first[0], second[0])
    assert (first[1] != second[1]).all()
