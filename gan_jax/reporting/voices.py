"""Voices in a report: spectrograms and players of converted recordings, pieces as pictures."""

import base64
import io
from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, Float, Key
from matplotlib.figure import Figure

from gan_jax.build.parts import Built
from gan_jax.data import world
from gan_jax.data.pipeline import Source
from gan_jax.data.speech import Speakers
from gan_jax.evaluation.context import Subject
from gan_jax.evaluation.evaluate import make_subject
from gan_jax.evaluation.voices import PLAYED, speak
from gan_jax.game import State
from gan_jax.reporting.page import Panel


def exhibits(built: Built, state: State, key: Key[Array, ""], source: Source) -> list[Panel]:
    """The sections of a report that a state's samples need a page of their own for: sounds."""
    if source.speakers is None:
        return []
    run = built.experiment.run
    subject = make_subject(
        *(built, state, key, source), split=None, count=PLAYED, features=run.features
    )
    return panels(subject)


def panels(subject: Subject) -> list[Panel]:
    """The report's section of each direction: spectrograms and players of a few held-out prompts.

    What is heard went through the vocoder, but for the original recordings.
    """
    speakers: Speakers = subject.source.speakers
    found = []
    for direction in ("x2y", "y2x"):
        said = speak(subject, direction)
        parts = []
        for row in range(min(PLAYED, len(said.source))):
            source, target = said.source[row], said.target[row]
            size = len(source.wave)
            waves = {
                "source": source.wave,
                "converted": world.synthesise(said.converted[row], speakers.rate, size),
                "mean and variance matched": world.synthesise(
                    said.matched[row], speakers.rate, size
                ),
                "target speaker": target.wave,
            }
            parts.append(_prompt(source.key, waves, speakers.rate))
        found.append(Panel(f"Voices {direction}: held-out prompts", "".join(parts)))
    return found


def _prompt(key: str, waves: Mapping[str, np.ndarray], rate: int) -> str:
    """One prompt as HTML that needs no other file."""
    safe = "".join(c if c.isalnum() or c in "-_/" else "_" for c in key)
    players = "".join(
        f'<figure style="display:inline-block;margin:4px"><figcaption>{title}</figcaption>'
        f'<audio controls preload="none" src="data:audio/flac;base64,{_flac(wave, rate)}">'
        "</audio></figure>"
        for title, wave in waves.items()
    )
    image = base64.b64encode(spectrograms(waves, rate)).decode()
    picture = f'<img style="max-width:100%" alt="" src="data:image/png;base64,{image}">'
    return f"<h3>{safe}</h3>{picture}<div>{players}</div>"


def _flac(wave: np.ndarray, rate: int) -> str:
    return base64.b64encode(world.encode_flac(wave, rate)).decode()


def spectrograms(waves: Mapping[str, np.ndarray], rate: int) -> bytes:
    """A PNG of log spectrograms side by side, 80 dB deep, on one scale of colours."""
    figure = Figure(figsize=(3.0 * len(waves), 2.4), layout="constrained")
    for number, (title, wave) in enumerate(waves.items()):
        axes = figure.add_subplot(1, len(waves), number + 1)
        size, hop = round(0.03 * rate), round(0.005 * rate)
        padded = np.pad(wave, (0, max(0, size - len(wave))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
        power = 20.0 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(size), 512)) + 1e-6)
        extent = (0.0, len(wave) / rate, 0.0, rate / 2000.0)
        kind = {"origin": "lower", "aspect": "auto", "extent": extent, "cmap": "magma"}
        axes.imshow(power.T, vmin=power.max() - 80.0, vmax=power.max(), **kind)
        axes.set_title(title, fontsize=8)
        axes.set_xlabel("s", fontsize=7)
        axes.set_ylabel("kHz" if number == 0 else "", fontsize=7)
        axes.tick_params(labelsize=6)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return out.getvalue()


def pictures(pieces: Float[np.ndarray, "n t m"]) -> Float[np.ndarray, "n m t 1"]:
    """Pieces as pictures in [-1, 1] for a grid: time to the right, c0 below, 3 deviations deep."""
    return np.clip(np.asarray(pieces)[:, :, ::-1].transpose(0, 2, 1)[..., None] / 3.0, -1.0, 1.0)
