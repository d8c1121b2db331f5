"""A voice game at work: recordings converted, measured beside baselines, shown in the report.

The cepstra are translated, the pitch is moved by its speakers' log-Gaussian statistics, what is
left (aperiodicity) is copied (Kaneko & Kameoka 2017, arXiv:1711.11293, section 4.1).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gan_jax.data import world
from gan_jax.data.speech import (
    Speakers,
    Utterance,
    convert_f0,
    denormalise,
    normalise,
)
from gan_jax.data.world import Speech
from gan_jax.errors import UserError
from gan_jax.evaluation.context import EvalContext
from gan_jax.metrics import cepstral
from gan_jax.metrics.names import metric_name

CODED = 24  # coefficients of the second distortion, in another unit: `world.to_coded`
PLAYED = 3  # prompts of each direction in the report

Translate = Callable[[str, np.ndarray], np.ndarray]
"""By direction, "x2y" or "y2x": normalised pieces [n frames m] to pieces of the other voice."""


def convert(
    speeches: Sequence[Speech], translate: Translate, speakers: Speakers, direction: str
) -> list[Speech]:
    """Utterances of any length in the other voice; frames and voicing stay.

    The network sees pieces as long as in training, half overlapping, so its instance norms have
    statistics of as many frames; the pieces are faded into each other.
    """
    here, there = (speakers.statistics[side] for side in direction.split("2"))
    sources = [normalise(one.mcep[:, : speakers.cepstra], here) for one in speeches]
    cut = [windows(len(one), speakers.frames) for one in sources]
    pieces = [
        _piece(one, start, speakers.frames)
        for one, starts in zip(sources, cut, strict=True)
        for start in starts
    ]
    made = iter(translate(direction, np.stack(pieces)))
    found = []
    for one, source, starts in zip(speeches, sources, cut, strict=True):
        joined = crossfaded([next(made) for _ in starts], starts, len(source))
        mcep = one.mcep.copy()  # coefficients beyond those that are translated stay the source's
        mcep[:, : speakers.cepstra] = denormalise(joined, there)
        found.append(Speech(convert_f0(one.f0, here, there), mcep, one.aperiodicity))
    return found


def matched(speeches: Sequence[Speech], speakers: Speakers, direction: str) -> list[Speech]:
    """The baseline: each coefficient's mean and variance those of the target, nothing learned."""
    return convert(speeches, lambda _, pieces: pieces, speakers, direction)


def flattened(speeches: Sequence[Speech], speakers: Speakers, direction: str) -> list[Speech]:
    """What no one would call speech: the target's mean in every frame. Its distortion is low."""
    return convert(speeches, lambda _, pieces: np.zeros_like(pieces), speakers, direction)


def windows(frames: int, size: int) -> list[int]:
    """Where pieces begin: every half piece, the last one at the end."""
    last = max(0, frames - size)
    return [*range(0, last, size // 2), last]


def _piece(x: Float[np.ndarray, "t m"], start: int, size: int) -> Float[np.ndarray, "s m"]:
    piece = x[start : start + size]
    return np.pad(piece, ((0, size - len(piece)), (0, 0)), mode="edge")


def crossfaded(
    pieces: Sequence[Float[np.ndarray, "s m"]], starts: Sequence[int], frames: int
) -> Float[np.ndarray, "t m"]:
    """Pieces joined by triangles' weights, which are never zero."""
    size = len(pieces[0])
    weight = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1))[:, None].astype(np.float32)
    total = np.zeros((max(frames, size), pieces[0].shape[1]), np.float32)
    weights = np.zeros((len(total), 1), np.float32)
    for piece, start in zip(pieces, starts, strict=True):
        total[start : start + size] += weight * piece
        weights[start : start + size] += weight
    return (total / weights)[:frames]


def convert_file(
    path: Path, out: Path, translate: Translate, speakers: Speakers, direction: str
) -> str:
    """A recording in the other voice: same duration and sample rate, one channel; what was done.

    Brought to the model's sample rate and back, so above half of that nothing is left. Raises
    UserError naming the file where it is no speech: see `world.read_wave`.
    """
    if direction not in ("x2y", "y2x"):
        raise UserError(f"--direction {direction!r}: did you mean 'x2y' or 'y2x'?")
    if out.resolve() == path.resolve():
        raise UserError(f"--out {out} would replace what is read; choose another")
    wave, rate = world.read_wave(path)
    speech = world.analyse(world.resample(wave, rate, speakers.rate), speakers.rate)
    if not speech.voiced.any():
        raise UserError(f"{path}: nothing in it has a pitch, so it is no speech to convert")
    (changed,) = convert([speech], translate, speakers, direction)
    samples = -(-len(wave) * speakers.rate // rate)
    sound = world.synthesise(changed, speakers.rate, samples)
    world.write_wave(out, world.resample(sound, speakers.rate, rate, samples=len(wave)), rate)
    seconds = len(wave) / rate
    note = f" (no sound above {speakers.rate // 2} Hz)" if rate > speakers.rate else ""
    return f"{out}: {path.name} {direction}, {seconds:.2f} s at {rate} Hz{note}"


class Spoken(NamedTuple):
    """Prompts of one direction, all in the source's order; `target` where it speaks the same."""

    source: list[Utterance]
    target: list[Utterance]
    converted: list[Speech]
    matched: list[Speech]
    mean: list[Speech]


def common(speakers: Speakers, direction: str) -> list[tuple[Utterance, Utterance]]:
    """The prompts that both speakers say, in the source's order.

    Raises UserError where there is none.
    """
    here, there = (speakers.utterances[side] for side in direction.split("2"))
    known = {one.key: one for one in there}
    both = [(one, known[one.key]) for one in here if one.key in known]
    if not both:
        raise UserError(
            "metric 'voices': no held-out prompt is said by both; give recordings of the same "
            "words one file name in testA and testB, or take no metrics (--run.metrics)"
        )
    return both


def speak(context: EvalContext, direction: str) -> Spoken:
    """The prompts that both speakers say, converted.

    Raises UserError for data that is no speech, or where no prompt is said by both.
    """
    speakers, translate = context.source.speakers, context.translate
    if speakers is None or translate is None:
        raise UserError("metric 'voices' needs voices and a game that translates them both ways")
    both = common(speakers, direction)[: context.count]
    speeches = [source.speech for source, _ in both]
    return Spoken(
        [source for source, _ in both],
        [target for _, target in both],
        convert(speeches, translate, speakers, direction),
        matched(speeches, speakers, direction),
        flattened(speeches, speakers, direction),
    )


def voices(context: EvalContext) -> dict[str, float]:
    """Held-out prompts in the other voice, beside the source's (`copy_`) and `matched_` ones.

    By direction: `mcd` to the same prompt of the target, aligned, once of the mel-cepstra and once
    of pyworld's codes, whose decibels are larger. The target's mean in every frame has little of it
    (`mean_`), and so has a voice that is too smooth: read `gv` and `ms` beside it, the errors of
    global variance and modulation spectrum in dB. `f0_mean` in Hz and `f0_std` in semitones, those
    of the target as `target_`; `accepted`, the share that a classifier of MFCCs, trained on the
    real training recordings, takes for the target speaker (`target_`: its share of the target's
    own).
    """
    found: dict[str, float] = {}
    for direction in ("x2y", "y2x"):
        found |= _measure(context, direction, speak(context, direction))
    return found


def _measure(context: EvalContext, direction: str, said: Spoken) -> dict[str, float]:
    speakers: Speakers = context.source.speakers
    train: Speakers = context.other("train").speakers
    here, there = direction.split("2")
    first, second = ([one.wave for one in train.utterances[side]] for side in (here, there))
    judge = cepstral.fit_speakers(first, second, train.rate)
    target = [one.speech for one in said.target]
    sides = {
        "": said.converted,
        "copy_": [one.speech for one in said.source],
        "matched_": said.matched,
        "target_": target,
    }
    order, count = speakers.cepstra, len(target)

    def name(side: str, quantity: str, what: str, *how: str) -> str:
        return metric_name(f"{side}{direction}_{quantity}", count, context.split, what, *how)

    how = (f"mcep{order}", "no-c0")
    found = {}
    for side, speeches in (sides | {"mean_": said.mean}).items():
        if side != "target_":
            for title, distance in _distortions(speeches, target, speakers).items():
                found[name(side, "mcd", title, "no-c0", "dtw")] = distance
    for side, speeches in sides.items():
        mean, std = cepstral.pitch([one.f0 for one in speeches])
        found[name(side, "f0_mean", "hz")] = mean
        found[name(side, "f0_std", "semitones")] = std
        waves = [
            world.synthesise(one, speakers.rate, len(source.wave))
            for one, source in zip(
                speeches, said.target if side == "target_" else said.source, strict=True
            )
        ]
        accepted = cepstral.is_second_speaker(judge, waves).mean()
        found[name(side, "accepted", "mfcc", "logistic")] = float(accepted)
        if side == "target_":
            continue
        ours, theirs = ([one.mcep[:, :order] for one in some] for some in (speeches, target))
        found[name(side, "gv", *how)] = cepstral.variance_error(ours, theirs)
        found[name(side, "ms", *how)] = cepstral.modulation_error(ours, theirs)
    return found


def _distortions(
    speeches: Sequence[Speech], target: Sequence[Speech], speakers: Speakers
) -> dict[str, float]:
    """The mean distortion over prompts, by what it is of."""

    def cepstra(one: Speech) -> Float[np.ndarray, "t m"]:
        return one.mcep[:, : speakers.cepstra]

    def coded(one: Speech) -> Float[np.ndarray, "t m"]:
        return world.to_coded(one.mcep, speakers.rate, CODED)

    kinds = {f"mcep{speakers.cepstra}": cepstra, f"world{CODED}": coded}
    return {
        title: float(
            np.mean(
                [cepstral.distortion(of(a), of(b)) for a, b in zip(speeches, target, strict=True)]
            )
        )
        for title, of in kinds.items()
    }
