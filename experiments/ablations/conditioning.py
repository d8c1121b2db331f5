"""Five ways to tell the players the class, one backbone.

Beside picture and latent (Mirza & Osindero 2014, arXiv:1411.1784), a projection in D (Miyato &
Koyama 2018, arXiv:1802.05637) with the class beside z or in the norms of G (de Vries et al. 2017,
arXiv:1707.00683), an auxiliary classifier in D (Odena et al. 2017, arXiv:1610.09585), and
projection and classifier together.

Measured 2026-11-29 on the quickstart, half as wide and with R1 0.1, three seeds, 3 minutes a run on
one CPU core (conditioning.md): projection and classifier together are ahead in FID (11.6), within
classes (35), recall (0.71) and obedience (0.909 of the samples are what was asked for, of real
images 0.920); precision is level (0.77 to 0.78). The label beside x and z and a projection alone
are level with each other: FID 15.7 and 15.4, within classes 42 and 43, recall 0.68 and 0.69. The
classifier alone is obeyed nearly as well (0.899), at the price of FID within classes (55).
Conditional batch norm beside a projection does harm: one seed of three failed (FID 602), the others
have 44 and 40.

    gan-jax ablate conditioning run
    gan-jax table conditioning
"""

from pathlib import Path

from gan_jax.config import ablation, change, recipe

NARROW = f"{Path(__file__).parents[1]}/dcgan.py:ablation_base"
BASE = change(
    recipe(NARROW),
    {
        "name": "conditioning",
        "game.r1": 0.1,
        "run.kimg": 192.0,
        "run.metrics": ("label_accuracy", "intra_fid", "fid", "prdc"),
    },
)

TABLE = ablation(
    BASE,
    {
        "label beside x and z": {},
        "projection": {"game.condition": "projection"},
        "projection, conditional batch norm": {
            "game.condition": "projection",
            "game.conditional_norm": True,
        },
        "auxiliary classifier": {"game.condition": "auxiliary"},
        "projection and auxiliary classifier": {"game.condition": "projection+auxiliary"},
    },
    quantities=(
        *("label_accuracy", "real_label_accuracy", "intra_fid", "fid"),
        *("precision", "recall", "density", "coverage"),
    ),
)
