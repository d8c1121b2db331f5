"""Speech of two speakers as unpaired data: random segments of normalised mel-cepstra.

Kaneko & Kameoka 2017, arXiv:1711.11293, section 4.1: segments of 128 frames of 5 ms, in which each
coefficient has mean 0 and standard deviation 1 over the speaker's training recordings. Statistics
of the pitch are those of log F0 over voiced frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Integer, UInt32

from gan_jax.data import paired, world
from gan_jax.data.builders import base, voices
from gan_jax.data.source import Records, Source, cache_dir, fingerprint, zip_unpaired
from gan_jax.data.world import Speech
from gan_jax.errors import NoSplit, UserError
from gan_jax.json_types import JsonObject

SIDES = paired.SIDES  # {"A": "x", "B": "y"}


class Statistics(NamedTuple):
    """Mean and standard deviation of a speaker's cepstra, and of log F0 [Hz] over voiced frames."""

    mean: Float[np.ndarray, " m"]
    std: Float[np.ndarray, " m"]
    f0_mean: float
    f0_std: float


class Utterance(NamedTuple):
    """A recording: its name, its features with all coefficients, its waveform in [-1, 1]."""

    key: str
    speech: Speech
    wave: Float[np.ndarray, " n"]


class Speakers(NamedTuple):
    """What a voice conversion needs besides the network, for the sides 'x' and 'y'.

    Attributes:
        rate: sample rate in Hz.
        frames: number of 5 ms frames in a segment.
        cepstra: number of coefficients that are translated, c0 included.
        statistics: of the training recordings, by side.
        utterances: of the opened split, by side.
    """

    rate: int
    frames: int
    cepstra: int
    statistics: Mapping[str, Statistics]
    utterances: Mapping[str, tuple[Utterance, ...]] = {}

    def facts(self) -> JsonObject:
        """Return JSON-serialisable values, without the utterances."""
        return {
            **{"rate": self.rate, "frames": self.frames, "cepstra": self.cepstra},
            "statistics": {
                side: {name: np.asarray(value).tolist() for name, value in one._asdict().items()}
                for side, one in self.statistics.items()
            },
        }


def from_facts(facts: JsonObject) -> Speakers:
    """Invert `Speakers.facts`."""

    def one(values: JsonObject) -> Statistics:
        vectors = {n: np.asarray(values[n], np.float32) for n in ("mean", "std")}
        return Statistics(**vectors, f0_mean=values["f0_mean"], f0_std=values["f0_std"])

    known = {side: one(values) for side, values in facts["statistics"].items()}
    return Speakers(facts["rate"], facts["frames"], facts["cepstra"], known)


def statistics(speeches: Sequence[Speech]) -> Statistics:
    """Compute a speaker's statistics over all frames of the recordings.

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


def normalise(mcep: Float[np.ndarray, "t m"], speaker: Statistics) -> Float[np.ndarray, "t m"]:
    """Standardise coefficients by the speaker's mean and standard deviation."""
    count = mcep.shape[1]
    return ((mcep - speaker.mean[:count]) / speaker.std[:count]).astype(np.float32)


def denormalise(mcep: Float[np.ndarray, "t m"], speaker: Statistics) -> Float[np.ndarray, "t m"]:
    """Invert `normalise`."""
    count = mcep.shape[1]
    return (mcep * speaker.std[:count] + speaker.mean[:count]).astype(np.float32)


def convert_f0(
    f0: Float[np.ndarray, " t"], source: Statistics, target: Statistics
) -> Float[np.ndarray, " t"]:
    """Map log F0 of voiced frames to the target's mean and standard deviation; unvoiced 0 stays."""
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
    """Open two speakers as unpaired 'x' and 'y', float32 [frames cepstra] each.

    A row is an utterance: `batches` draws a random segment of it, `records` holds the first
    segment. Shorter utterances are padded with their last frame. Every split is normalised by the
    statistics of the training recordings.

    Args:
        name: 'voices_it', 'voices_it_sample', or 'voices' for the user's recordings.
        path: for 'voices', a folder with trainA, trainB (and testA, testB) of wav, flac, ogg, mp3.
        split: 'train', 'test' or a slice of both sides: 'train[:50%]'.
        frames: number of 5 ms frames in a segment.
        cepstra: number of coefficients, c0 included, up to 36.
        data_dir: folder of prepared data; default `$GAN_JAX_CACHE/data`.

    Returns:
        A source with two `sides`, and `speakers`.

    Raises:
        UserError: an unknown split, no recordings, a file without speech, or an invalid number of
            coefficients.
    """
    if not 1 <= cepstra <= world.CEPSTRA:
        raise UserError(f"data.cepstra must be from 1 to {world.CEPSTRA}, not {cepstra}")
    folder = data_dir or str(cache_dir() / "data")
    declared = EMBEDDED[name] if name in EMBEDDED else find_own(path)
    prepared = base.prepare(declared, data_dir=folder)
    info, metadata = prepared.info, prepared.info.metadata or {}
    if not paired.has_domains(info.splits, split):
        known = ", ".join(sorted(name[:-1] for name in info.splits if name.endswith("A")))
        raise NoSplit(f"{name!r} has no split {split!r}; it has {known}")
    train = {side: _read(prepared, f"train{letter}") for letter, side in SIDES.items()}
    utterances = {
        side: _read(prepared, paired.on_side(split, letter)) for letter, side in SIDES.items()
    }
    for side, of_side in utterances.items():
        if not of_side:
            raise NoSplit(f"split {split!r} of {name!r} has no recordings on side {side}")
    moments = {side: statistics([u.speech for u in of_side]) for side, of_side in train.items()}
    rate = metadata.get("rate", voices.RATE)
    speakers = Speakers(rate, frames, cepstra, moments, utterances)
    sides = tuple(
        segments(
            [normalise(u.speech.mcep[:, :cepstra], moments[side]) for u in of_side], frames, side
        )
        for side, of_side in utterances.items()
    )
    records = zip_unpaired(*sides)
    facts = {"set": info.full_name, "content": metadata.get("content"), "split": split}
    return Source(
        name=name,
        records=records,
        fingerprint=fingerprint(facts | {"frames": frames, "cepstra": cepstra}),
        size=records.count,
        num_classes=None,
        class_names=None,
        description=info.description,
        sides=sides,
        speakers=speakers,
    )


def swap_speakers(source: Source) -> Source:
    """Exchange the speakers, so that 'y' becomes the input."""
    swapped = paired.swap_sides(source)
    speakers: Speakers = source.speakers
    other = {"x": "y", "y": "x"}
    return swapped._replace(
        speakers=speakers._replace(
            statistics={side: speakers.statistics[other[side]] for side in other},
            utterances={side: speakers.utterances[other[side]] for side in other},
        )
    )


def segments(cepstra: Sequence[Float[np.ndarray, "_ m"]], frames: int, side: str) -> Records:
    """Make records of utterances cut to segments of `frames` frames.

    Args:
        cepstra: coefficients [t m] of each utterance; shorter ones are padded with the last frame.
        frames: length of a segment.
        side: name of the column.

    Returns:
        Records whose `take` gives first segments and whose `window` gives random ones.
    """
    padded = [np.pad(one, ((0, max(0, frames - len(one))), (0, 0)), mode="edge") for one in cepstra]

    def cut(rows: Integer[np.ndarray, "b"], starts: Sequence[int]) -> dict[str, np.ndarray]:
        parts = [
            padded[row][start : start + frames] for row, start in zip(rows, starts, strict=True)
        ]
        return {side: np.stack(parts)}

    def window(
        rows: Integer[np.ndarray, "b"], bits: UInt32[np.ndarray, "b"]
    ) -> dict[str, np.ndarray]:
        starts = [len(padded[row]) - frames + 1 for row in rows]  # numbers of possible starts
        return cut(rows, [int(word) * n >> 32 for word, n in zip(bits, starts, strict=True)])

    return Records(len(padded), lambda rows: cut(rows, [0] * len(rows)), window)


def _read(prepared: Any, split: str) -> tuple[Utterance, ...]:
    try:
        data = prepared.as_data_source(split=split)
    except (KeyError, ValueError, AssertionError) as error:
        raise NoSplit(f"{prepared.name!r} has no split {split!r}") from error
    return tuple(
        Utterance(
            one["key"].decode(),
            Speech(one["f0"], one["mcep"], one["aperiodicity"]),
            one["wave"].astype(np.float32) / 32767.0,
        )
        for one in data
    )


def find_own(path: str | None) -> base.ImageSet:
    """Declare the user's recordings in a folder.

    Raises:
        UserError: no folder is given, or it has no recordings of a side.
    """
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


EMBEDDED = {one.name: one for one in (voices.VOICES_IT, voices.VOICES_IT_SAMPLE)}
"""Voices that come with the package, by name."""

NAMES = (*EMBEDDED, "voices")
"""Names of data sets of voices; 'voices' reads the user's recordings."""
