"""The conditional games and the VAE: what their papers say, as numbers."""

import itertools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import game, latents, objectives
from gan_jax.augment import Augment
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games import vae as vaes
from gan_jax.games.gan import ClassLoss, condition_on, gan
from gan_jax.games.pix2pix import pix2pix
from gan_jax.games.text_to_image import text_to_image
from gan_jax.games.vae import log_evidence, vae
from gan_jax.networks import dcgan, mlp
from gan_jax.networks.text import Augmenter

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
SGD = optax.sgd(0.0)  # the losses are looked at, nothing moves


def floats(*shape):
    return jax.ShapeDtypeStruct((2, *shape), jnp.float32)


def draw(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def play(played, batch):
    """The state before, and the metrics of one round."""
    state = game.init(played, KEY)
    _, metrics = jax.jit(lambda s: game.step(played, s, batch, KEY))(state)
    return state, jax.device_get(metrics)


class Probe(nn.Module):
    """A discriminator that tells what it is given: the sum of both inputs."""

    @nn.compact
    def __call__(self, x, condition=None, train=True):
        scale = self.param("scale", nn.initializers.ones_init(), ())
        seen = x.reshape(len(x), -1).sum(-1)
        beside = 0.0 if condition is None else 100.0 * condition.reshape(len(x), -1).sum(-1)
        return scale * (seen + beside)


class Identity(nn.Module):
    """A generator that gives its input back, and a parameter so that it can be a player."""

    @nn.compact
    def __call__(self, x, *rest, train=True):
        return x * self.param("scale", nn.initializers.ones_init(), ())


def conditional(**options):
    net = Net(mlp.Generator((2,), (4,)), (floats(3), floats(2)))
    judge = Net(Probe(), (floats(2), floats(2)))
    objective = objectives.wasserstein()
    return gan(net, judge, SGD, SGD, objective=objective, prior=latents.normal(3), **options)


def test_both_players_see_the_same_label():
    """Mirza & Osindero 2014, equation 2: D(x|y) and D(G(z|y)) with one y."""
    labels = jnp.eye(2)[jnp.array([0, 1, 1, 0])]
    batch = {"real": draw(4, 2), "condition": 3.0 * labels}
    _, metrics = play(conditional(conditioning=condition_on("condition")), batch)
    seen = metrics["discriminator"]
    assert seen["real_logit"] == pytest.approx(
        300.0 + float(batch["real"].sum(-1).mean()), rel=1e-4
    )
    assert abs(seen["fake_logit"] - 300.0) < 2.0  # its generator's outputs lie in [-1, 1]


def test_the_projection_is_an_inner_product_with_what_the_last_unit_sees():
    """Miyato & Koyama 2018, equation 3: y^T V phi(x) + psi(phi(x))."""
    module = dcgan.Discriminator(8, 2, norm=None, projection=True)
    x, y = draw(3, 8, 8, 1), jnp.eye(4)[:3]
    variables = module.init(KEY, x, y)
    plain, with_label = module.apply(variables, x, 0.0 * y), module.apply(variables, x, y)
    _, sown = module.apply(variables, x, y, mutable=["features"])
    phi = sown["features"]["map0"][0].reshape(3, -1)
    expected = jnp.sum((y @ variables["params"]["embed"]["kernel"]) * phi, -1)
    np.testing.assert_allclose(with_label - plain, expected, rtol=1e-4, atol=1e-6)


def test_the_auxiliary_classifier_learns_from_reals_and_pulls_the_generator():
    """AC-GAN with Gulrajani et al. 2017's weights: 1 for D on reals, 0.1 for G on its fakes."""
    net = Net(mlp.Generator((8, 8, 1), (4,)), (floats(3), floats(5)))
    judge = Net(dcgan.Discriminator(8, 2, norm=None, classes=5), (floats(8, 8, 1), floats(5)))
    batch = {"real": draw(4, 8, 8, 1), "condition": jnp.eye(5)[:4]}
    common = {"objective": objectives.non_saturating(), "prior": latents.normal(3)}
    conditioning = condition_on("condition", ClassLoss())
    played = gan(net, judge, SGD, SGD, conditioning=conditioning, **common)
    _, metrics = play(played, batch)
    for player, weight, name in (("discriminator", 1.0, "real"), ("generator", 0.1, "fake")):
        row = metrics[player]
        base = math.log(2.0) * (2 if player == "discriminator" else 1)
        assert row["class_loss"] == pytest.approx(math.log(5.0), abs=0.05), name
        assert row["loss"] == pytest.approx(base + weight * row["class_loss"], abs=0.05)


def test_projection_and_auxiliary_classifier_compose():
    """The logits are the projection's, the class logits the classifier's, of the same features."""
    x, y = draw(3, 8, 8, 1), jnp.eye(5)[:3]
    both = dcgan.Discriminator(8, 2, norm=None, projection=True, classes=5)
    projection, auxiliary = both.clone(classes=0), both.clone(projection=False)
    variables = both.init(KEY, x, y)
    logits, classes = both.apply(variables, x, y)
    np.testing.assert_array_equal(logits, projection.apply(variables, x, y))
    np.testing.assert_array_equal(classes, auxiliary.apply(variables, x, y)[1])
    other = both.apply(variables, x, jnp.roll(y, 1, axis=1))
    assert not np.allclose(logits, other[0]), "the label moves the logits"
    np.testing.assert_array_equal(classes, other[1], "and not what the classifier is asked")


def pairs(**options):
    judge = (floats(2), floats(2)) if options.get("conditional", True) else (floats(2),)
    return pix2pix(
        Net(Identity(), (floats(2),)),
        Net(Probe(), judge),
        SGD,
        SGD,
        objective=objectives.least_squares(),
        **options,
    )


PAIR = {"x": draw(4, 2), "y": draw(4, 2)}


def test_pix2pix_weighs_the_absolute_error_by_100():
    """Isola et al. 2017, equation 4 and section 3.3: G* = cGAN + 100 L1."""
    _, metrics = play(pairs(adversarial=0.0), PAIR)
    error = float(jnp.abs(PAIR["x"] - PAIR["y"]).mean())
    assert metrics["generator"]["l1"] == pytest.approx(error, rel=1e-5)
    assert metrics["generator"]["loss"] == pytest.approx(100.0 * error, rel=1e-5)


def test_pix2pix_halves_the_discriminators_loss():
    """Section 3.3: the objective is divided by 2 while D is optimised."""
    _, metrics = play(pairs(conditional=False), PAIR)
    real, fake = PAIR["y"].sum(-1), PAIR["x"].sum(-1)
    whole = float(jnp.mean(objectives.least_squares().discriminator(real, fake)))
    assert metrics["discriminator"]["loss"] == pytest.approx(0.5 * whole, rel=1e-4)


@pytest.mark.parametrize("conditional", [True, False])
def test_the_conditional_discriminator_sees_the_input(conditional):
    """Table 1: "cGAN" sees x beside y, "GAN" does not."""
    _, metrics = play(pairs(conditional=conditional), PAIR)
    expected = PAIR["y"].sum(-1) + conditional * 100.0 * PAIR["x"].sum(-1)
    assert metrics["discriminator"]["real_logit"] == pytest.approx(float(expected.mean()), rel=1e-4)


def captions(**options):
    return text_to_image(
        Net(Identity(), (floats(3), floats(2))),
        Net(Augmenter(2), (floats(5),)),
        Net(Probe(), (floats(3), floats(5))),
        SGD,
        SGD,
        objective=objectives.wasserstein(),
        prior=latents.normal(3),
        condition_prior=latents.normal(2),
        **options,
    )


CAPTIONED = {"real": draw(4, 3), "text": draw(4, 5)}


def test_real_pictures_under_wrong_captions_count_half_of_what_is_rejected():
    """Reed et al. 2016, algorithm 1: log s_r + (log(1 - s_w) + log(1 - s_f)) / 2."""
    _, metrics = play(captions(), CAPTIONED)
    row = metrics["discriminator"]
    rejected = 0.5 * (row["wrong_logit"] + row["fake_logit"])
    assert row["loss"] == pytest.approx(rejected - row["real_logit"], rel=1e-4, abs=1e-3)
    assert "wrong_logit" not in play(captions(matching=False), CAPTIONED)[1]["discriminator"]


def test_a_wrong_caption_is_another_examples():
    """Of the four, none is judged under its own: the logits of a pair swap their captions."""
    swapped = CAPTIONED["text"][jnp.array([1, 0, 3, 2])]
    _, metrics = play(captions(), CAPTIONED)
    expected = float((CAPTIONED["real"].sum(-1) + 100.0 * swapped.sum(-1)).mean())
    assert metrics["discriminator"]["wrong_logit"] == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_every_picture_that_is_judged_is_transformed_and_no_caption_is():
    """Zhao et al. 2020, arXiv:2006.10738, section 3: reals and fakes, in both players' moves."""
    shift = Augment(lambda key, x, p: x + 10.0)  # a probe sums the 3 numbers of a picture
    plain, moved = (play(captions(augment=a), CAPTIONED)[1] for a in (None, shift))
    for name in ("real_logit", "fake_logit", "wrong_logit"):
        more = moved["discriminator"][name] - plain["discriminator"][name]
        assert more == pytest.approx(30.0, rel=1e-3)


def test_every_judgement_draws_its_own_transformation():
    shift = Augment(lambda key, x, p: x + jax.random.normal(key))
    plain, moved = (play(captions(augment=a), CAPTIONED)[1] for a in (None, shift))
    names = ("real_logit", "fake_logit", "wrong_logit")
    more = [moved["discriminator"][n] - plain["discriminator"][n] for n in names]
    assert min(abs(a - b) for a, b in itertools.combinations(more, 2)) > 1e-3


def test_the_augmentation_pays_its_divergence():
    """Zhang et al. 2017, section 3.2: KL(N(mu, sigma) || N(0, I)) in the generator's loss."""
    one, ten = (play(captions(kl=kl), CAPTIONED)[1]["generator"] for kl in (1.0, 10.0))
    assert one["kl"] == ten["kl"] > 0.0
    assert ten["loss"] - one["loss"] == pytest.approx(9.0 * one["kl"], rel=1e-3, abs=1e-4)


def test_the_divergence_is_the_closed_form():
    """Kingma & Welling 2014, appendix B, against the integral of two normals."""
    mean, variance = jnp.array([[0.5, -1.0]]), jnp.array([[2.0, 0.25]])
    expected = 0.5 * sum(v + m * m - 1 - math.log(v) for m, v in ((0.5, 2.0), (-1.0, 0.25)))
    np.testing.assert_allclose(
        latents.kl_to_standard_normal(mean, jnp.log(variance)), [expected], rtol=1e-6
    )


class Encoder(nn.Module):
    """Zeros: the posterior is the prior."""

    size: int

    @nn.compact
    def __call__(self, x, train=True):
        zero = self.param("zero", nn.initializers.zeros_init(), (2 * self.size,))
        return jnp.broadcast_to(zero[None], (len(x), 2 * self.size))


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_the_bound_is_summed_over_pixels(beta):
    """Equation 10 of Kingma & Welling 2014; -log N(x; 0, 1) of every pixel is added, no mean."""
    decoder = Net(mlp.Generator((6, 6, 1), (), out=lambda x: 0.0 * x), (floats(2),))
    played = vae(
        decoder,
        Net(Encoder(2), (floats(6, 6, 1),)),
        SGD,
        likelihood=vaes.gaussian(1.0),
        prior=latents.normal(2),
        beta=beta,
    )
    x = draw(4, 6, 6, 1)
    _, metrics = play(played, {"real": x})
    expected = 0.5 * float(jnp.square(x).sum() / 4) + 18.0 * math.log(2.0 * math.pi)
    assert metrics["vae"]["reconstruction"] == pytest.approx(expected, rel=1e-5)
    assert metrics["vae"]["kl"] == pytest.approx(0.0, abs=1e-6)


def test_the_bernoulli_is_the_cross_entropy_of_grey_levels():
    """Appendix C.1: x log p + (1 - x) log(1 - p), both mapped from [-1, 1]."""
    x, output = jnp.array([[-1.0, 0.0, 1.0]]), jnp.array([[-0.8, 0.2, 0.8]])
    expected = math.log(0.9) + 0.5 * math.log(0.6) + 0.5 * math.log(0.4) + math.log(0.9)
    np.testing.assert_allclose(vaes.bernoulli().log(x, output), [expected], rtol=1e-5)


def test_with_the_true_posterior_the_weighted_bound_is_the_evidence():
    """Burda et al. 2016: constant weights. p(z) = N(0, 1), p(x|z) = N(az, s^2) in closed form."""
    a, s, x = 1.5, 0.5, jnp.array([[0.7], [-1.2]])
    precision = 1.0 + a * a / s**2
    mean, log_variance = a * x / s**2 / precision, jnp.full((2, 1), -math.log(precision))
    bound = log_evidence(
        lambda z: a * z, mean, log_variance, x, KEY, likelihood=vaes.gaussian(s), draws=3
    )
    variance = a * a + s * s
    expected = -0.5 * (x[:, 0] ** 2 / variance + math.log(2.0 * math.pi * variance))
    np.testing.assert_allclose(bound, expected, rtol=1e-4)


def test_more_draws_tighten_the_bound():
    """Theorem 1 of Burda et al. 2016, with the prior as a poor posterior."""
    x, zero = jnp.full((512, 1), 2.0), jnp.zeros((512, 1))
    one, many = (
        log_evidence(lambda z: z, zero, zero, x, KEY, likelihood=vaes.gaussian(0.5), draws=n).mean()
        for n in (1, 64)
    )
    exact = -0.5 * (4.0 / 1.25 + math.log(2.0 * math.pi * 1.25))
    assert one < many - 1.0
    assert abs(many - exact) < 0.3


def test_bits_of_a_density_count_256_levels():
    """Theis et al. 2016: levels 2/255 apart on [-1, 1]: log2(255/2) bits a dimension more."""
    assert vaes.gaussian(1.0).per_level == pytest.approx(math.log2(127.5))
    assert vaes.bernoulli().per_level == 0.0


def test_a_perceptron_cannot_project():
    from gan_jax import config
    from gan_jax.build.experiment import build
    from gan_jax.config import Experiment, Gan, Mlp, Player

    player = Player(network=Mlp((4,)))
    made = Experiment("m", player, player, Gan(condition="projection", classes=2, z=2))
    with pytest.raises(UserError, match=r"Mlp cannot do projection; did you mean 'Dcgan'"):
        build(config.change(made, {"run.devices": 1}))
