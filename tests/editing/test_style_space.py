"""Control of pictures through styles: on linear generators whose axes are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from gan_jax.editing import directions, mixing, parameters, projection, styles, walks
from gan_jax.errors import UserError
from gan_jax.latents import lerp, slerp
from gan_jax.networks import stylegan, stylegan2, stylegan_layers, stylegan_mapping

RNG = np.random.RandomState(0)
N, LAYERS, SIDE = 6, 4, 8
AXIS = np.eye(N, dtype=np.float32)[2]  # what moves the brightness most
MAPS = RNG.normal(size=(LAYERS, N, SIDE, SIDE, 3)).astype(np.float32)


@jax.jit
def synthesise(ws, key):
    """A linear generator: every layer adds its own maps; noise falls on the upper half only."""
    pictures = 0.1 * jnp.einsum("bln,lnhwc->bhwc", ws, MAPS)
    if key is None:
        return pictures
    noise = 0.3 * jax.random.normal(key, pictures.shape)
    return pictures + noise * (jnp.arange(SIDE) < SIDE // 2)[None, :, None, None]


def test_layers_are_named_by_ranges_lists_and_bands():
    assert styles.parse_layers("0-1", 10) == (0, 1)
    assert styles.parse_layers("2,4-5", 10) == (2, 4, 5)
    assert styles.parse_layers("all", 3) == (0, 1, 2)
    assert styles.parse_layers("coarse, 9", 10) == (0, 1, 2, 3, 9)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("4-12", "within 0-9"),
        ("5-3", "within"),
        ("corse", "'coarse'"),
        ("", "no layer"),
        ("-1", "no layer"),
    ],
)
def test_layers_that_do_not_exist_are_refused(text, complaint):
    with pytest.raises(UserError, match=complaint):
        styles.parse_layers(text, 10)


def test_bands_are_those_of_figure_3():
    """Karras et al. 2019: coarse 4-8 px, middle 16-32 px, fine 64-1024 px; 18 layers at 1024."""
    found = styles.bands(18)
    assert found == {"coarse": (0, 1, 2, 3), "middle": (4, 5, 6, 7), "fine": tuple(range(8, 18))}
    assert styles.bands(6) == {"coarse": (0, 1), "middle": (2, 3), "fine": (4, 5)}
    assert all(sum(styles.bands(n).values(), ()) == tuple(range(n)) for n in range(2, 19, 2))


def test_replacing_and_truncating_are_the_networks_own():
    """The general forms here agree with the special ones that train the networks."""
    ws, other = (jnp.asarray(RNG.normal(size=(2, LAYERS, N)), jnp.float32) for _ in range(2))
    chosen = styles.mask(range(2, LAYERS), LAYERS)
    mixed = stylegan_mapping.mix_styles(ws, other, jnp.asarray([2, 2]))
    np.testing.assert_array_equal(styles.replace(ws, other, chosen), mixed)
    mean = ws[0, 0]
    np.testing.assert_allclose(
        styles.truncate(ws, mean, 0.7, ~chosen),
        stylegan_mapping.truncate(ws, mean, 0.7, 2),
        rtol=1e-6,
    )


def draw(count, seed=1):
    w = np.random.RandomState(seed).normal(size=(count, N)).astype(np.float32)
    return styles.broadcast(jnp.asarray(w), LAYERS)


def test_rendering_in_batches_is_rendering_at_once():
    ws = draw(7)
    np.testing.assert_allclose(
        styles.render(synthesise, ws, batch=3), synthesise(ws, None), atol=1e-6
    )


def test_a_mixing_grid_takes_the_chosen_layers_from_the_columns():
    rows, columns = draw(2), draw(3, seed=2)
    grid = mixing.mixing_grid(synthesise, rows, columns, styles.mask((0, 1), LAYERS))
    assert grid.shape == (3, 4, SIDE, SIDE, 3)
    mixed = jnp.concatenate([columns[2:3, :2], rows[1:2, 2:]], axis=1)
    np.testing.assert_allclose(grid[2, 3], synthesise(mixed, None)[0], atol=1e-6)
    np.testing.assert_allclose(grid[0, 1:], synthesise(columns, None), atol=1e-6)
    np.testing.assert_allclose(grid[1:, 0], synthesise(rows, None), atol=1e-6)
    whole = mixing.mixing_grid(synthesise, rows, columns, styles.mask(range(LAYERS), LAYERS))
    np.testing.assert_allclose(whole[1, 1:], whole[0, 1:], atol=1e-6)


def test_a_truncation_sweep_meets_in_the_mean():
    ws, mean = draw(2), jnp.full(N, 0.3)
    sheet = mixing.truncation_sweep(
        synthesise, ws, mean, (0.0, 1.0), styles.mask(range(LAYERS), LAYERS)
    )
    np.testing.assert_allclose(sheet[0, 0], sheet[1, 0], atol=1e-6)
    np.testing.assert_allclose(sheet[:, 1], synthesise(ws, None), atol=1e-6)


def test_noise_deviates_where_noise_falls():
    found = mixing.noise_deviation(synthesise, draw(2), jax.random.key(0), draws=32)
    assert found.shape == (2, SIDE, SIDE)
    assert found[:, : SIDE // 2].mean() == pytest.approx(0.3, rel=0.05)
    assert np.abs(found[:, SIDE // 2 :]).max() < 1e-6


@pytest.mark.parametrize("between", [slerp, lerp])
def test_a_loop_closes_exactly_and_goes_in_even_parts(between):
    points = jnp.asarray(RNG.normal(size=(3, 2, N)), jnp.float32)
    frames = walks.loop(points, between, 12)
    np.testing.assert_array_equal(frames[::4], points)
    np.testing.assert_array_equal(
        walks.position(points, between, 3.0), walks.position(points, between, 0.0)
    )
    beyond = walks.position(points, between, 3.0 - 1e-4)
    np.testing.assert_allclose(beyond, points[0], atol=1e-3)
    steps = np.linalg.norm(np.diff(np.asarray(frames), axis=0), axis=-1)
    if between is lerp:
        np.testing.assert_allclose(steps[0], steps[1], rtol=1e-3)


# Directions


def weights_with_axis(strength):
    """Style weights that all channels share, and `AXIS`, which many channels follow."""
    a = RNG.normal(size=(N, 40)).astype(np.float32)
    return a + strength * AXIS[:, None] * np.sign(RNG.normal(size=40))


def test_sefa_recovers_the_axis_that_most_channels_follow():
    chosen = [weights_with_axis(5.0), 0.01 * weights_with_axis(5.0)]
    found = directions.sefa(chosen)
    assert found.vectors.shape == (N, N)
    assert found.vectors[0] @ AXIS > 0.98
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(N), atol=1e-5)
    assert (np.diff(found.weights) <= 0).all()


def test_sefa_divides_every_channel_by_its_length():
    """A single loud channel must not decide: the columns are normalised, not the whole matrix."""
    quiet = np.tile(AXIS[:, None], (1, 5))
    loud = 1000.0 * np.eye(N, dtype=np.float32)[:, :1]
    found = directions.sefa([quiet, loud])
    assert found.vectors[0] @ AXIS > 0.99
    assert found.weights[:2] == pytest.approx([5.0, 1.0], abs=1e-5)


@pytest.mark.parametrize("kind", [stylegan, stylegan2], ids=["stylegan", "stylegan2"])
def test_affine_weights_and_noise_are_found_by_layer(kind):
    synthesis = kind.Synthesis(8, maps=stylegan_layers.Maps(most=3))
    module = stylegan.Generator(stylegan_mapping.Mapping(5, depth=1), synthesis)
    made = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, N)))
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape), made["params"])
    found = parameters.affines(params, 4)
    channels = [6] * 4 if kind is stylegan else [3, 3, 3, 0]
    assert [one.shape for one in found] == [(5, c) for c in channels]
    quiet = parameters.remove_noise(params, (1, 3))
    changed = {
        "/".join(path)
        for path, leaf in flatten_dict(quiet).items()
        if not np.array_equal(leaf, flatten_dict(params)[path])
    }
    scales = {
        stylegan: {f"synthesis/finish{n}/noise/scale" for n in (1, 3)},
        stylegan2: {"synthesis/layer1/strength"},
    }
    assert changed == scales[kind]


def test_a_generator_without_styles_has_no_affine_weights():
    with pytest.raises(UserError, match="layer 0 has no style weights"):
        parameters.affines({"conv0": {"kernel": np.zeros((3, 3))}}, 4)


def test_principal_components_recover_the_axis_of_largest_variance():
    w = RNG.normal(size=(4000, N)).astype(np.float32) * (1.0 + 2.0 * AXIS) + 100.0
    mean, found = directions.principal(np.split(w, 8))
    assert abs(found.vectors[0] @ AXIS) > 0.99
    np.testing.assert_allclose(mean, w.mean(axis=0), rtol=1e-4)
    assert found.weights[0] == pytest.approx(w[:, 2].std(ddof=1), rel=1e-3)
    together = directions.principal([w])[1]
    np.testing.assert_allclose(together.weights, found.weights, rtol=1e-4)


def test_the_hyperplanes_normal_is_the_axis_of_the_attribute():
    w = RNG.normal(size=(600, N)).astype(np.float32)
    normal = (AXIS + 0.5 * np.roll(AXIS, 1)) / np.sqrt(1.25)
    margins = w @ normal - 1.0 + 0.2 * RNG.normal(size=600)  # rare: 16 % have it
    found = directions.hyperplane_normal(w, margins)
    assert found @ normal > 0.98
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)


def test_the_most_confident_half_of_each_class_is_kept():
    margins = np.array([3.0, 1.0, -1.0, -2.0, -3.0, -4.0])
    np.testing.assert_array_equal(directions.confident_half(margins), [1, 0, 0, 0, 1, 1])


def test_a_one_sided_attribute_has_no_direction():
    with pytest.raises(UserError, match="3 of 100 samples"):
        directions.hyperplane_normal(np.zeros((100, N)), np.r_[np.ones(3), -np.ones(97)])


def test_an_orthogonalised_direction_is_orthogonal_to_the_others():
    others = RNG.normal(size=(2, N)).astype(np.float32)
    found = directions.orthogonalise(AXIS, np.concatenate([others, others[:1]]))
    assert np.abs(others @ found).max() < 1e-5
    assert found @ AXIS > 0
    with pytest.raises(UserError, match="lies within"):
        directions.orthogonalise(others[0], others)


def test_a_step_is_one_deviation_of_w_long():
    w = RNG.normal(size=(2000, N)).astype(np.float32) * (1.0 + 2.0 * AXIS)
    steps = directions.scale_to_deviations(np.stack([AXIS, np.roll(AXIS, 1)]), w)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), [3.0, 1.0], rtol=0.05)


def test_edits_move_along_the_axis_in_the_chosen_layers_only():
    ws = draw(2)
    sheet = mixing.edits(synthesise, ws, AXIS[None], (-1.0, 0.0, 2.0), styles.mask((1,), LAYERS))
    np.testing.assert_allclose(sheet[:, 1], synthesise(ws, None), atol=1e-6)
    np.testing.assert_allclose(sheet[0, 2] - sheet[0, 1], 0.2 * MAPS[1, 2], atol=1e-5)


# Projection


def near(x, y):
    return projection.reconstruction_loss(None)(x, y)


def test_projection_into_w_finds_the_generators_own_picture():
    ws = draw(1, seed=5)
    target = np.asarray(synthesise(ws, None))[0]
    start = jnp.zeros((LAYERS, N))
    found = projection.project(
        target, synthesise, start, np.sqrt(N), near, jax.random.key(0), steps=200
    )
    np.testing.assert_allclose(found.ws, ws[0], atol=0.05)
    assert found.losses.shape == (201,)
    assert found.losses[-1] < 1e-3 * found.losses[0]
    assert found.pictures.shape == (8, SIDE, SIDE, 3) and found.steps[0] == 0
    assert found.steps[-1] == 200
    np.testing.assert_allclose(found.pictures[-1], target, atol=0.05)


def test_w_plus_reaches_what_w_cannot():
    ws = jnp.asarray(RNG.normal(size=(1, LAYERS, N)), jnp.float32)  # another style in each layer
    target = np.asarray(synthesise(ws, None))[0]
    ends = {}
    for plus in (False, True):
        found = projection.project(
            target,
            synthesise,
            jnp.zeros((LAYERS, N)),
            np.sqrt(N),
            near,
            jax.random.key(0),
            plus=plus,
            steps=150,
            snapshots=2,
        )
        ends[plus] = found.losses[-1]
        assert plus or (found.ws == found.ws[0]).all()
    assert ends[True] < 0.01 * ends[False]


def test_the_schedule_is_the_papers():
    """Appendix D: of 1000 steps 50 ramp up, 250 ramp down; noise 0.05 t^2, t to 0 in 750."""
    np.testing.assert_allclose(
        [projection.lr_ramp(n / 1000) for n in (0, 25, 50, 750, 875, 1000)],
        [0.0, 0.5, 1.0, 1.0, 0.5, 0.0],
        atol=1e-6,
    )
    np.testing.assert_allclose(
        [projection.jitter(n / 1000) for n in (0, 375, 750, 1000)], [0.05, 0.0125, 0, 0], atol=1e-7
    )


def test_a_picture_of_another_shape_cannot_be_projected():
    with pytest.raises(UserError, match="the generator makes"):
        projection.project(
            np.zeros((4, 4, 3)),
            synthesise,
            jnp.zeros((LAYERS, N)),
            1.0,
            near,
            jax.random.key(0),
        )
