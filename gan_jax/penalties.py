"""Gradient penalties of a discriminator, and weight clipping as an optax transform.

Gradients are those of each sample's logit in its own pixels; norms are summed over pixels, never
averaged. Under batch norm the logits of a batch depend on each other, and the gradient is that of
their sum, as in most code.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree, Scalar

A = TypeVar("A")

Discriminate = Callable[[PyTree[Float[Array, "b ..."]]], tuple[Float[Array, "b *p"], A]]
"""`x -> (logits, auxiliary output)`; `x` is an array [b ...] or a tuple of them."""
Weight = float | Callable[[Scalar], Scalar]
"""A number, or a function of the round."""
Factors = dict[str, Scalar | float]
"""What each penalty in use is multiplied by, by its name."""


class Penalties(NamedTuple):
    """The weights of a discriminator's penalties; a weight of 0 leaves the penalty out.

    Attributes:
        r1: gamma of gamma/2 E|grad D(x)|^2 on reals (Mescheder et al. 2018, eq. 9).
        r2: the same on fakes.
        gradient_penalty: lambda of lambda E(|grad D| - 1)^2 between reals and fakes (WGAN-GP).
        every: the penalties are a move of their own, played every so many rounds and multiplied by
            that number (lazy regularisation, Karras et al. 2020, arXiv:1912.04958, section 3.1);
            1 adds them to the discriminator's loss.
        step: of `squared_difference`, which estimates R1 and R2 without a second derivative; 0
            computes them exactly.
    """

    r1: Weight = 0.0
    r2: Weight = 0.0
    gradient_penalty: float = 0.0
    every: int = 1
    step: float = 0.0

    @property
    def used(self) -> bool:
        """Whether any penalty has a weight."""
        return bool(self.r1 or self.r2 or self.gradient_penalty)

    @property
    def lazy(self) -> bool:
        """Whether the penalties are a move of their own."""
        return self.every > 1 and self.used

    def factors(self, round: Any) -> Factors:
        """Compute what each penalty in use is multiplied by in a round: gamma/2 or lambda."""
        weights = {"r1": self.r1, "r2": self.r2, "gradient_penalty": self.gradient_penalty}
        used: dict[str, Any] = {
            name: w(round) if callable(w) else w for name, w in weights.items() if w
        }
        return {name: w if name == "gradient_penalty" else 0.5 * w for name, w in used.items()}


NO_PENALTIES = Penalties()


class MatchingAware(NamedTuple):
    """The matching-aware gradient penalty: weight E|grad D(x, s)|^power on real, matching pairs.

    The gradient is the joint one, in image x and sentence s; a smooth loss around real, matching
    pairs draws the generator to them (Tao et al. 2022, arXiv:2008.05865, section 3.2, k = 2 and
    p = 6). The paper's equation 2 adds the norms of both parts; this is the norm of both together,
    as in the authors' code.

    Attributes:
        weight: k.
        power: p, an even number.
        step: of `squared_difference`, which estimates the slope without a second derivative; 0
            computes it exactly.
    """

    weight: float = 2.0
    power: int = 6
    step: float = 0.0

    def of(self, squared_slope: Float[Array, " b"]) -> Scalar:
        """Average the slopes' `power`, from their squares.

        A finite difference along N(0, 1) noise is |grad D| times a number of N(0, 1); its moment
        (power - 1)!! is divided out.
        """
        moment = math.prod(range(1, self.power, 2)) if self.step else 1
        return jnp.mean(squared_slope ** (self.power // 2)) / moment


def squared_gradient_norm(
    discriminate: Discriminate[A], x: PyTree[Float[Array, "b ..."]]
) -> tuple[Float[Array, "b *p"], Float[Array, " b"], A]:
    """Compute the logits of a batch and |grad_x D(x)|^2 of each sample in one forward pass.

    The gradient of a PatchGAN is that of the sum of a sample's logits; that of a tuple `x` is the
    joint one, in all its arrays. R1 is gamma/2 times the mean
    of the squares on reals, R2 on fakes (Mescheder et al. 2018, arXiv:1801.04406, eq. 9).

    Returns:
        The logits, the squared norms, and the auxiliary output of `discriminate`.
    """
    logits, pull, aux = jax.vjp(discriminate, x, has_aux=True)
    (gradient,) = pull(jnp.ones_like(logits))
    squares = [
        jnp.sum(jnp.square(part), axis=tuple(range(1, part.ndim)))
        for part in jax.tree.leaves(gradient)
    ]
    return logits, sum(squares[1:], squares[0]), aux


def squared_difference(
    discriminate: Discriminate[A],
    x: PyTree[Float[Array, "b ..."]],
    noise: PyTree[Float[Array, "b ..."]],
    step: float,
) -> tuple[Float[Array, "b *p"], Float[Array, " b"], A]:
    """Compute the logits of a batch and ((D(x + step noise) - D(x)) / step)^2 of each sample.

    Over noise of N(0, 1) its mean is |grad_x D(x)|^2 plus terms of the order step^2, and its
    derivative in the parameters needs no second derivative of D. In bfloat16 the step has to exceed
    the spacing of numbers near 1, which is 0.008.

    References:
        Lin et al. 2025, arXiv:2501.08316, equation of the approximated R1; Hyun et al. 2026,
        arXiv:2509.24935, with a step of 0.01.

    Returns:
        As `squared_gradient_norm`; the auxiliary output is that of `discriminate(x)`.
    """
    logits, aux = discriminate(x)
    moved, _ = discriminate(jax.tree.map(lambda x, noise: x + step * noise, x, noise))
    axes = tuple(range(1, logits.ndim))
    return logits, jnp.square(jnp.sum(moved - logits, axis=axes) / step), aux


def gradient_penalty(
    discriminate: Discriminate[object],
    real: Float[Array, "b *d"],
    fake: Float[Array, "b *d"],
    mix: Float[Array, " b"],
) -> Float[Array, " b"]:
    """Compute (|grad D(x)| - 1)^2 at x = real + mix (fake - real), `mix` in [0, 1].

    The paper's lambda is 10. The penalty is per sample, so the critic must not use batch norm.

    References:
        Gulrajani et al. 2017, Improved Training of Wasserstein GANs, arXiv:1704.00028, eq. 3.
    """
    mix = mix.reshape(-1, *(1,) * (real.ndim - 1))
    _, squares, _ = squared_gradient_norm(discriminate, real + mix * (fake - real))
    return jnp.square(jnp.sqrt(squares + 1e-12) - 1.0)  # sqrt has no finite derivative at 0


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Clip every parameter to [-limit, limit] after the update (WGAN: 0.01).

    It has to be the last transform of a chain. Its `update` raises ValueError without parameters.
    """

    def update(
        updates: PyTree, state: optax.OptState, params: PyTree | None = None
    ) -> tuple[PyTree, optax.OptState]:
        if params is None:
            raise ValueError("clip_weights needs the parameters: call update(grads, state, params)")
        clipped = jax.tree.map(lambda p, u: jnp.clip(p + u, -limit, limit) - p, params, updates)
        return clipped, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
