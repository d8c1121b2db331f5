"""The guidelines of the DCGAN paper (Radford et al. 2016, arXiv:1511.06434), undone one at a time.

On the quickstart, half as wide, which keeps all of them but one: the paper has no hidden dense
layers, and the quickstart's discriminator has one.

    python scripts/ablate.py experiments/ablations/dcgan_guidelines.py run
    python scripts/table.py experiments/ablations/dcgan_guidelines.py
"""

from pathlib import Path

from gan_jax.config import ablation, change, recipe

NARROW = f"{Path(__file__).parents[1]}/dcgan.py:ablation_base"
BASE = change(recipe(NARROW), {"name": "dcgan-guidelines"})
BOTH = ("generator", "discriminator")

TABLE = ablation(
    BASE,
    {
        "the quickstart": {},
        "no hidden dense layer in D, as in the paper": {"discriminator.network.hidden": 0},
        "hidden dense layers in G and D": {"generator.network.hidden": 512},
        "pooling and repetition instead of strides": {
            f"{player}.network.resample": "pooled" for player in BOTH
        },
        "no batch norm": {f"{player}.network.norm": "none" for player in BOTH},
        "batch norm also on G's output, D's input": {
            f"{player}.network.norm": "batch_everywhere" for player in BOTH
        },
        "ReLU in D": {"discriminator.network.activation": "relu"},
        "tanh in G's hidden layers": {"generator.network.activation": "tanh"},
        "Adam's beta1 0.9": {f"{player}.betas": (0.9, 0.999) for player in BOTH},
    },
    quantities=("fid", "kid", "precision", "recall", "density", "coverage"),
)
