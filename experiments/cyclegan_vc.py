"""One voice to another without pairs: CycleGAN-VC and CycleGAN-VC2 on mel-cepstra.

Kaneko & Kameoka 2017, arXiv:1711.11293; Kaneko et al. 2019, arXiv:1904.04631.
`python scripts/train.py experiments/cyclegan_vc.py:NAME`, after `pip install 'gan_jax[voice]'`
`python scripts/sample.py RUN --input a.wav --direction x2y --out b.wav` converts a recording.

The speakers come with the package: an Italian man (x) and woman (y), at 8 kHz. The woman's sound
files were made by Marco Menardi and Paola Dal Zot: http://www.voip.ammdomus.it.
"""

from gan_jax.config import Cyclegan, Data, Experiment, Player, Run, Voice, Voice2


def vc2() -> Experiment:
    """CycleGAN-VC2, narrow, in batches of 8: about 20 minutes on 2 cores. Not measured.

    The paper's batch is 1; 8 keep two cores busier, and the learning rates stay. A piece is an
    example, so 1 kimg are 1000 pieces of each speaker.
    """
    return _vc("cyclegan-vc-vc2", Voice2(width=16), cepstra=36, kimg=(12.0, 24.0), batch_size=8)


def vc1() -> Experiment:
    """CycleGAN-VC, narrow, in batches of 8: about 20 minutes on 2 cores. Not measured."""
    return _vc("cyclegan-vc-vc1", Voice(width=32), cepstra=24, kimg=(20.0, 40.0), batch_size=8)


def vc2_paper() -> Experiment:
    """CycleGAN-VC2 at the paper's width, batch 1, 200,000 rounds and as many falling. Not measured.

    Hours on an accelerator. On VCC2018 the paper has mel-cepstral distortions of 6.3 to 7.2 dB.
    """
    return _vc("cyclegan-vc-vc2-paper", Voice2(), cepstra=36, kimg=(200.0, 400.0), batch_size=1)


def vc1_paper() -> Experiment:
    """CycleGAN-VC at the paper's width, batch 1, 200,000 rounds and as many falling. Not measured.

    The paper reports global variance, modulation spectrum and opinions, no distortion.
    """
    return _vc("cyclegan-vc-vc1-paper", Voice(), cepstra=24, kimg=(200.0, 400.0), batch_size=1)


def own() -> Experiment:
    """`vc2` on one's own recordings: --data.path of trainA, trainB, testA, testB. Not measured."""
    network = Voice2(width=16)
    return _vc("cyclegan-vc-own", network, "voices", cepstra=36, kimg=(12.0, 24.0), batch_size=8)


def _vc(
    name: str,
    network: Voice | Voice2,
    data: str = "voices_it",
    *,
    cepstra: int,
    kimg: tuple[float, float],
    batch_size: int,
) -> Experiment:
    """Generators 2e-4, discriminators 1e-4, beta1 0.5; identity ends after a twentieth of the run.

    The paper's 10,000 of 200,000 rounds before the fall; cycle 10, identity 5, least squares, and
    no pool of past fakes, which these papers do not have.
    """
    adam = {"network": network, "betas": (0.5, 0.999), "decay": kimg}
    return Experiment(
        name,
        Player(lr=2e-4, **adam),
        Player(lr=1e-4, **adam),
        Cyclegan(identity_kimg=kimg[0] / 20, pool=0, two_step=isinstance(network, Voice2)),
        Data(data, cepstra=cepstra),
        batch_size=batch_size,
        run=Run(
            kimg=kimg[1], sample_kimg=4.0, checkpoint_kimg=4.0, log_every=25, metrics=("voices",)
        ),
    )
