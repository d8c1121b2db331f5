"""WORLD features of two embedded Italian speakers, and of folders of the user's recordings.

The man is Carlo Flora (CC-BY 3.0), the woman Paola Dal Zot (with Marco Menardi, CC-BY-SA 3.0 IT,
http://www.voip.ammdomus.it). Domain A (x) is the man. The training prompts of the speakers differ;
the test split has 24 prompts that both speak.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data import world
from gan_jax.data.builders.base import Example, Features, ImageSet, Split
from gan_jax.errors import UserError
from gan_jax.json_types import JsonObject

Keep = Callable[[list[JsonObject]], list[JsonObject]]
"""The index entries of a speaker's prompts to those of them that are used."""

EMBEDDED = Path(__file__).parent.parent / "embedded"
SPEAKERS = {"A": "vc_it_male_8k", "B": "vc_it_female_8k"}
RATE = 8000
MAX_RATE = 16000  # Hz, that of CycleGAN-VC; recordings of higher rates are resampled
SAMPLE_SECONDS, SAMPLE_PROMPTS = 1.3, 3  # of voices_it_sample: longest prompt, prompts per split


class Prompt(NamedTuple):
    """A recording; `wave` reads its samples in [-1, 1]."""

    key: str
    rate: int
    wave: Callable[[], np.ndarray]


def features(rate: int) -> Features:
    """Return the TFDS features of a prompt: WORLD features and the 16-bit waveform."""
    import tensorflow_datasets as tfds

    bands = len(world.bands(rate))
    return {
        "key": tfds.features.Text(),
        "f0": tfds.features.Tensor(shape=(None,), dtype=np.float32),
        "mcep": tfds.features.Tensor(shape=(None, world.CEPSTRA), dtype=np.float32),
        "aperiodicity": tfds.features.Tensor(shape=(None, bands), dtype=np.float32),
        "wave": tfds.features.Tensor(shape=(None,), dtype=np.int16),
    }


def examples(prompts: Iterable[Prompt]) -> Iterator[Example]:
    """Analyse prompts one after another, in a quarter of their duration on one core."""
    for prompt in prompts:
        wave = prompt.wave()
        speech = world.analyse(wave, prompt.rate)
        loud = 32767.0 * wave.clip(-1.0, 1.0)  # resampling overshoots
        sound = {"wave": np.round(loud).astype(np.int16)}
        yield prompt.key, {"key": prompt.key, **speech._asdict(), **sound}


def embedded(keep: Keep) -> Callable[[Path], Mapping[str, Split]]:
    """Return the splits of the embedded speakers; `keep` selects prompts of a speaker."""

    def splits(_: Path) -> Mapping[str, Split]:
        found = {}
        for side, name in SPEAKERS.items():
            index = json.loads((EMBEDDED / f"{name}.json").read_text())["prompts"]
            for split, word in (("train", "train"), ("test", "eval")):
                chosen = keep([one for one in index if one["split"] == word])
                prompts = [_cut(name, one) for one in chosen]
                found[f"{split}{side}"] = Split(len(prompts), lambda p=prompts: examples(p))
        return found

    return splits


def _cut(name: str, place: JsonObject) -> Prompt:
    def wave() -> np.ndarray:
        return _whole(name)[place["start"] : place["end"]]

    return Prompt(place["key"], RATE, wave)


def _whole(name: str) -> np.ndarray:
    return world.read_wave(EMBEDDED / f"{name}.flac")[0]


def short(prompts: list[JsonObject]) -> list[JsonObject]:
    """Keep the first few short prompts by name, so that the speakers' test prompts correspond."""
    limit = SAMPLE_SECONDS * RATE
    brief = {one["key"] for one in prompts if one["end"] - one["start"] < limit}
    common = sorted(brief)[:SAMPLE_PROMPTS]
    return [one for one in prompts if one["key"] in common]


_CREDIT = (
    "CC-BY 3.0: Carlo Flora; CC-BY-SA 3.0 IT: Marco Menardi and Paola Dal Zot, who made the "
    "woman's sound files: http://www.voip.ammdomus.it"
)


def _italian(name: str, description: str, keep: Keep) -> ImageSet:
    return ImageSet(
        name=name,
        version="1.0.0",
        description=f"{description} {_CREDIT}",
        licence=_CREDIT,
        citation="",
        homepage="http://www.voip.ammdomus.it",
        features=lambda: features(RATE),
        splits=embedded(keep),
    )


VOICES_IT = _italian(
    "voices_it",
    "Five minutes each of an Italian man (x) and woman (y), different prompts, 8 kHz; 24 prompts "
    "that both speak are for testing; comes with the package.",
    lambda prompts: prompts,
)
VOICES_IT_SAMPLE = _italian(
    "voices_it_sample", "A few short prompts of `voices_it`, to try a recipe.", short
)


def recordings(root: Path, files: Mapping[str, tuple[Path, ...]]) -> ImageSet:
    """Declare a data set of the user's recordings.

    All recordings are resampled to the lowest sample rate of the files, at most 16 kHz.

    Args:
        root: folder of the recordings.
        files: by split and side ('trainA').

    Raises:
        UserError: a file cannot be read as speech.
    """
    waves = {file: world.read_wave(file) for some in files.values() for file in some}
    rate = min(MAX_RATE, *(one for _, one in waves.values()))
    digest = hashlib.sha256(str((world.CEPSTRA, rate)).encode())
    for split, some in sorted(files.items()):
        for file in some:
            digest.update(f"{split}/{file.relative_to(root)}".encode())
            digest.update(file.read_bytes())

    def prompt(file: Path) -> Prompt:
        def wave() -> np.ndarray:
            return world.trim(world.resample(*waves[file], rate), rate)

        return Prompt(file.stem, rate, wave)

    def splits(_: Path) -> Mapping[str, Split]:
        found = {}
        for split, some in files.items():
            keys = [file.stem for file in some]
            repeated = next((key for key in keys if keys.count(key) > 1), None)
            if repeated is not None:
                raise UserError(
                    f"two recordings of {split} in {root} are named {repeated!r}: rename one"
                )
            found[split] = Split(len(some), lambda some=some: examples(map(prompt, some)))
        return found

    return ImageSet(
        name=f"voices_{digest.hexdigest()[:16]}",
        version="1.0.0",
        description=f"recordings in {root}",
        licence="",
        citation="",
        homepage="",
        features=lambda: features(rate),
        splits=splits,
        notes=lambda: {"rate": rate},
    )
