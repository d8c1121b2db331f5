"""The metrics' feature networks by PyTorch's functions, written from their published structure.

EfficientNet-Lite0 after its release (github.com/tensorflow/tpu), Inception-v3 as the 2015 graph
that FID is defined with, LPIPS 0.1 on torchvision's VGG16 and AlexNet.
In `tests/`, `python -m helpers.torch_features` records what they give for weights from numpy seeds,
which `networks/test_features.py` checks without torch.
"""

import json
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from helpers.torch_numbers import FEATURES, feature_weight, pictures


class Layers:
    """Functions of torch with weights by name; `shapes` holds those that were asked for."""

    def __init__(self):
        self.shapes = {}

    def weight(self, name, *shape):
        self.shapes[name] = shape
        return torch.from_numpy(feature_weight(name, shape))

    def conv(self, x, name, features, kernel, stride=1, padding=0, groups=1, bias=False):
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        w = self.weight(f"{name}.weight", features, x.shape[1] // groups, *kernel)
        b = self.weight(f"{name}.bias", features) if bias else None
        return F.conv2d(x, w, b, stride=stride, padding=padding, groups=groups)

    def norm(self, x, name):
        parts = ("running_mean", "running_var", "weight", "bias")
        tensors = (self.weight(f"{name}.{part}", x.shape[1]) for part in parts)
        return F.batch_norm(x, *tensors, eps=1e-3)

    def dense(self, x, name, features, bias=True):
        w = self.weight(f"{name}.weight", features, x.shape[1])
        return F.linear(x, w, self.weight(f"{name}.bias", features) if bias else None)


STAGES = (  # repeats, kernel, stride, expansion, features
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet(t, x):
    """TensorFlow's padding: what is odd goes to the end."""

    def same(x, kernel, stride):
        for axis in (3, 2):
            size = x.shape[axis]
            pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads = (pad // 2, pad - pad // 2)
            x = F.pad(x, pads if axis == 3 else (0, 0, *pads))
        return x

    x = (255.0 * x - 127.0) / 128.0
    x = F.relu6(t.norm(t.conv(same(x, 3, 2), "_conv_stem", 32, 3, 2), "_bn0"))
    number = 0
    for repeats, kernel, stride, expansion, features in STAGES:
        for repeat in range(repeats):
            place, step, y = f"_blocks.{number}.", stride if repeat == 0 else 1, x
            if expansion != 1:
                y = t.conv(y, f"{place}_expand_conv", expansion * x.shape[1], 1)
                y = F.relu6(t.norm(y, f"{place}_bn0"))
            groups = y.shape[1]
            y = same(y, kernel, step)
            y = t.conv(y, f"{place}_depthwise_conv", groups, kernel, step, groups=groups)
            y = F.relu6(t.norm(y, f"{place}_bn1"))
            y = t.norm(t.conv(y, f"{place}_project_conv", features, 1), f"{place}_bn2")
            x = x + y if x.shape == y.shape else y
            number += 1
    x = F.relu6(t.norm(t.conv(x, "_conv_head", 1280, 1), "_bn1")).mean((2, 3))
    return x, t.dense(x, "_fc", 1000)


def inception(t, x):
    """Pools as the graph has them: averages leave the border out, block 7c takes the largest."""

    def unit(x, name, features, kernel, stride=1, padding=0):
        x = t.conv(x, f"{name}.conv", features, kernel, stride, padding)
        return F.relu(t.norm(x, f"{name}.bn"))

    def chain(x, place, *layers):
        for name, features, *kernel in layers:
            kernel = kernel[0] if len(kernel) == 1 else tuple(kernel)
            pad = tuple(k // 2 for k in kernel) if isinstance(kernel, tuple) else kernel // 2
            x = unit(x, f"{place}.branch{name}", features, kernel, padding=pad)
        return x

    def average(x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def block_a(x, p, pooled):
        return torch.cat(
            [
                chain(x, p, ("1x1", 64, 1)),
                chain(x, p, ("5x5_1", 48, 1), ("5x5_2", 64, 5)),
                chain(x, p, ("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3), ("3x3dbl_3", 96, 3)),
                chain(average(x), p, ("_pool", pooled, 1)),
            ],
            1,
        )

    def block_c(x, p, w):
        double = (("7x7dbl_1", w, 1), ("7x7dbl_2", w, 7, 1), ("7x7dbl_3", w, 1, 7))
        double += (("7x7dbl_4", w, 7, 1), ("7x7dbl_5", 192, 1, 7))
        return torch.cat(
            [
                chain(x, p, ("1x1", 192, 1)),
                chain(x, p, ("7x7_1", w, 1), ("7x7_2", w, 1, 7), ("7x7_3", 192, 7, 1)),
                chain(x, p, *double),
                chain(average(x), p, ("_pool", 192, 1)),
            ],
            1,
        )

    def block_e(x, p, pool):
        three = chain(x, p, ("3x3_1", 384, 1))
        double = chain(x, p, ("3x3dbl_1", 448, 1), ("3x3dbl_2", 384, 3))
        return torch.cat(
            [
                chain(x, p, ("1x1", 320, 1)),
                chain(three, p, ("3x3_2a", 384, 1, 3)),
                chain(three, p, ("3x3_2b", 384, 3, 1)),
                chain(double, p, ("3x3dbl_3a", 384, 1, 3)),
                chain(double, p, ("3x3dbl_3b", 384, 3, 1)),
                chain(pool(x), p, ("_pool", 192, 1)),
            ],
            1,
        )

    x = (255.0 * x - 128.0) / 128.0
    x = unit(x, "Conv2d_1a_3x3", 32, 3, 2)
    x = unit(unit(x, "Conv2d_2a_3x3", 32, 3), "Conv2d_2b_3x3", 64, 3, padding=1)
    x = F.max_pool2d(x, 3, 2)
    x = F.max_pool2d(unit(unit(x, "Conv2d_3b_1x1", 80, 1), "Conv2d_4a_3x3", 192, 3), 3, 2)
    for letter, pooled in zip("bcd", (32, 64, 64), strict=True):
        x = block_a(x, f"Mixed_5{letter}", pooled)
    p = "Mixed_6a"
    double = chain(x, p, ("3x3dbl_1", 64, 1), ("3x3dbl_2", 96, 3))
    parts = [unit(x, f"{p}.branch3x3", 384, 3, 2), unit(double, f"{p}.branch3x3dbl_3", 96, 3, 2)]
    x = torch.cat([*parts, F.max_pool2d(x, 3, 2)], 1)
    for letter, width in zip("bcde", (128, 160, 160, 192), strict=True):
        x = block_c(x, f"Mixed_6{letter}", width)
    p = "Mixed_7a"
    three = chain(x, p, ("3x3_1", 192, 1))
    seven = chain(x, p, ("7x7x3_1", 192, 1), ("7x7x3_2", 192, 1, 7), ("7x7x3_3", 192, 7, 1))
    parts = [
        unit(three, f"{p}.branch3x3_2", 320, 3, 2),
        unit(seven, f"{p}.branch7x7x3_4", 192, 3, 2),
    ]
    x = torch.cat([*parts, F.max_pool2d(x, 3, 2)], 1)
    x = block_e(x, "Mixed_7b", average)
    x = block_e(x, "Mixed_7c", lambda x: F.max_pool2d(x, 3, 1, 1))
    x = x.mean((2, 3))
    return x, t.dense(x, "fc", 1008, bias=False)


def vgg16(t, x):
    """The last layer of each block, after its ReLU."""
    place = 0
    for block, features in enumerate((64, 128, 256, 512, 512)):
        for _ in range(2 if block < 2 else 3):
            x = F.relu(t.conv(x, f"features.{place}", features, 3, padding=1, bias=True))
            place += 2
        yield x
        x, place = F.max_pool2d(x, 2, 2), place + 1


def alexnet(t, x):
    """Every layer, after its ReLU."""
    layers = ((0, 64, 11, 4, 2), (3, 192, 5, 1, 2), (6, 384, 3, 1, 1), (8, 256, 3, 1, 1))
    for place, features, kernel, stride, padding in (*layers, (10, 256, 3, 1, 1)):
        if place in (3, 6):
            x = F.max_pool2d(x, 3, 2)
        name = f"features.{place}"
        x = F.relu(t.conv(x, name, features, kernel, stride, padding, bias=True))
        yield x


def lpips(trunk, learned, t, x):
    """Of the first half of the pictures to the second."""
    shift, scale = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
    shift, scale = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (shift, scale))
    distance = 0.0
    for number, tap in enumerate(trunk(t, (2.0 * x - 1.0 - shift) / scale)):
        length = tap.pow(2).sum(1, keepdim=True).sqrt()
        a, b = (tap / (length + 1e-10)).chunk(2)
        square = (a - b).pow(2)
        if learned:
            square = F.conv2d(square, t.weight(f"lin{number}.model.1.weight", 1, a.shape[1], 1, 1))
        distance = distance + square.sum(1).mean((1, 2))
    return (distance,)


CASES = {
    "efficientnet": efficientnet,
    "inception": inception,
    "lpips_vgg16": partial(lpips, vgg16, True),
    "lpips_alexnet": partial(lpips, alexnet, True),
    "lpips_alexnet_plain": partial(lpips, alexnet, False),
}


def run(name):
    """What a network gives for the pictures of its case, and its state dict's shapes."""
    layers = Layers()
    x = torch.from_numpy(pictures(name).transpose(0, 3, 1, 2).copy())
    return [y.numpy() for y in CASES[name](layers, x)], layers.shapes


def record(path=FEATURES):
    """Writes what every case gives, and its state dict's shapes."""
    found, shapes = {}, {}
    for name in CASES:
        outputs, shapes[name] = run(name)
        found |= {f"{name}/{number}": output for number, output in enumerate(outputs)}
    found["shapes"] = np.frombuffer(json.dumps(shapes).encode(), np.uint8)
    np.savez_compressed(path, **found)


if __name__ == "__main__":
    record()
