"""Converted voices in a report: spectrograms, audio players, and cepstra as images."""

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
from gan_jax.evaluation.context import EvalContext
from gan_jax.evaluation.evaluate import make_context
from gan_jax.evaluation.voices import PLAYED, speak
from gan_jax.game import State
from gan_jax.reporting.page import Panel
from gan_jax.reporting.template import Values, render

FRAME, HOP = 0.03, 0.005  # seconds, of a spectrogram
DYNAMIC_RANGE = 80.0  # dB, of its colours


def sound_panels(built: Built, state: State, key: Key[Array, ""], source: Source) -> list[Panel]:
    """Make the sections of a report that let a state's samples be heard; none for images."""
    if source.speakers is None:
        return []
    run = built.experiment.run
    context = make_context(
        built, state, key, source, split=None, count=PLAYED, features=run.features
    )
    return voice_panels(context)


def voice_panels(context: EvalContext) -> list[Panel]:
    """Make a section per direction, with spectrograms and players of a few held-out prompts.

    All but the original recordings are synthesised by the vocoder.
    """
    speakers: Speakers = context.source.speakers
    sections = []
    for direction in ("x2y", "y2x"):
        spoken = speak(context, direction)
        prompts = []
        for row in range(min(PLAYED, len(spoken.source))):
            source, target = spoken.source[row], spoken.target[row]
            size = len(source.wave)
            waves = {
                "source": source.wave,
                "converted": world.synthesise(spoken.converted[row], speakers.rate, size),
                "mean and variance matched": world.synthesise(
                    spoken.matched[row], speakers.rate, size
                ),
                "target speaker": target.wave,
            }
            prompts.append(render("voices.html", **_prompt(source.key, waves, speakers.rate)))
        sections.append(Panel(f"Voices {direction}: held-out prompts", "".join(prompts)))
    return sections


def _prompt(key: str, waves: Mapping[str, np.ndarray], rate: int) -> Values:
    """Encode a prompt for the template."""
    return {
        "key": "".join(c if c.isalnum() or c in "-_/" else "_" for c in key),
        "spectrograms": base64.b64encode(spectrograms(waves, rate)).decode(),
        "players": [{"title": title, "flac": _flac(wave, rate)} for title, wave in waves.items()],
    }


def _flac(wave: np.ndarray, rate: int) -> str:
    return base64.b64encode(world.encode_flac(wave, rate)).decode()


def spectrograms(waves: Mapping[str, np.ndarray], rate: int) -> bytes:
    """Draw log-power spectrograms side by side, on a common scale.

    Args:
        waves: recordings `[samples]` by title.
        rate: samples per second.

    Returns:
        The content of a PNG file.
    """
    figure = Figure(figsize=(3.0 * len(waves), 2.4), layout="constrained")
    for number, (title, wave) in enumerate(waves.items()):
        axes = figure.add_subplot(1, len(waves), number + 1)
        size, hop = round(FRAME * rate), round(HOP * rate)
        padded = np.pad(wave, (0, max(0, size - len(wave))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
        power = 20.0 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(size), 512)) + 1e-6)
        extent = (0.0, len(wave) / rate, 0.0, rate / 2000.0)
        axes.imshow(
            power.T,
            vmin=power.max() - DYNAMIC_RANGE,
            vmax=power.max(),
            origin="lower",
            aspect="auto",
            extent=extent,
            cmap="magma",
        )
        axes.set_title(title, fontsize=8)
        axes.set_xlabel("s", fontsize=7)
        axes.set_ylabel("kHz" if number == 0 else "", fontsize=7)
        axes.tick_params(labelsize=6)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return out.getvalue()


def cepstrum_images(cepstra: Float[np.ndarray, "n t m"]) -> Float[np.ndarray, "n m t 1"]:
    """Turn normalised cepstra into images for a grid.

    Time runs to the right and c0 is at the bottom; three standard deviations become [-1, 1].
    """
    images = np.asarray(cepstra)[:, :, ::-1].transpose(0, 2, 1)[..., None]
    return np.clip(images / 3.0, -1.0, 1.0)
