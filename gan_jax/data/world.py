"""Features of the WORLD vocoder: pitch, spectral envelope as mel-cepstra, aperiodicity.

WORLD is Morise et al. 2016, doi:10.1587/transinf.2015EDP7457; its settings (harvest from 71 to
800 Hz, cheaptrick, d4c, frames of 5 ms) are those of CycleGAN-VC's code. The mel-cepstra are those
of SPTK: the cepstrum of the envelope on a warped frequency axis (Tokuda et al. 1994,
doi:10.21437/ICSLP.1994-275). The cosine transform of pyworld's `code_spectral_envelope` has another
unit; with SPTK's, distances in dB are comparable to those in papers.
"""

from __future__ import annotations

import functools
import importlib
import io
import math
import warnings
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gan_jax.errors import UserError

FRAME_MS = 5.0
F0_FLOOR, F0_CEIL = 71.0, 800.0  # Hz
CEPSTRA = 36  # coefficients that are stored, c0 included
SILENCE_DB = -45.0  # relative to the loudest moment
MARGIN_S, WINDOW_S = 0.05, 0.02
D4C_RATE = 16000  # Hz: lowest sample rate for which d4c detects voicing
BAND_HZ = 3000.0  # d4c measures aperiodicity at its multiples and interpolates in dB
# All-pass constant that approximates the mel scale, by sample rate in kHz (table of SPTK).
WARPING = {8: 0.31, 10: 0.35, 12: 0.37, 16: 0.42, 22.05: 0.455, 24: 0.466, 32: 0.504, 44.1: 0.544}
WARPING |= {48: 0.554}
RATES = (4000, 768_000)  # Hz: lower rates hold no speech, higher ones need long filters
ENDINGS = (".wav", ".flac", ".ogg", ".mp3")


class Speech(NamedTuple):
    """Features of an utterance of t frames of 5 ms.

    Attributes:
        f0: pitch in Hz, 0 where unvoiced.
        mcep: mel-cepstral coefficients, c0 first.
        aperiodicity: in dB, at the frequencies `bands`.
    """

    f0: Float[np.ndarray, " t"]
    mcep: Float[np.ndarray, "t m"]
    aperiodicity: Float[np.ndarray, "t k"]

    @property
    def voiced(self) -> Bool[np.ndarray, " t"]:
        """Whether each frame has a pitch."""
        return self.f0 > 0


def analyse(wave: Float[np.ndarray, " n"], rate: int) -> Speech:
    """Compute the features of a waveform.

    Args:
        wave: samples in [-1, 1].
        rate: sample rate in Hz.

    Returns:
        Features of floor(n / rate / 0.005) + 1 frames.

    Raises:
        UserError: WORLD is not installed.
    """
    world = _world()
    wave = np.ascontiguousarray(wave, np.float64)
    f0, times = world.harvest(wave, rate, f0_floor=F0_FLOOR, f0_ceil=F0_CEIL, frame_period=FRAME_MS)
    envelope = world.cheaptrick(wave, f0, times, rate, f0_floor=F0_FLOOR)
    # d4c classifies a frame as voiced by its energy below 4 kHz relative to that below 7.9 kHz; at
    # lower sample rates it would classify every frame as unvoiced.
    full = max(rate, D4C_RATE)
    wider = np.ascontiguousarray(resample(wave, rate, full), np.float64)
    roughness = world.d4c(wider, f0, times, full, fft_size=_bins(full))
    nodes = np.round(bands(rate) / (full / 2) * (_bins(full) // 2)).astype(int)
    decibels = 20.0 * np.log10(np.maximum(roughness[:, nodes], 1e-6))
    return Speech(
        f0.astype(np.float32),
        to_mcep(envelope, rate).astype(np.float32),
        decibels.astype(np.float32),
    )


def synthesise(speech: Speech, rate: int, samples: int) -> Float[np.ndarray, " samples"]:
    """Synthesise a waveform of exactly `samples` samples, scaled down if it exceeds [-1, 1]."""
    bins = np.linspace(0.0, rate / 2, _bins(rate) // 2 + 1)
    nodes = bands(rate)
    decibels = np.stack([np.interp(bins, nodes, frame) for frame in speech.aperiodicity])
    parts = (
        speech.f0.astype(np.float64),
        to_envelope(speech.mcep, rate),
        np.clip(10.0 ** (decibels / 20.0), 1e-6, 1.0),
    )
    wave = _world().synthesize(*parts, rate, FRAME_MS)
    wave = np.pad(wave, (0, max(0, samples - len(wave))))[:samples]
    return (wave / max(1.0, np.abs(wave).max())).astype(np.float32)


def to_mcep(
    envelope: Float[np.ndarray, "t f"], rate: int, order: int = CEPSTRA - 1
) -> Float[np.ndarray, "t m"]:
    """Convert a power spectrum to mel-cepstra: log amplitude(w) = sum_m c_m cos(m warped(w))."""
    cepstrum = np.fft.irfft(np.log(np.maximum(envelope, 1e-16)), axis=-1)
    cepstrum = cepstrum[:, : envelope.shape[1]]
    cepstrum[:, 0] /= 2.0  # of amplitude, not power; the other terms appear twice in the sum
    cepstrum[:, -1] /= 2.0
    return cepstrum @ _warp(envelope.shape[1] - 1, order, warping(rate)).T


def to_envelope(mcep: Float[np.ndarray, "t m"], rate: int) -> Float[np.ndarray, "t f"]:
    """Invert `to_mcep` up to truncation: a power spectrum in float64."""
    half = _bins(rate) // 2
    cepstrum = mcep.astype(np.float64) @ _warp(mcep.shape[1] - 1, half, -warping(rate)).T
    whole = np.zeros((len(mcep), 2 * half))
    whole[:, : half + 1] = cepstrum
    return np.ascontiguousarray(np.exp(2.0 * np.fft.rfft(whole, axis=-1).real))


def to_coded(mcep: Float[np.ndarray, "t m"], rate: int, count: int) -> Float[np.ndarray, "t n"]:
    """Code the envelope with pyworld's `code_spectral_envelope`, the unit of some public code."""
    envelope = to_envelope(mcep, rate)
    return _world().code_spectral_envelope(envelope, rate, count).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _warp(order: int, warped: int, alpha: float) -> Float[np.ndarray, "w o"]:
    """Return the matrix of a cepstrum's frequency warping (Oppenheim & Johnson 1972).

    Column k holds the power series in z of the all-pass filter ((alpha + z) / (1 + alpha z))^k.
    """
    from scipy import signal

    matrix = np.zeros((warped + 1, order + 1))
    matrix[0, 0] = 1.0
    for k in range(1, order + 1):
        matrix[:, k] = signal.lfilter([alpha, 1.0], [1.0, alpha], matrix[:, k - 1])
    return matrix


def warping(rate: int) -> float:
    """Return the all-pass constant of the nearest sample rate in SPTK's table."""
    return WARPING[min(WARPING, key=lambda kilohertz: abs(math.log(1000 * kilohertz / rate)))]


def trim(wave: Float[np.ndarray, " n"], rate: int) -> Float[np.ndarray, " m"]:
    """Remove leading and trailing silence below -45 dB, keeping 50 ms at both ends."""
    window = max(1, round(WINDOW_S * rate))
    power = np.convolve(np.square(wave, dtype=np.float64), np.ones(window) / window, "same")
    loud = np.flatnonzero(power > power.max() * 10.0 ** (SILENCE_DB / 10.0))
    if not len(loud):
        return wave
    margin = round(MARGIN_S * rate)
    return wave[max(0, loud[0] - margin) : loud[-1] + 1 + margin]


def read_wave(path: Path) -> tuple[Float[np.ndarray, " n"], int]:
    """Read a sound file as one channel in [-1, 1].

    Several channels are averaged; floating-point files that exceed [-1, 1] are scaled down.

    Returns:
        Samples [n] and the sample rate in Hz.

    Raises:
        UserError: the file is missing, shorter than 0.1 s, silent, not finite, not a sound file, or
            has a sample rate outside `RATES`.
    """
    try:
        wave, rate = _soundfile().read(path, dtype="float32", always_2d=True)
    except UserError:
        raise
    except Exception as error:
        reason = "there is no such file" if not path.exists() else f"not a readable sound: {error}"
        reason = "a folder; one recording is needed" if path.is_dir() else reason
        raise UserError(f"{path}: {reason}".splitlines()[0]) from error
    if not RATES[0] <= rate <= RATES[1]:
        raise UserError(
            f"{path}: a sample rate of {rate} Hz; {RATES[0]} to {RATES[1]} are supported"
        )
    mono = wave.mean(axis=1) if wave.size else wave[:, :0].sum(axis=1)
    if len(mono) < 0.1 * rate:
        raise UserError(f"{path}: {len(mono) / rate:.3f} s of sound, at least 0.1 s are needed")
    if not np.isfinite(mono).all():
        raise UserError(f"{path}: it holds numbers that are not finite")
    if np.abs(mono).max() < 1e-4:
        raise UserError(f"{path}: it is silent")
    return mono / max(1.0, np.abs(mono).max()), rate


def write_wave(path: Path, wave: Float[np.ndarray, " n"], rate: int) -> None:
    """Write one channel of 16-bit audio in the format of the file's suffix (`ENDINGS`).

    Raises:
        UserError: another suffix, or a path that cannot be written.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path}: a sound is written as one of {', '.join(ENDINGS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _soundfile().write(path, wave, rate)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot write {path}: {error}") from error


def encode_flac(wave: Float[np.ndarray, " n"], rate: int) -> bytes:
    """Encode a waveform as the bytes of a FLAC file."""
    out = io.BytesIO()
    _soundfile().write(out, wave, rate, format="FLAC")
    return out.getvalue()


def resample(
    wave: Float[np.ndarray, " n"], rate: int, to: int, *, samples: int | None = None
) -> Float[np.ndarray, " m"]:
    """Resample a waveform; crop or zero-pad it to `samples` if given."""
    if rate != to:
        from scipy import signal

        common = math.gcd(rate, to)
        wave = signal.resample_poly(wave, to // common, rate // common).astype(np.float32)
    if samples is None:
        return wave
    return np.pad(wave, (0, max(0, samples - len(wave))))[:samples]


def _bins(rate: int) -> int:
    """Return the FFT size of WORLD: cheaptrick needs three periods of the lowest pitch."""
    return 2 ** math.ceil(math.log2(3.0 * rate / F0_FLOOR + 1.0))


def bands(rate: int) -> Float[np.ndarray, " k"]:
    """Return the frequencies in Hz at which aperiodicity is stored: those of d4c and both ends."""
    inner = np.arange(0.0, rate / 2, BAND_HZ)
    return np.append(inner, rate / 2)


MISSING = "speech needs WORLD and libsndfile: pip install 'gan_jax[voice]'"


@functools.cache
def _world() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pyworld reads its version through setuptools
            return importlib.import_module("pyworld")
    except ImportError as error:
        raise UserError(f"{MISSING} ({error})") from error


@functools.cache
def _soundfile() -> ModuleType:
    try:
        return importlib.import_module("soundfile")
    except (ImportError, OSError) as error:
        raise UserError(f"{MISSING} ({error})") from error
