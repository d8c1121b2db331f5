"""The guidelines of the DCGAN paper (Radford et al. 2016, arXiv:1511.06434), undone one at a time.

On `dcgan.py:ablation_base`, the quickstart half as wide with the label beside x and z, which keeps
all of them but one: the paper has no hidden dense layers, and the quickstart's discriminator has
one.

Measured 2026-11-29, three seeds, about a minute a run on one CPU core beside other work
(dcgan_guidelines.md). The guidelines hold: FID rises from 21.3 +- 0.8 without batch norm (161),
with beta1 0.9 (71), with tanh in G (40), with pooling and repetition (33) and with norms at both
ends (28). ReLU in D is not told apart from leaky ReLU (25 +- 5). The hidden dense layer in D, which
the paper removes, is worth a factor of four (90 +- 18 without it); another one in G gives the best
precision and coverage and costs a third of the recall.

    gan-jax ablate dcgan_guidelines run
    gan-jax table dcgan_guidelines
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
