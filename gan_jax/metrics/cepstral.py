"""Metrics of voice conversion: mel-cepstral distortion, variance, modulation, speaker identity.

Mel-cepstral distortion is Kubichek 1993, doi:10.1109/PACRIM.1993.407206; global variance Toda et
al. 2007, doi:10.1109/TASL.2007.907344; the modulation spectrum Takamichi et al. 2014,
doi:10.1109/ICASSP.2014.6853604. Cepstra are [t m], frames of 5 ms by coefficients; the first
coefficient, c0, is the energy, which the metrics here exclude.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.fft import dct

DECIBELS = 10.0 * np.sqrt(2.0) / np.log(10.0)  # dB per unit of a natural-log cepstrum: 6.1418
MODULATION_BINS = 256  # frames of 5 ms in a window: bands of 0.78 Hz
MFCC, MEL_BANDS, MFCC_WINDOW_S, MFCC_HOP_S = 20, 32, 0.025, 0.010
RIDGE = 1.0  # L2 penalty of the speaker classifier on standardised features
NEWTON_STEPS = 30

Cepstra = Sequence[Float[np.ndarray, "_ m"]]


def alignment(cost: Float[np.ndarray, "s t"]) -> Int[np.ndarray, "n 2"]:
    """Return the minimum-cost path from the first cell to the last by dynamic time warping.

    Steps are (1, 1), (1, 0) and (0, 1), without slope constraints or weights; ties prefer the
    diagonal, then the first axis. Cells of an antidiagonal are independent, so the recursion runs
    over s + t - 1 vectors.

    Args:
        cost: of matching frame i of the first sequence with frame j of the second.

    Returns:
        Pairs (i, j) of matched frames [n 2].

    References:
        Sakoe & Chiba 1978, doi:10.1109/TASSP.1978.1163055.
    """
    rows, columns = cost.shape
    best = np.full((rows + 1, columns + 1), np.inf)
    best[0, 0] = 0.0
    step = np.zeros((rows, columns), np.int8)
    for total in range(rows + columns - 1):
        i = np.arange(max(0, total - columns + 1), min(rows, total + 1))
        j = total - i
        before = np.stack([best[i, j], best[i, j + 1], best[i + 1, j]])
        step[i, j] = before.argmin(axis=0)
        best[i + 1, j + 1] = cost[i, j] + before.min(axis=0)
    i, j = rows - 1, columns - 1
    path = [(i, j)]
    while i or j:
        down, right = ((1, 1), (1, 0), (0, 1))[step[i, j]]
        i, j = i - down, j - right
        path.append((i, j))
    return np.array(path[::-1])


def distortion(a: Float[np.ndarray, "s m"], b: Float[np.ndarray, "t m"]) -> float:
    """Compute the mel-cepstral distortion in dB of two aligned utterances, without c0.

    It is the mean over the path of 10 / ln 10 * sqrt(2 sum_m (a_m - b_m)^2), which is also the cost
    of the alignment.
    """
    cost = frame_distances(a[:, 1:], b[:, 1:])
    path = alignment(cost)
    return float(cost[path[:, 0], path[:, 1]].mean())


def frame_distances(
    a: Float[np.ndarray, "s m"], b: Float[np.ndarray, "t m"]
) -> Float[np.ndarray, "s t"]:
    """Compute the distances in dB between all frames of two utterances."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2.0 * a @ b.T
    return DECIBELS * np.sqrt(np.maximum(squares, 0.0))


def global_variance(utterances: Cepstra) -> Float[np.ndarray, " n"]:
    """Compute the variance of each coefficient over time, averaged over utterances, without c0."""
    return np.mean([one[:, 1:].var(axis=0, dtype=np.float64) for one in utterances], axis=0)


def modulation_spectrum(utterances: Cepstra) -> Float[np.ndarray, "k n"]:
    """Compute the log power spectrum in dB of each coefficient's trajectory, without c0.

    Trajectories are centred and cut into windows of 256 frames that overlap by half, with zero
    padding; the spectrum is averaged over the windows of all utterances.

    Returns:
        Modulation frequencies by coefficients [k n].
    """
    spectra = []
    for one in utterances:
        centred = one[:, 1:].astype(np.float64)
        centred = centred - centred.mean(axis=0)
        for start in range(0, max(1, len(centred) - MODULATION_BINS // 2), MODULATION_BINS // 2):
            piece = centred[start : start + MODULATION_BINS]
            window = np.hanning(len(piece) + 2)[1:-1, None]
            power = np.abs(np.fft.rfft(piece * window, MODULATION_BINS, axis=0)) ** 2
            spectra.append(10.0 * np.log10(power / np.square(window).sum() + 1e-10))
    return np.mean(spectra, axis=0)


def variance_error(a: Cepstra, b: Cepstra) -> float:
    """Return the root mean square over coefficients of the ratio of global variances in dB."""
    ratio = 10.0 * np.log10(global_variance(a) / global_variance(b))
    return float(np.sqrt(np.mean(np.square(ratio))))


def modulation_error(a: Cepstra, b: Cepstra) -> float:
    """Return the root mean square difference in dB of the modulation spectra."""
    return float(np.sqrt(np.mean(np.square(modulation_spectrum(a) - modulation_spectrum(b)))))


def pitch(f0s: Sequence[Float[np.ndarray, " _"]]) -> tuple[float, float]:
    """Return geometric mean [Hz] and standard deviation [semitones] of voiced frames (f0 > 0)."""
    voiced = np.concatenate([f0[f0 > 0] for f0 in f0s]).astype(np.float64)
    if not len(voiced):
        return float("nan"), float("nan")
    log = np.log2(voiced)
    return float(2.0 ** log.mean()), float(12.0 * log.std())


class SpeakerClassifier(NamedTuple):
    """Logistic regression on standardised features; positive logits mean the second speaker."""

    mean: Float[np.ndarray, " d"]
    std: Float[np.ndarray, " d"]
    weights: Float[np.ndarray, " d"]
    bias: float
    rate: int


def fit_speakers(
    first: Sequence[Float[np.ndarray, " _"]], second: Sequence[Float[np.ndarray, " _"]], rate: int
) -> SpeakerClassifier:
    """Fit a classifier of two speakers to their waveforms by Newton's method."""
    x = np.stack([recording_features(wave, rate) for wave in (*first, *second)])
    label = np.repeat([0.0, 1.0], [len(first), len(second)])
    mean, std = x.mean(axis=0), x.std(axis=0) + 1e-8
    z = np.concatenate([(x - mean) / std, np.ones((len(x), 1))], axis=1)
    ridge = RIDGE * np.diag([1.0] * (z.shape[1] - 1) + [0.0])
    weights = np.zeros(z.shape[1])
    for _ in range(NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(z @ weights, -30.0, 30.0)))
        slope = z.T @ (p - label) + ridge @ weights
        curvature = (z * (p * (1.0 - p))[:, None]).T @ z + ridge + 1e-6 * np.eye(len(weights))
        weights = weights - np.linalg.solve(curvature, slope)
    return SpeakerClassifier(mean, std, weights[:-1], float(weights[-1]), rate)


def is_second_speaker(
    classifier: SpeakerClassifier, waves: Sequence[Float[np.ndarray, " _"]]
) -> Bool[np.ndarray, " n"]:
    """Classify waveforms: True for the second speaker."""
    x = np.stack([recording_features(wave, classifier.rate) for wave in waves])
    z = (x - classifier.mean) / classifier.std
    return z @ classifier.weights + classifier.bias > 0


def recording_features(wave: Float[np.ndarray, " n"], rate: int) -> Float[np.ndarray, " d"]:
    """Return mean and standard deviation over time of a recording's MFCCs, without c0."""
    frames = mfcc(wave, rate)[:, 1:]
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0)])


def mfcc(wave: Float[np.ndarray, " n"], rate: int) -> Float[np.ndarray, "t c"]:
    """Compute mel-frequency cepstral coefficients of 25 ms windows every 10 ms.

    References:
        Davis & Mermelstein 1980, doi:10.1109/TASSP.1980.1163420.
    """
    size, hop = round(MFCC_WINDOW_S * rate), round(MFCC_HOP_S * rate)
    wave = np.pad(wave.astype(np.float64), (0, max(0, size - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    log = np.log(power @ _mel(size, rate) + 1e-10)
    return np.asarray(dct(log, norm="ortho", axis=1))[:, :MFCC]


def _mel(size: int, rate: int) -> Float[np.ndarray, "f b"]:
    """Return triangular filters of equal width on the mel scale, from 60 Hz to rate / 2."""
    low, high = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (60.0, rate / 2))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, MEL_BANDS + 2) / 2595.0) - 1.0)
    bins = np.fft.rfftfreq(size, 1.0 / rate)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rise, fall))
