"""Mirrored and jittered pictures."""

import numpy as np
import pytest

from gan_jax.data.augment import corners, jitter, mirror


def noise(count, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, 6, 5, channels), np.uint8)


def words(count):
    return np.random.default_rng(1).integers(0, 2**32, count, np.uint32)


def test_the_chosen_are_mirrored():
    pictures = noise(3)
    found = mirror(pictures, np.array([True, False, True]))
    np.testing.assert_array_equal(found[::2], pictures[::2, :, ::-1])
    np.testing.assert_array_equal(found[1], pictures[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_by_nothing_is_nothing(channels):
    pictures = noise(4, channels)
    np.testing.assert_array_equal(jitter(pictures, words(4), 0), pictures)


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_keeps_the_shape_and_even_surfaces(channels):
    pictures = np.broadcast_to(np.uint8(77), (5, 6, 5, channels)).copy()
    np.testing.assert_array_equal(jitter(pictures, words(5), 4), pictures)


def test_the_first_and_the_last_window_touch_the_corners():
    pictures = np.zeros((2, 8, 8, 1), np.uint8)
    pictures[:, 0, 0], pictures[:, 7, 7] = 200, 100
    first, last = jitter(pictures, np.array([0, 2**32 - 1], np.uint32), 8)[..., 0]
    assert first[0, 0] > 150 and first[-1, -1] == 0
    assert last[-1, -1] > 75 and last[0, 0] == 0


@pytest.mark.parametrize("pixels", [0, 1, 30])
def test_windows_are_placed_evenly_and_independently_on_both_axes(pixels):
    top, left = corners(words(50_000), pixels)
    share = 50_000 / (pixels + 1)
    for places in (top, left):
        counts = np.bincount(places, minlength=pixels + 1)
        assert len(counts) == pixels + 1
        assert abs(counts / share - 1).max() < 5 / np.sqrt(share)  # five standard deviations
    if pixels:
        assert abs(np.corrcoef(top, left)[0, 1]) < 0.03
