"""Weights and inputs for torch's networks from numpy seeds: the same with torch and without.

The first half is for `torch_models.py`, the second for `torch_features.py`.
"""

import math
import zlib
from pathlib import Path

import numpy as np

RECORDED = Path(__file__).with_name("torch_outputs.npz")
CONSTANT = ("resample_filter", "num_batches_tracked")
PAIRED = ("patches_paired", "pixels_paired")


def weights(shapes):
    """A state dict of these shapes by name; constants are left out.

    Variances are positive and gains near 1, so that no layer's output dies or explodes.
    """
    random = np.random.default_rng(0)
    equalised = any(key.startswith(("synthesis.", "b4.")) for key in shapes)
    state = {}
    for key in sorted(shapes):
        if key.endswith(CONSTANT):
            continue
        shape = tuple(shapes[key])
        draw = random.standard_normal(shape)
        if key.startswith("mapping.fc"):
            draw = 100.0 * draw
        elif len(shape) == 4 and not equalised:
            draw = draw / math.sqrt(math.prod(shape[1:]))
        elif len(shape) < 2:
            draw = 0.3 * draw
        if key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
            draw = 1.0 + np.abs(draw)
        state[key] = draw.astype(np.float32)
    return state


def inputs(name):
    """What a case is given, in PyTorch's axes."""
    random = np.random.default_rng(1)
    if name == "dcgan_g":
        return (random.standard_normal((2, 10, 1, 1)).astype(np.float32),)
    if name.startswith("style_g"):
        label = (np.eye(5, dtype=np.float32)[[1, 3]],) if name.endswith("labelled") else ()
        return (random.standard_normal((2, 6)).astype(np.float32), *label)
    sides = {"unet": 64, "style_d": 16, "style_d_plain": 8, "style_d_labelled": 8}
    side = sides.get(name, 32)
    batch = 8 if name.startswith("style") else 2
    shape = (batch, 6 if name in PAIRED else 3, side, side)
    label = (np.eye(5, dtype=np.float32)[np.arange(8) % 5],) if name.endswith("labelled") else ()
    return (random.uniform(-1, 1, shape).astype(np.float32), *label)


FEATURES = Path(__file__).with_name("torch_features.npz")
SIDES = {"efficientnet": 40, "lpips_vgg16": 32, "lpips_alexnet": 64, "lpips_alexnet_plain": 64}
SIDES["inception"] = 107  # the last blocks are 2x2: their padding matters most


def feature_weight(name, shape):
    """A tensor by its name in a state dict: the variance of what passes is kept."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.startswith("lin"):
        draw = random.uniform(size=shape)
    elif len(shape) > 1:
        draw = random.normal(size=shape) * (1.4 / math.sqrt(math.prod(shape[1:])))
    elif name.endswith(("weight", "running_var")):
        draw = random.uniform(0.5, 1.5, shape)
    else:
        draw = random.uniform(-0.2, 0.2, shape)
    return draw.astype(np.float32)


def pictures(name):
    """What a case is given, in [0, 1]; for a distance the second half is compared to the first."""
    count = 4 if name.startswith("lpips") else 2
    shape = (count, SIDES[name], SIDES[name], 3)
    return np.random.RandomState(1).uniform(size=shape).astype(np.float32)
