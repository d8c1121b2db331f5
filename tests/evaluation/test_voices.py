"""Voices: WORLD's features, pieces, networks, cepstral metrics, conversion of files."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.paths import EXPERIMENTS

from gan_jax import config
from gan_jax.build.experiment import make_parts
from gan_jax.data import pipeline, speech, world
from gan_jax.data.speech import Speakers, Statistics
from gan_jax.data.world import Speech
from gan_jax.errors import UserError
from gan_jax.evaluation import voices
from gan_jax.metrics import cepstral
from gan_jax.networks import voice
from gan_jax.reporting import run_log
from gan_jax.training.loop import train

RECIPES = str(EXPERIMENTS / "cyclegan_vc.py")
RATE = 8000
RNG = np.random.default_rng(0)


def vowel(seconds=0.5, pitch=140.0, rate=RATE):
    """A buzz through two resonances, with silence at its end: voiced frames and unvoiced ones."""
    t = np.arange(round(seconds * rate)) / rate
    wave = sum(
        np.sin(2 * np.pi * pitch * k * t) / (1 + ((pitch * k - 700) / 400) ** 2)
        for k in range(1, int(rate / 2 / pitch))
    )
    wave[-len(wave) // 5 :] = 0
    noise = np.random.default_rng(1).normal(size=len(t))
    return (0.2 * wave + 1e-4 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def analysed():
    return world.analyse(vowel(), RATE)


@pytest.fixture(scope="module")
def sources():
    return {
        split: pipeline.open_source("voices_it_sample", split=split, frames=16, cepstra=8)
        for split in ("train", "test")
    }


def test_analysis_has_a_frame_every_5_ms_and_finds_the_pitch(analysed):
    assert len(analysed.f0) == 101 == len(analysed.mcep) == len(analysed.aperiodicity)
    assert analysed.voiced.any() and not analysed.voiced.all()
    assert abs(np.median(analysed.f0[analysed.voiced]) - 140.0) < 3.0


@pytest.mark.parametrize("samples", [4000, 3999, 4001])
def test_synthesis_has_exactly_the_samples_asked_for(analysed, samples):
    wave = world.synthesise(analysed, RATE, samples)
    assert wave.shape == (samples,) and np.abs(wave).max() <= 1.0
    again = world.analyse(wave, RATE)
    count = min(len(again.f0), len(analysed.f0))
    both = analysed.voiced[:count] & again.voiced[:count]
    assert both.sum() > 60, "a whisper: see the comment on d4c"
    assert np.abs(again.f0[:count][both] / analysed.f0[:count][both] - 1.0).mean() < 0.03


def test_voiced_frames_are_periodic_at_8_khz(analysed):
    assert (analysed.aperiodicity[analysed.voiced, 0] < -30.0).mean() > 0.9
    np.testing.assert_allclose(analysed.aperiodicity[~analysed.voiced, 0], 0.0, atol=1e-6)


def test_cepstra_come_back_to_the_envelope_and_c0_is_the_loudness():
    log = np.cumsum(RNG.normal(size=(3, 9)), axis=1) / 4
    smooth = np.exp(np.stack([np.interp(np.linspace(0, 8, 257), np.arange(9), row) for row in log]))
    mcep = world.to_mcep(smooth, RATE, order=120)
    error = np.log(world.to_envelope(mcep, RATE)) - np.log(smooth)
    assert np.abs(error).max() < 0.05
    louder = world.to_mcep(4.0 * smooth, RATE, order=120) - mcep
    np.testing.assert_allclose(louder[:, 0], np.log(2.0), atol=1e-9)  # of the amplitude
    np.testing.assert_allclose(louder[:, 1:], 0.0, atol=1e-9)


def test_the_warped_axis_is_the_all_pass_filters():
    alpha, w = world.warping(RATE), np.linspace(0.0, np.pi, 257)
    mcep = np.zeros((1, 20))
    mcep[0, 3] = 0.4
    warped = w + 2.0 * np.arctan(alpha * np.sin(w) / (1.0 - alpha * np.cos(w)))
    expected = 2.0 * 0.4 * np.cos(3.0 * warped)
    np.testing.assert_allclose(np.log(world.to_envelope(mcep, RATE))[0], expected, atol=1e-6)
    assert (world.warping(8000), world.warping(16000)) == (0.31, 0.42)


def test_pitch_moves_on_voiced_frames_only_and_0_stays_0():
    a = Statistics(np.zeros(2), np.ones(2), np.log(100.0), 0.2)
    b = Statistics(np.zeros(2), np.ones(2), np.log(200.0), 0.1)
    f0 = np.array([0.0, 100.0, 100.0 * np.exp(0.2), 0.0], np.float32)
    moved = speech.convert_f0(f0, a, b)
    np.testing.assert_allclose(moved, [0.0, 200.0, 200.0 * np.exp(0.1), 0.0], rtol=1e-5)


def test_statistics_take_the_pitch_of_voiced_frames_alone():
    mcep = RNG.normal(2.0, 3.0, size=(4, 5)).astype(np.float32)
    f0 = np.array([0.0, 100.0, 400.0, 0.0], np.float32)
    known = speech.statistics([Speech(f0, mcep, np.zeros((4, 1), np.float32))])
    np.testing.assert_allclose(known.mean, mcep.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(known.f0_mean, np.log(200.0), rtol=1e-6)
    np.testing.assert_allclose(known.f0_std, np.log(2.0), rtol=1e-6)
    back = speech.denormalise(speech.normalise(mcep, known), known)
    np.testing.assert_allclose(back, mcep, rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="voiced"):
        speech.statistics([Speech(0 * f0, mcep, np.zeros((4, 1), np.float32))])


def test_pieces_follow_from_seed_and_position_alone(sources):
    def some(start, count):
        stream = pipeline.batches(sources["train"], batch_size=2, seed=3, start=start, threads=0)
        found = list(itertools.islice(stream, count))
        stream.close()
        return found

    whole, later = some(0, 4), some(2, 2)
    for a, b in zip(whole[2:], later, strict=True):
        for side in "xy":
            np.testing.assert_array_equal(a[side], b[side])
    assert whole[0]["x"].shape == (2, 16, 8) and whole[0]["x"].dtype == np.float32


def test_windows_lie_anywhere_in_an_utterance_and_short_ones_are_filled():
    records = speech.segments([np.arange(20.0)[:, None], np.arange(3.0)[:, None]], 16, "x")
    first = [0, 2**32 - 1]
    words = np.array([*first, 0], np.uint32)
    assert records.window is not None
    cut = records.window(np.array([0, 0, 1]), words)["x"][..., 0]
    np.testing.assert_array_equal(cut[:, 0], [0.0, 4.0, 0.0])
    np.testing.assert_array_equal(cut[2, 2:], 2.0)


def test_both_speakers_say_the_held_out_prompts_and_turning_exchanges_them(sources):
    said = sources["test"].speakers.utterances
    assert {one.key for one in said["x"]} == {one.key for one in said["y"]}
    trained = sources["train"].speakers.utterances
    keys = [{one.key for one in trained[side]} for side in "xy"]
    assert not keys[0] & keys[1]
    turned = pipeline.open_source(
        "voices_it_sample", split="test", frames=16, cepstra=8, direction="y2x"
    )
    np.testing.assert_array_equal(turned.records[0]["x"], sources["test"].records[0]["y"])
    known = turned.speakers.statistics["x"].mean
    np.testing.assert_array_equal(known, sources["test"].speakers.statistics["y"].mean)


def test_facts_for_a_run_come_back(sources):
    known = sources["train"].speakers
    back = speech.from_facts(known.facts())
    assert (back.rate, back.frames, back.cepstra) == (8000, 16, 8)
    np.testing.assert_allclose(back.statistics["y"].std, known.statistics["y"].std, rtol=1e-6)


def test_alignment_is_the_cheapest_of_all_paths():
    def paths(i, j):
        if i == j == 0:
            yield [(0, 0)]
        for a, b in ((1, 1), (1, 0), (0, 1)):
            if i >= a and j >= b:
                yield from ([*path, (i, j)] for path in paths(i - a, j - b))

    for seed, (rows, columns) in enumerate([(4, 5), (5, 3), (1, 4), (1, 1)]):
        cost = np.random.default_rng(seed).random((rows, columns))
        least = min(sum(cost[at] for at in path) for path in paths(rows - 1, columns - 1))
        path = cepstral.alignment(cost)
        assert np.isclose(sum(cost[i, j] for i, j in path), least)
        assert tuple(path[0]) == (0, 0) and tuple(path[-1]) == (rows - 1, columns - 1)


def test_distortion_is_in_decibels_and_leaves_c0_out():
    assert np.isclose(cepstral.DECIBELS, 10.0 * 2.0**0.5 / np.log(10.0))
    a = np.zeros((5, 4), np.float32)
    b = a + np.array([9.0, 0.3, 0.0, 0.4], np.float32)
    assert np.isclose(cepstral.distortion(a, b), 6.141851 * 0.5, rtol=1e-5)
    x = RNG.normal(size=(9, 4))
    assert cepstral.distortion(x, np.repeat(x, 2, axis=0)) < 1e-4  # slower speech is no error


def test_variance_and_modulation_errors_are_zero_of_itself_and_known_of_twice():
    some = [RNG.normal(size=(300, 5)), RNG.normal(size=(90, 5))]
    twice = [2.0 * one for one in some]
    assert cepstral.variance_error(some, some) == 0.0 == cepstral.modulation_error(some, some)
    assert np.isclose(cepstral.variance_error(twice, some), 10.0 * np.log10(4.0))
    assert np.isclose(cepstral.modulation_error(twice, some), 10.0 * np.log10(4.0), rtol=1e-3)


def test_the_classifier_tells_two_colours_of_sound_apart():
    def colour(sign, seed):
        noise = np.random.default_rng(seed).normal(size=4000)
        return (noise[1:] + sign * noise[:-1]).astype(np.float32)

    first, second = ([colour(s, i) for i in range(8)] for s in (1.0, -1.0))
    judge = cepstral.fit_speakers(first[:4], second[:4], RATE)
    assert not cepstral.is_second_speaker(judge, first[4:]).any()
    assert cepstral.is_second_speaker(judge, second[4:]).all()


SIZES = [  # parameters at the papers' sizes
    (voice.Generator212d(), 36, (1, 128, 36), 32_900_993),
    (voice.Generator1d(), 24, (1, 128, 24), 38_055_704),
    (voice.Discriminator(), 36, (1, 5, 16), 22_894_593),
    (voice.Discriminator(patch=False), 24, (1, 6, 8), 21_837_825),
]


@pytest.mark.parametrize(("net", "cepstra", "shape", "count"), SIZES)
def test_networks_at_the_papers_sizes(net, cepstra, shape, count):
    x = jax.ShapeDtypeStruct((1, 128, cepstra), jnp.float32)
    variables = jax.eval_shape(lambda x: net.init(jax.random.key(0), x), x)
    assert jax.eval_shape(net.apply, variables, x).shape == shape
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count


def test_the_middle_of_the_2_1_2d_generator_joins_coefficients_to_2304_channels():
    x = jax.ShapeDtypeStruct((1, 128, 36), jnp.float32)
    net = voice.Generator212d()
    params = jax.eval_shape(lambda x: net.init(jax.random.key(0), x), x)["params"]
    assert params["to_1d"]["Conv_0"]["kernel"].shape == (1, 1, 2304, 256)
    assert params["to_2d"]["Conv_0"]["kernel"].shape == (1, 1, 256, 2304)


def test_shuffling_takes_pixels_out_of_channels():
    x = jnp.arange(12.0).reshape(1, 1, 2, 6)
    out = voice.shuffle(x, (1, 2))
    np.testing.assert_array_equal(out[0, 0], x.reshape(4, 3))


def test_pieces_are_faded_back_into_what_they_were_cut_from():
    for frames in (5, 16, 17, 41):
        x = RNG.normal(size=(frames, 3)).astype(np.float32)
        starts = voices.windows(frames, 16)
        pieces = [voices._piece(x, start, 16) for start in starts]
        np.testing.assert_allclose(voices.crossfaded(pieces, starts, frames), x, rtol=1e-5)


@pytest.fixture(scope="module")
def pair(analysed):
    known = speech.statistics([analysed])
    higher = known._replace(f0_mean=known.f0_mean + np.log(1.5), mean=known.mean + 0.1)
    return Speakers(RATE, 16, 8, {"x": known, "y": higher})


def same(direction, pieces):
    return pieces


def test_matching_moves_the_translated_coefficients_and_the_pitch_alone(analysed, pair):
    (made,) = voices.matched([analysed], pair, "x2y")
    np.testing.assert_allclose(made.mcep[:, :8], analysed.mcep[:, :8] + 0.1, atol=1e-4)
    np.testing.assert_array_equal(made.mcep[:, 8:], analysed.mcep[:, 8:])
    np.testing.assert_array_equal(made.aperiodicity, analysed.aperiodicity)
    np.testing.assert_array_equal(made.voiced, analysed.voiced)


FILES = {
    "8k.wav": (1, 8000),
    "two.wav": (2, 16000),
    "odd.flac": (1, 11025),
    "song.mp3": (1, 16000),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_back_with_its_duration_and_rate(name, pair, tmp_path):
    channels, rate = FILES[name]
    sound = np.stack([vowel(0.4, rate=rate)] * channels, axis=1)
    world._soundfile().write(tmp_path / name, sound, rate)
    length = len(world.read_wave(tmp_path / name)[0])
    said = voices.convert_file(tmp_path / name, tmp_path / "out.wav", same, pair, "x2y")
    wave, after = world.read_wave(tmp_path / "out.wav")
    assert (after, len(wave)) == (rate, length) and name in said


def test_a_bad_file_is_one_line_with_its_name(pair, tmp_path):
    bad = {"missing.wav": "no such file", "empty.wav": "not a readable", "nothing.wav": "at least"}
    bad |= {"silent.wav": "silent", "text.mp3": "not a readable", "click.wav": "pitch"}
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.mp3").write_text("no sound at all")
    for name, wave in {
        "nothing.wav": np.zeros(0),
        "silent.wav": np.zeros(RATE),
        "click.wav": np.eye(1, RATE // 2, 2000)[0] / 2,
    }.items():
        world.write_wave(tmp_path / name, wave.astype(np.float32), RATE)
    for name, why in bad.items():
        with pytest.raises(UserError, match=why) as caught:
            voices.convert_file(tmp_path / name, tmp_path / "out.wav", same, pair, "x2y")
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="y2x"):
        voices.convert_file(tmp_path / "click.wav", tmp_path / "out.wav", same, pair, "x2z")
    with pytest.raises(UserError, match="would replace what is read"):
        voices.convert_file(tmp_path / "click.wav", tmp_path / "click.wav", same, pair, "x2y")
    with pytest.raises(UserError, match=r"\.wav"):
        world.write_wave(tmp_path / "out.doc", np.zeros(9, np.float32), RATE)


def test_a_folder_of_recordings_is_two_speakers_at_the_lowest_rate(tmp_path):
    with pytest.raises(UserError, match=r"data\.path"):
        pipeline.open_source("voices")
    for folder, pitch, rate in (("trainA", 120.0, 16000), ("trainB", 220.0, 8000)):
        world.write_wave(tmp_path / folder / "a.wav", vowel(0.4, pitch, rate), rate)
        if folder == "trainA":
            with pytest.raises(UserError, match="trainB"):
                pipeline.open_source("voices", path=str(tmp_path))
    opened = pipeline.open_source("voices", path=str(tmp_path), frames=16, cepstra=8)
    known = opened.speakers.statistics
    assert opened.speakers.rate == 8000
    assert abs(np.exp(known["x"].f0_mean) - 120.0) < 4.0
    assert abs(np.exp(known["y"].f0_mean) - 220.0) < 6.0
    with pytest.raises(UserError, match="'test'"):
        pipeline.open_source("voices", path=str(tmp_path), split="test")


def test_a_resumed_run_is_the_uninterrupted_one_and_reports_sounds_and_distortion(tmp_path):
    tiny = config.tiny(config.recipe(RECIPES + ":vc1"))
    changes = {"run.devices": 1, "run.threads": 0}
    whole = train(config.change(tiny, changes | {"run.metrics": ("voices",)}), tmp_path / "whole")
    train(config.change(tiny, changes | {"run.kimg": 0.002}), tmp_path / "parts")
    resumed = train(config.change(tiny, changes), tmp_path / "parts")
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    page = (tmp_path / "whole" / "report.html").read_text()
    assert page.count("<audio") == 2 * 3 * 4 and "data:audio/flac;base64," in page
    scores = run_log.read_metrics(tmp_path / "whole" / run_log.METRICS)[-1]
    for side in ("", "copy_", "matched_", "mean_"):
        assert scores[f"{side}x2y_mcd3-test[mcep8,no-c0,dtw]"] > 0.0
    kept = json.loads((tmp_path / "whole" / "config.json").read_text())["data"]["speakers"]
    assert speech.from_facts(kept).cepstra == 8


def test_silence_is_trimmed_at_the_ends_only():
    wave = np.concatenate([np.zeros(4000), vowel(0.4), np.zeros(4000), vowel(0.4), np.zeros(4000)])
    cut = world.trim(wave.astype(np.float32), RATE)
    assert len(vowel(0.4)) * 1.5 + 4000 < len(cut) < len(wave) - 6000


def test_networks_of_voices_refuse_what_they_cannot_halve():
    base = config.recipe(RECIPES + ":vc2")
    with pytest.raises(UserError, match=r"data\.cepstra.*nearest"):
        make_parts(base, (128, 35))
    with pytest.raises(UserError, match="makes speech"):
        make_parts(base, (32, 32, 3))
    player = dataclasses.replace(base.generator, network=config.Resnet())
    with pytest.raises(UserError, match="makes pictures"):
        make_parts(dataclasses.replace(base, generator=player), (128, 36))
