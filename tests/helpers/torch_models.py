"""Official networks as plain PyTorch modules of any width, written from their published structure.

CycleGAN and pix2pix after junyanz/pytorch-CycleGAN-and-pix2pix, DCGAN after pytorch/examples,
StyleGAN2 after its paper and the public names of its state dict. In `tests/`,
`python -m helpers.torch_models` records what they give for weights from a numpy seed, which
`interop/test_weights.py` checks without torch.
"""

import itertools
import json
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from helpers.torch_numbers import RECORDED, inputs, weights


def norm_of(kind):
    """A norm's class and whether convolutions before it have a bias."""
    if kind == "instance":
        return lambda c: nn.InstanceNorm2d(c, affine=False), True
    return nn.BatchNorm2d, False


class Block(nn.Module):
    """A residual block between reflected borders."""

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


def pixels(width, kind="batch", channels=3):
    norm, bias = norm_of(kind)
    net = nn.Module()
    net.net = nn.Sequential(
        nn.Conv2d(channels, width, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 1, bias=bias),
        norm(2 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 1, bias=bias),
    )
    net.forward = net.net.forward
    return net


def dcgan(width, stages, z=10, channels=3):
    """Both networks; the discriminator without its sigmoid."""
    widths = [width << n for n in reversed(range(stages))]
    first = nn.ConvTranspose2d(z, widths[0], 4, 1, 0, bias=False)
    layers = [first, nn.BatchNorm2d(widths[0]), nn.ReLU()]
    for a, b in itertools.pairwise(widths):
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


def numbers(module):
    """Fills a module's state from a numpy seed, whatever torch draws; in evaluation mode."""
    shapes = {key: value.shape for key, value in module.state_dict().items()}
    drawn = {key: torch.tensor(value) for key, value in weights(shapes).items()}
    module.load_state_dict(module.state_dict() | drawn)
    return module.eval()


CASES = {
    "resnet": lambda: resnet(4, 2),
    "resnet_batch": lambda: resnet(4, 1, "batch"),
    "unet": lambda: unet(4, 6),
    "unet_instance": lambda: unet(4, 5, "instance"),
    "patches": lambda: patches(4, 3, "instance"),
    "patches_paired": lambda: patches(4, 1, "batch", 6),
    "pixels": lambda: pixels(4, "instance"),
    "pixels_paired": lambda: pixels(4, "batch", 6),
    "dcgan_g": lambda: dcgan(4, 3)[0],
    "dcgan_d": lambda: dcgan(4, 3)[1],
}


# StyleGAN2, by the names of its PyTorch release's state dict.

FILTER = torch.outer(*[torch.tensor([1.0, 3.0, 3.0, 1.0])] * 2) / 64.0


def fir(x, pads, gain=1.0):
    """The filter on every channel; `pads` left, right, top, bottom."""
    c = x.shape[1]
    return gain * F.conv2d(F.pad(x, pads), FILTER.expand(c, 1, 4, 4), groups=c)


def activate(x):
    return math.sqrt(2.0) * F.leaky_relu(x, 0.2)


def unit(x):
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class Dense(nn.Module):
    """A dense layer with equalised learning rate."""

    def __init__(self, a, b, rate=1.0, bias=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a) / rate)
        self.bias = nn.Parameter(torch.full((b,), bias))
        self.rate = rate

    def forward(self, x):
        scale = self.rate / math.sqrt(self.weight.shape[1])
        return x @ (scale * self.weight).T + self.rate * self.bias


class Mapping(nn.Module):
    """Latent to style."""

    def __init__(self, z, classes, w, depth, average=True):
        super().__init__()
        self.depth, self.classes = depth, classes
        if classes:
            self.embed = Dense(classes, w)
        for n in range(depth):
            size = (z + (w if classes else 0)) if n == 0 else w
            self.add_module(f"fc{n}", Dense(size, w, rate=0.01))
        if average:
            self.register_buffer("w_avg", torch.zeros(w))

    def forward(self, z, label):
        parts = [] if z is None else [unit(z)]
        if self.classes:
            parts.append(unit(self.embed(label)))
        x = torch.cat(parts, dim=1)
        for n in range(self.depth):
            x = activate(getattr(self, f"fc{n}")(x))
        return x


class Modulated(nn.Module):
    """A kernel for every picture, as equations 1 and 3 say; `size` None is the layer to RGB."""

    def __init__(self, a, b, w, side, up=False, rgb=False):
        super().__init__()
        self.up, self.rgb = up, rgb
        size = 1 if rgb else 3
        self.affine = Dense(w, a, bias=1.0)
        self.weight = nn.Parameter(torch.randn(b, a, size, size))
        self.bias = nn.Parameter(torch.zeros(b))
        if not rgb:
            self.register_buffer("resample_filter", FILTER.clone())
            self.register_buffer("noise_const", torch.randn(side, side))
            self.noise_strength = nn.Parameter(torch.zeros([]))

    def forward(self, x, w):
        style = self.affine(w)
        n, a, side = x.shape[0], x.shape[1], x.shape[2]
        if self.rgb:
            style = style / math.sqrt(a)
        kernel = self.weight[None] * style[:, None, :, None, None]
        if not self.rgb:
            kernel = kernel / (kernel.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
        size, b = kernel.shape[-1], kernel.shape[1]
        x = x.reshape(1, n * a, side, side)
        if self.up:
            kernel = kernel.transpose(1, 2).reshape(n * a, b, size, size)
            x = F.conv_transpose2d(x, kernel, stride=2, groups=n)
            x = fir(x.reshape(n, b, *x.shape[2:]), (1, 1, 1, 1), 4.0)
        else:
            x = F.conv2d(x, kernel.reshape(n * b, a, size, size), padding=size // 2, groups=n)
            x = x.reshape(n, b, side, side)
        if self.rgb:
            return x + self.bias[:, None, None]
        x = x + self.noise_strength * self.noise_const
        return activate(x + self.bias[:, None, None])


class SynthesisBlock(nn.Module):
    """One resolution: layers and picture."""

    def __init__(self, a, b, w, side, channels):
        super().__init__()
        self.register_buffer("resample_filter", FILTER.clone())
        if side == 4:
            self.const = nn.Parameter(torch.randn(b, 4, 4))
        else:
            self.conv0 = Modulated(a, b, w, side, up=True)
        self.conv1 = Modulated(b, b, w, side)
        self.torgb = Modulated(b, channels, w, side, rgb=True)


class StyleGenerator(nn.Module):
    """Mapping and synthesis, with constant noise."""

    def __init__(self, resolution=16, maps=(8, 8, 4), z=6, w=8, depth=2, classes=0, channels=3):
        super().__init__()
        self.mapping = Mapping(z, classes, w, depth)
        self.synthesis = nn.Module()
        self.sides = [4 << n for n in range(len(maps))]
        for n, side in enumerate(self.sides):
            block = SynthesisBlock(maps[max(n - 1, 0)], maps[n], w, side, channels)
            self.synthesis.add_module(f"b{side}", block)

    def forward(self, z, label=None):
        w = self.mapping(z, label)
        picture = None
        for side in self.sides:
            block = getattr(self.synthesis, f"b{side}")
            x = block.const.expand(len(z), -1, -1, -1) if side == 4 else block.conv0(x, w)
            x = block.conv1(x, w)
            if picture is not None:
                n, c, h, _ = picture.shape
                spread = picture.new_zeros(n, c, 2 * h, 2 * h)
                spread[:, :, ::2, ::2] = picture
                picture = fir(spread, (2, 1, 2, 1), 4.0)
            new = block.torgb(x, w)
            picture = new if picture is None else picture + new
        return picture


class Equal(nn.Module):
    """A convolution of the discriminator; `down` halves the side."""

    def __init__(self, a, b, size, down=False, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(b, a, size, size))
        self.bias = nn.Parameter(torch.zeros(b)) if bias else None
        self.down, self.size = down, size
        self.register_buffer("resample_filter", FILTER.clone())

    def forward(self, x):
        kernel = self.weight / math.sqrt(math.prod(self.weight.shape[1:]))
        if self.down:
            pad = (self.size + 1) // 2
            x = F.conv2d(fir(x, (pad,) * 4), kernel, stride=2)
        else:
            x = F.conv2d(x, kernel, padding=self.size // 2)
        return x if self.bias is None else activate(x + self.bias[:, None, None])


class StyleDiscriminator(nn.Module):
    """Residual blocks or plain ones to one logit, or to one of the label that is given."""

    def __init__(self, maps=(8, 8, 4), channels=3, residual=True, group=4, classes=0, depth=3):
        super().__init__()
        self.mapping = Mapping(0, classes, maps[0], depth, average=False) if classes else None
        self.maps, self.group, self.residual = maps, group, residual
        for n in range(len(maps) - 1, 0, -1):
            block = nn.Module()
            block.register_buffer("resample_filter", FILTER.clone())
            if n == len(maps) - 1:
                block.fromrgb = Equal(channels, maps[n], 1)
            block.conv0 = Equal(maps[n], maps[n], 3)
            block.conv1 = Equal(maps[n], maps[n - 1], 3, down=True)
            if residual:
                block.skip = Equal(maps[n], maps[n - 1], 1, down=True, bias=False)
            self.add_module(f"b{4 << n}", block)
        self.b4 = nn.Module()
        self.b4.conv = Equal(maps[0] + 1, maps[0], 3)
        self.b4.fc = Dense(16 * maps[0], maps[0])
        self.b4.out = Dense(maps[0], maps[0] if classes else 1)

    def forward(self, x, label=None):
        for n in range(len(self.maps) - 1, 0, -1):
            block = getattr(self, f"b{4 << n}")
            x = block.fromrgb(x) if n == len(self.maps) - 1 else x
            y = block.conv1(block.conv0(x))
            x = math.sqrt(0.5) * (y + block.skip(x)) if self.residual else y
        n, c, h, _ = x.shape
        size = min(self.group, n)
        y = x.reshape(size, n // size, c, h, h)
        deviation = ((y - y.mean(0)).square().mean(0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        extra = deviation.repeat(size).reshape(n, 1, 1, 1).expand(n, 1, h, h)
        x = self.b4.conv(torch.cat([x, extra], dim=1))
        x = self.b4.out(activate(self.b4.fc(x.flatten(1))))
        if self.mapping is None:
            return x
        mapped = self.mapping(None, label)
        return (x * mapped).sum(dim=1, keepdim=True) / math.sqrt(mapped.shape[1])


CASES |= {
    "style_g": lambda: StyleGenerator(),
    "style_g_labelled": lambda: StyleGenerator(maps=(8, 8), classes=5),
    "style_d": lambda: StyleDiscriminator(),
    "style_d_plain": lambda: StyleDiscriminator(maps=(8, 8), residual=False),
    "style_d_labelled": lambda: StyleDiscriminator(maps=(8, 4), classes=5),
}


def run(module, name):
    """What a module gives for the inputs of a case, as numpy."""
    with torch.no_grad():
        return module(*map(torch.tensor, inputs(name))).numpy()


def record(path=RECORDED):
    """Writes what every case gives, of pictures the first, and its state dict's shapes."""
    found, shapes = {}, {}
    for name, make in CASES.items():
        module = numbers(make())
        out = run(module, name)
        found[name] = out[:1] if out.ndim == 4 and out[0].size > 1 else out
        shapes[name] = {key: list(value.shape) for key, value in module.state_dict().items()}
    found["shapes"] = np.frombuffer(json.dumps(shapes).encode(), np.uint8)
    np.savez_compressed(path, **found)


if __name__ == "__main__":
    record()
