"""Official networks as plain PyTorch modules of any width, written from their published structure.

CycleGAN and pix2pix after junyanz/pytorch-CycleGAN-and-pix2pix, DCGAN after pytorch/examples,
StyleGAN2 after its paper and the public names of its state dict. `python tests/torch_models.py`
records what they give for weights from a numpy seed, which `test_interop.py` checks without torch.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

RECORDED = Path(__file__).with_name("torch_outputs.npz")


def norm_of(kind):
    """A norm's class and whether convolutions before it have a bias."""
    if kind == "instance":
        return lambda c: nn.InstanceNorm2d(c, affine=False), True
    return nn.BatchNorm2d, False


class Block(nn.Module):
    def __init__(self, c, norm, bias):
        super().__init__()
        half = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=bias), norm(c)]  # noqa: E731
        self.conv_block = nn.Sequential(*half(), nn.ReLU(), *half())

    def forward(self, x):
        return x + self.conv_block(x)


def resnet(width, blocks, kind="instance", channels=3):
    norm, bias = norm_of(kind)
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7, bias=bias), norm(width)]
    layers.append(nn.ReLU())
    for c in (width, 2 * width):
        layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), norm(2 * c), nn.ReLU()]
    layers += [Block(4 * width, norm, bias) for _ in range(blocks)]
    for c in (4 * width, 2 * width):
        up = nn.ConvTranspose2d(c, c // 2, 3, 2, 1, output_padding=1, bias=bias)
        layers += [up, norm(c // 2), nn.ReLU()]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
    net = nn.Module()
    net.model = nn.Sequential(*layers)
    net.forward = net.model.forward
    return net


class Skip(nn.Module):
    """A level of the U-Net around the deeper ones."""

    def __init__(self, level, depth, width, kind, channels):
        super().__init__()
        norm, bias = norm_of(kind)
        outer, inner = (width * min(2**n, 8) for n in (max(level - 1, 0), level))
        self.outermost = level == 0
        deeper = [] if level == depth - 1 else [Skip(level + 1, depth, width, kind, channels)]
        into = 2 * inner if deeper else inner
        if self.outermost:
            layers = [nn.Conv2d(channels, inner, 4, 2, 1, bias=bias), *deeper, nn.ReLU()]
            layers += [nn.ConvTranspose2d(into, channels, 4, 2, 1), nn.Tanh()]
        else:
            layers = [nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
            layers += [norm(inner), *deeper] if deeper else []
            layers += [nn.ReLU(), nn.ConvTranspose2d(into, outer, 4, 2, 1, bias=bias), norm(outer)]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def unet(width, depth, kind="batch", channels=3):
    net = nn.Module()
    net.model = Skip(0, depth, width, kind, channels)
    net.forward = net.model.forward
    return net


def patches(width, layers, kind="batch", channels=3):
    norm, bias = norm_of(kind)
    stack = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for level in range(1, layers + 1):
        a, b = (width * min(2**n, 8) for n in (level - 1, level))
        stride = 2 if level < layers else 1
        stack += [nn.Conv2d(a, b, 4, stride, 1, bias=bias), norm(b), nn.LeakyReLU(0.2)]
    net = nn.Module()
    net.model = nn.Sequential(*stack, nn.Conv2d(b, 1, 4, 1, 1))
    net.forward = net.model.forward
    return net


def dcgan(width, stages, z=10, channels=3):
    """Both networks; the discriminator without its sigmoid."""
    widths = [width << n for n in reversed(range(stages))]
    first = nn.ConvTranspose2d(z, widths[0], 4, 1, 0, bias=False)
    layers = [first, nn.BatchNorm2d(widths[0]), nn.ReLU()]
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    layers += [nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh()]
    judge = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for b, a in zip(reversed(widths[:-1]), reversed(widths[1:]), strict=True):
        judge += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
    judge.append(nn.Conv2d(widths[0], 1, 4, 1, 0, bias=False))
    nets = nn.Module(), nn.Module()
    for net, stack in zip(nets, (layers, judge), strict=True):
        net.main = nn.Sequential(*stack)
        net.forward = net.main.forward
    return nets


def numbers(module, seed=0):
    """Fills a module's state from a numpy seed, whatever torch draws; in evaluation mode.

    Variances are positive and gains near 1, so that no layer's output dies or explodes.
    """
    random = np.random.default_rng(seed)
    state = {}
    for key, value in sorted(module.state_dict().items()):
        if not value.is_floating_point() or key.endswith("resample_filter"):
            state[key] = value
            continue
        draw = random.standard_normal(value.shape)
        fan = math.prod(value.shape[1:]) if value.ndim == 4 else 1
        draw = draw / math.sqrt(fan) if value.ndim == 4 else 0.3 * draw
        if key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
            draw = 1.0 + 0.3 * np.abs(draw)
        state[key] = torch.tensor(draw, dtype=torch.float32)
    module.load_state_dict(state)
    return module.eval()


CASES = {
    "resnet": lambda: resnet(4, 2),
    "resnet_batch": lambda: resnet(4, 1, "batch"),
    "unet": lambda: unet(4, 6),
    "unet_instance": lambda: unet(4, 5, "instance"),
    "patches": lambda: patches(4, 3, "instance"),
    "patches_paired": lambda: patches(4, 1, "batch", 6),
    "dcgan_g": lambda: dcgan(4, 3)[0],
    "dcgan_d": lambda: dcgan(4, 3)[1],
}


def inputs(name):
    """[2 ...] in PyTorch's axes, from a numpy seed."""
    random = np.random.default_rng(1)
    if name == "dcgan_g":
        return random.standard_normal((2, 10, 1, 1)).astype(np.float32)
    side = {"unet": 64}.get(name, 32)
    channels = 6 if name == "patches_paired" else 3
    return random.uniform(-1, 1, (2, channels, side, side)).astype(np.float32)
