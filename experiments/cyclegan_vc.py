"""One voice to another without pairs: CycleGAN-VC, -VC2 and MaskCycleGAN-VC on mel-cepstra.

Kaneko & Kameoka 2017, arXiv:1711.11293; Kaneko et al. 2019, arXiv:1904.04631.
`gan-jax train cyclegan_vc:NAME`, after `pip install 'gan_jax[voice]'`
`gan-jax sample RUN --input a.wav --direction x2y --out b.wav` converts a recording.

The speakers come with the package: an Italian man (x) and woman (y), at 8 kHz. The woman's sound
files were made by Marco Menardi and Paola Dal Zot: http://www.voip.ammdomus.it.
"""

from gan_jax.config import Cyclegan, Data, Experiment, Player, Run, Voice, Voice2, change


def vc2() -> Experiment:
    """CycleGAN-VC2, narrow, in batches of 4: sized for two CPU cores.

    The paper's batch is 1, which keeps two cores less busy; the learning rates stay. A piece is an
    example, so 1 kimg are 1000 pieces of each speaker. The first run analyses the 12 minutes of
    recordings, which takes about three. x is the man, y the woman; 24 sentences are held out.

    Measured 2026-11-30, seed 0, 12 kimg in 28.1 minutes on a share of one core
    (results/cyclegan-vc-vc2.json; zoo:voices). Distortion in dB at 36 coefficients without c0, to
    her voice and to his: 7.43 and 8.06. Mean and variance matched have 7.74 and 8.41, the source
    itself 8.35, and a constant mean spectrum 7.52 and 7.88: that is what smoothness alone is worth,
    and conversions to his voice are not ahead of it. A speaker classifier takes all conversions for
    the target (1.0; of the matched 0.625 and 0.958). Error of the global variance 0.39 and 0.73
    (matched 0.44): his voice is still too smooth.
    """
    return _vc("cyclegan-vc-vc2", Voice2(width=16), cepstra=36, kimg=(6.0, 12.0), batch_size=4)


def vc1() -> Experiment:
    """CycleGAN-VC, narrow, in batches of 8: sized for 20 to 30 minutes on 2 cores. Not measured.

    To beat, as for `vc2` but of 24 coefficients: 7.54 and 8.24 matched, 8.14 the source.
    """
    return _vc("cyclegan-vc-vc1", Voice(width=32), cepstra=24, kimg=(5.0, 10.0), batch_size=8)


def vc2_paper() -> Experiment:
    """CycleGAN-VC2 at the paper's width, batch 1, 200,000 rounds and as many falling. Not measured.

    Hours on an accelerator.
    """
    return _vc("cyclegan-vc-vc2-paper", Voice2(), cepstra=36, kimg=(200.0, 400.0), batch_size=1)


def vc1_paper() -> Experiment:
    """CycleGAN-VC at the paper's width, batch 1, 200,000 rounds and as many falling. Not measured.

    The paper reports global variance, modulation spectrum and opinions, no distortion.
    """
    return _vc("cyclegan-vc-vc1-paper", Voice(), cepstra=24, kimg=(200.0, 400.0), batch_size=1)


def mask() -> Experiment:
    """`vc2` that fills in up to 25 hidden frames (MaskCycleGAN-VC, arXiv:2102.12841). Not measured.

    The paper hides 0 to 25 of 64 frames of a mel-spectrogram, whose waves a neural vocoder makes;
    these are 128 frames of mel-cepstra, whose waves WORLD makes.
    """
    return change(vc2(), {"name": "cyclegan-vc-mask", "game.mask": 25})


def own() -> Experiment:
    """`vc2` on one's own recordings: --data.path of trainA, trainB, testA, testB.

    Measured 2026-12-01 on SF1 and TM3 of the Voice Conversion Challenge 2016 at 16 kHz, seed 0, 12
    kimg in 55.6 minutes on a share of one core (results/cyclegan-vc-vcc2016.json): not ahead of
    matching. Distortion in dB at 36 coefficients without c0, to the man's voice and to the woman's:
    8.13 and 8.80; mean and variance matched have 8.05 and 8.17, the source itself 8.30, a constant
    mean spectrum 9.74 and 8.41. A speaker classifier takes all conversions for the target, and all
    matched ones too. Error of the global variance 0.38 and 0.55 (matched 0.32): the woman's voice
    is too smooth. The papers train for 200 kimg and more.
    """
    network = Voice2(width=16)
    return _vc("cyclegan-vc-own", network, "voices", cepstra=36, kimg=(6.0, 12.0), batch_size=4)


def _vc(
    name: str,
    network: Voice | Voice2,
    data: str = "voices_it",
    *,
    cepstra: int,
    kimg: tuple[float, float],
    batch_size: int,
) -> Experiment:
    """Generators 2e-4, discriminators 1e-4, beta1 0.5; the identity term ends at 10 kimg.

    Or after two thirds of the time before the fall, in runs too short for the paper's 10,000 rounds
    of one piece to end. Cycle 10, identity 5, least squares, and
    no pool of past fakes, which these papers do not have.
    """
    adam = {"network": network, "betas": (0.5, 0.999), "decay": kimg}
    return Experiment(
        name,
        Player(lr=2e-4, **adam),
        Player(lr=1e-4, **adam),
        Cyclegan(
            identity_kimg=min(10.0, 2 * kimg[0] / 3), pool=0, two_step=isinstance(network, Voice2)
        ),
        Data(data, cepstra=cepstra),
        batch_size=batch_size,
        run=Run(
            kimg=kimg[1], sample_kimg=1.0, checkpoint_kimg=1.0, log_every=25, metrics=("voices",)
        ),
    )
