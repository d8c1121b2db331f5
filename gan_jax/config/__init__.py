"""Experiments as data: their schema, checks, changes, files, tables and recipes."""

from gan_jax.config.ablation import Ablation, ablation
from gan_jax.config.check import POSITIVE, SEEDS, SHARES, check
from gan_jax.config.overrides import change
from gan_jax.config.recipes import recipe, recipes, table, tables
from gan_jax.config.schema import (
    EMBEDDED,
    OWN,
    VOICES,
    Anneal,
    Cyclegan,
    Data,
    Dcgan,
    Experiment,
    Game,
    Gan,
    Grow,
    Mlp,
    Network,
    Objective,
    PatchGan,
    Pix2Pix,
    Player,
    R3gan,
    Resnet,
    Run,
    Style,
    Style2,
    Stylegan,
    TextToImage,
    Unet,
    Vae,
    Voice,
    Voice2,
    counts_classes,
)
from gan_jax.config.serialise import FREE, SINCE, fingerprint, flatten, from_dict, identity, to_dict
from gan_jax.config.tiny import tiny
