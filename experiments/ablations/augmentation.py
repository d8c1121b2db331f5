"""Augmentation: does generated data help a classifier that has few real pictures.

Measured 2026-11-30, three seeds of 128 kimg (augmentation.md): hardly. Accuracy on held-out
pictures of a classifier of real ones, of both, and of generated ones alone: 0.631, 0.635, 0.569
with 100 labelled pictures; 0.798, 0.771, 0.697 with 500; 0.840, 0.847, 0.780 with 2,000, the only
gain beyond the spread. The generator had seen the same pictures and no others.

In each row a conditional GAN sees the named number of labelled pictures and no other; then one
classifier each learns from those pictures, from 5,000 samples, and from both in equal parts, for
as many steps, and is judged on the 1,000 held-out pictures.

    gan-jax ablate augmentation run
    gan-jax table augmentation
"""

from pathlib import Path

from gan_jax.config import ablation, change, recipe

NARROW = f"{Path(__file__).parents[1]}/dcgan.py:ablation_base"
BASE = change(
    recipe(NARROW),
    {
        "name": "augmentation",
        "data.split": "train[:100]",
        "game.condition": "auxiliary",
        "run.metrics": ("augmentation", "label_accuracy"),
    },
)

TABLE = ablation(
    BASE,
    {
        "100 real pictures": {},
        "500 real pictures": {"data.split": "train[:500]"},
        "2,000 real pictures": {"data.split": "train[:2000]"},
    },
    quantities=("accuracy_real", "accuracy_both", "accuracy_generated", "label_accuracy"),
)
