"""Experiments as data: their schema, checks, changes, files, tables and recipes."""

from gan_jax.config.ablation import Ablation, ablation
from gan_jax.config.check import POSITIVE, SEEDS, SHARES, check
from gan_jax.config.games import (
    Anneal,
    Cut,
    Cyclegan,
    Gan,
    Grow,
    Objective,
    Pix2Pix,
    Stylegan,
    TextToImage,
    Vae,
    VisionAided,
)
from gan_jax.config.kinds import KINDS, Game, Network, kind_of
from gan_jax.config.networks import (
    Dcgan,
    Dfgan,
    Fastgan,
    Mlp,
    PatchGan,
    Projected,
    R3gan,
    Resnet,
    Style,
    Style2,
    Unet,
    Voice,
    Voice2,
)
from gan_jax.config.overrides import change
from gan_jax.config.recipes import all_recipes, find_table, load, recipe, recipes, table, tables
from gan_jax.config.schema import (
    EMBEDDED,
    OWN,
    VOICES,
    Data,
    Experiment,
    Player,
    Run,
    counts_classes,
)
from gan_jax.config.serialise import FREE, SINCE, fingerprint, flatten, from_dict, identity, to_dict
from gan_jax.config.tiny import tiny
