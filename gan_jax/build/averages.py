"""The decays of averaged networks from their half-lives, and the choice of a copy to sample."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from gan_jax import averages, config
from gan_jax.averages import Decay
from gan_jax.build import schedule
from gan_jax.build.optimizers import annealed
from gan_jax.build.parts import Built
from gan_jax.build.schedule import Stage
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.game import State


def averaging(
    experiment: Experiment, options: Any, stage: Stage | None = None
) -> dict[float, Decay]:
    """The decays per round of averaged networks, by their half-lives in kimg; {} for no average.

    A half-life is at most the share `options.ema_rampup` of the images shown before the round, so
    that early averages are not dominated by initial weights: the first one is the network itself.
    Where the game anneals its half-life, it follows that schedule instead.

    Args:
        experiment: gives the batch size.
        options: the game's configuration, with `ema_kimg`, `ema_kimg_more` and `ema_rampup`.
        stage: of a growing run; None for the first.

    Raises:
        UserError: for more half-lives without a first one, and for one that is 0 or comes twice.

    References:
        Karras et al. 2020 (arXiv:2006.06676), their code.
    """
    more = getattr(options, "ema_kimg_more", ())
    if not options.ema_kimg:
        if more:
            raise UserError(f"game.ema_kimg_more = {more}: game.ema_kimg must not be 0 then")
        return {}
    half_lives = (options.ema_kimg, *more)
    if 0.0 in half_lives or len({f"{h:g}" for h in half_lives}) < len(half_lives):
        given = f"game.ema_kimg_more = {more} beside game.ema_kimg = {options.ema_kimg:g}"
        raise UserError(f"{given}: numbers above 0 that differ are needed")
    anneal = getattr(options, "anneal", config.Anneal())
    stage = stage or schedule.stages(experiment)[0]
    if anneal.kimg:
        return {h: _annealed(experiment, anneal, h) for h in half_lives}
    return {h: _ramped(h, options.ema_rampup, stage) for h in half_lives}


def averaged_translators(experiment: Experiment, options: Any) -> dict[float, Decay]:
    """`averaging` of networks that translate.

    Batch statistics of an average are computed anew over samples from noise or labels; of a
    translator that would be over the user's own pictures.

    Raises:
        UserError: as `averaging`, and if the average would need such statistics.
    """
    norm = getattr(experiment.generator.network, "norm", "")
    if options.ema_kimg and norm == "batch" and getattr(options, "statistics", "") != "picture":
        given = f"game.ema_kimg = {options.ema_kimg:g} with generator.network.norm = 'batch'"
        raise UserError(f"{given}: an average has no batch statistics; did you mean 'instance'?")
    return averaging(experiment, options)


def _ramped(half_life: float, ramp: float, stage: Stage) -> Decay:
    images, size = 1000.0 * half_life, stage.batch_size
    if not ramp:
        return 0.5 ** (size / images)

    def decay(round: Array) -> Array:
        shown = stage.images + (round - stage.first) * float(size)
        return jnp.exp2(-size / jnp.clip(ramp * shown, 1e-8, images))

    return decay


def _annealed(experiment: Experiment, anneal: config.Anneal, half_life: float) -> Decay:
    """The decay of a half-life that is annealed from 0."""
    rounds = annealed(experiment, anneal, 1000.0 * half_life / experiment.batch_size, start=0.0)
    assert callable(rounds)
    return lambda round: jnp.exp2(-1.0 / rounds(round))


def half_lives(built: Built) -> tuple[float, ...]:
    """The half-lives in kimg of a run's averaged copies; the first makes samples by default.

    That of the first is 0 where the game was given as a value, whose half-life is not known.
    """
    first = getattr(built.experiment.game, "ema_kimg", 0.0)
    network = built.sampler.recipe.nets[0]
    names = [name for name in built.game.ema if averages.network_of(name) == network]
    return tuple(averages.half_life_of(name) or first for name in names)


def is_default(built: Built, half_life: float | None) -> bool:
    """Whether a half-life is that of the copies that make samples by default."""
    return half_life is None or half_life in half_lives(built)[:1]


def choose_average(built: Built, state: State, half_life: float | None) -> State:
    """The state whose samples are those of the copies of another half-life.

    Args:
        built: the run.
        state: a state of it.
        half_life: in kimg; None for the default.

    Raises:
        UserError: for a half-life that the run does not keep.
    """
    if half_life is None:
        return state
    kept = [h for h in half_lives(built) if h]
    if half_life not in kept:
        has = f"keeps {', '.join(f'{h:g}' for h in kept)}" if kept else "averages no network"
        raise UserError(f"ema = {half_life:g}: this run {has} (game.ema_kimg, game.ema_kimg_more)")
    if is_default(built, half_life):
        return state
    chosen = {
        averages.network_of(name): copy
        for name, copy in state.ema.items()
        if averages.half_life_of(name) == half_life
    }
    return dataclasses.replace(state, ema={**state.ema, **chosen})
