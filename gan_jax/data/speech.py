"""Voices of two speakers as unpaired data: random pieces of normalised mel-cepstra.

Kaneko & Kameoka 2017, arXiv:1711.11293, section 4.1: pieces of 128 frames of 5 ms, each coefficient
to mean 0 and deviation 1 by its speaker's training recordings. The pitch has its statistics on
voiced frames alone, on a logarithmic scale: an unvoiced frame's 0 has no logarithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Integer, UInt32

from gan_jax.data import paired, world
from gan_jax.data.builders import base, voices
from gan_jax.data.source import Records, Source, apart, cache_dir, fingerprint
from gan_jax.data.world import Speech
from gan_jax.errors import NoSplit, UserError

SIDES = paired.SIDES  # {"A": "x", "B": "y"}


class Statistics(NamedTuple):
    """A speaker: mean and deviation of each cepstral coefficient and of log F0 (voiced frames)."""

    mean: Float[np.ndarray, " m"]
    std: Float[np.ndarray, " m"]
    f0_mean: float
    f0_std: float


class Utterance(NamedTuple):
    """A prompt: its name, its features with all coefficients, its waveform in [-1, 1]."""

    key: str
    speech: Speech
    wave: Float[np.ndarray, " n"]


class Speakers(NamedTuple):
    """What turns one voice into the other, beside a network; of both sides, 'x' and 'y'.

    `cepstra` coefficients are translated, `frames` at a time.
    """

    rate: int
    frames: int
    cepstra: int
    statistics: Mapping[str, Statistics]
    utterances: Mapping[str, tuple[Utterance, ...]] = {}

    def facts(self) -> dict[str, Any]:
        """Plain values for JSON, without the utterances."""
        return {
            **{"rate": self.rate, "frames": self.frames, "cepstra": self.cepstra},
            "statistics": {
                side: {name: np.asarray(value).tolist() for name, value in one._asdict().items()}
                for side, one in self.statistics.items()
            },
        }


def from_facts(facts: Mapping[str, Any]) -> Speakers:
    """The inverse of `Speakers.facts`."""

    def one(values: Mapping[str, Any]) -> Statistics:
        vectors = {n: np.asarray(values[n], np.float32) for n in ("mean", "std")}
        return Statistics(**vectors, f0_mean=values["f0_mean"], f0_std=values["f0_std"])

    known = {side: one(values) for side, values in facts["statistics"].items()}
    return Speakers(facts["rate"], facts["frames"], facts["cepstra"], known)


def statistics(speeches: Sequence[Speech]) -> Statistics:
    """A speaker's statistics.

    Raises:
        UserError: no frame is voiced.
    """
    mcep = np.concatenate([one.mcep for one in speeches]).astype(np.float64)
    f0 = np.concatenate([one.f0[one.voiced] for one in speeches]).astype(np.float64)
    if not len(f0):
        raise UserError("no frame of the training recordings is voiced: they hold no speech")
    log = np.log(f0)
    return Statistics(
        mcep.mean(axis=0).astype(np.float32),
        np.maximum(mcep.std(axis=0), 1e-6).astype(np.float32),
        float(log.mean()),
        float(max(log.std(), 1e-6)),
    )


def normalised(mcep: Float[np.ndarray, "t m"], speaker: Statistics) -> Float[np.ndarray, "t m"]:
    """Coefficients in units of the speaker's deviations."""
    count = mcep.shape[1]
    return ((mcep - speaker.mean[:count]) / speaker.std[:count]).astype(np.float32)


def spoken(mcep: Float[np.ndarray, "t m"], speaker: Statistics) -> Float[np.ndarray, "t m"]:
    """The inverse of `normalised`."""
    count = mcep.shape[1]
    return (mcep * speaker.std[:count] + speaker.mean[:count]).astype(np.float32)


def transformed_f0(
    f0: Float[np.ndarray, " t"], source: Statistics, target: Statistics
) -> Float[np.ndarray, " t"]:
    """The log-Gaussian transformation of voiced frames; 0, an unvoiced one, stays 0."""
    voiced = f0 > 0
    log = np.log(np.where(voiced, f0, 1.0).astype(np.float64))
    moved = (log - source.f0_mean) / source.f0_std * target.f0_std + target.f0_mean
    return np.where(voiced, np.exp(moved), 0.0).astype(np.float32)


def open_voices(
    name: str,
    *,
    path: str | None,
    split: str,
    frames: int,
    cepstra: int,
    data_dir: str | None,
) -> Source:
    """Open two speakers as 'x' and 'y', float32 [frames cepstra] each, drawn apart.

    Rows are utterances; `batches` draws a random piece of each, `records` has the first one. Of
    what is shorter than a piece, its last frame fills up. Normalised by the *training* recordings,
    whatever the split.

    Args:
        name: 'voices_it', 'voices_it_sample', or 'voices' for recordings of one's own.
        path: of 'voices': a folder with trainA, trainB (and testA, testB) of wav, flac, ogg, mp3.
        split: 'train', 'test' or a slice of both sides: 'train[:50%]'.
        frames: of 5 ms in a piece.
        cepstra: coefficients, c0 included, up to 36.
        data_dir: where the prepared set lies; default `$GAN_JAX_CACHE/data`.

    Raises:
        UserError: no such split, no recordings, a file that is no speech, too many coefficients.
    """
    if not 1 <= cepstra <= world.CEPSTRA:
        raise UserError(f"data.cepstra = {cepstra}: of 1 to {world.CEPSTRA} coefficients")
    folder = data_dir or str(cache_dir() / "data")
    declared = SHIPPED[name] if name in SHIPPED else _own(path)
    made = base.prepare(declared, data_dir=folder)
    rate = (made.info.metadata or {}).get("rate", voices.RATE)
    if not paired.has_domains(made.info.splits, split):
        known = ", ".join(sorted(one[:-1] for one in made.info.splits if one.endswith("A")))
        raise NoSplit(f"{name!r} has no split {split!r}; it has {known}")
    learned = {side: _read(made, f"train{letter}") for letter, side in SIDES.items()}
    heard = {side: _read(made, paired.on_side(split, letter)) for letter, side in SIDES.items()}
    for side, some in heard.items():
        if not some:
            raise NoSplit(f"split {split!r} of {name!r} has no recordings on side {side}")
    known = {side: statistics([one.speech for one in some]) for side, some in learned.items()}
    speakers = Speakers(rate, frames, cepstra, known, heard)
    sides = tuple(
        pieces(
            [normalised(one.speech.mcep[:, :cepstra], known[side]) for one in some], frames, side
        )
        for side, some in heard.items()
    )
    records = apart(*sides)
    content = (made.info.metadata or {}).get("content")
    facts = {"set": made.info.full_name, "content": content, "split": split}
    key = fingerprint(facts | {"frames": frames, "cepstra": cepstra})
    return Source(
        *(name, records, key, records.count, None, None, made.info.description),
        sides=sides,
        speakers=speakers,
    )


def turned(source: Source) -> Source:
    """Exchange the speakers."""
    swapped = paired.turned(source)
    speakers: Speakers = source.speakers
    other = {"x": "y", "y": "x"}
    return swapped._replace(
        speakers=speakers._replace(
            statistics={side: speakers.statistics[other[side]] for side in other},
            utterances={side: speakers.utterances[other[side]] for side in other},
        )
    )


def pieces(cepstra: Sequence[Float[np.ndarray, "_ m"]], frames: int, side: str) -> Records:
    """Records of utterances: `take` gives the first piece, `window` the one that bits choose."""
    filled = [np.pad(one, ((0, max(0, frames - len(one))), (0, 0)), mode="edge") for one in cepstra]

    def cut(rows: Integer[np.ndarray, "b"], starts: Sequence[int]) -> dict[str, np.ndarray]:
        parts = [
            filled[row][start : start + frames] for row, start in zip(rows, starts, strict=True)
        ]
        return {side: np.stack(parts)}

    def window(
        rows: Integer[np.ndarray, "b"], words: UInt32[np.ndarray, "b"]
    ) -> dict[str, np.ndarray]:
        free = [len(filled[row]) - frames + 1 for row in rows]
        return cut(rows, [int(word) * n >> 32 for word, n in zip(words, free, strict=True)])

    return Records(len(filled), lambda rows: cut(rows, [0] * len(rows)), window)


def _read(made: Any, split: str) -> tuple[Utterance, ...]:
    try:
        data = made.as_data_source(split=split)
    except (KeyError, ValueError, AssertionError) as error:
        raise NoSplit(f"{made.name!r} has no split {split!r}") from error
    return tuple(
        Utterance(
            one["key"].decode(),
            Speech(one["f0"], one["mcep"], one["aperiodicity"]),
            one["wave"].astype(np.float32) / 32767.0,
        )
        for one in data
    )


def _own(path: str | None) -> base.ImageSet:
    if path is None:
        raise UserError("data set 'voices' needs data.path: a folder with trainA and trainB")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UserError(f"no folder {path!r}: data set 'voices' reads trainA, trainB, testA, testB")
    files = {
        f"{split}{letter}": tuple(
            sorted(
                one
                for one in (root / f"{split}{letter}").glob("**/*")
                if one.suffix.lower() in world.ENDINGS
            )
        )
        for split in ("train", "test")
        for letter in SIDES
    }
    for letter in SIDES:
        if not files[f"train{letter}"]:
            endings = ", ".join(world.ENDINGS)
            raise UserError(f"{root / f'train{letter}'} has no recordings ({endings})")
    return voices.recordings(root, {split: some for split, some in files.items() if some})


SHIPPED = {one.name: one for one in (voices.VOICES_IT, voices.VOICES_IT_SAMPLE)}
NAMES = (*SHIPPED, "voices")
