"""Networks as frozen dataclasses of names and numbers."""

from dataclasses import dataclass
from typing import Literal

from gan_jax.config.kinds import network


def at_most(most: float) -> object:
    """A function of a value that caps it."""
    return lambda value: min(value, most)


@network(tiny={"widths": lambda widths: (8,) * len(widths)})
@dataclass(frozen=True)
class Mlp:
    """A multilayer perceptron, for either player."""

    widths: tuple[int, ...] = (128, 128)
    """Units of each hidden layer."""


@network(tiny={"width": 4, "hidden": at_most(8)})
@dataclass(frozen=True)
class Dcgan:
    """DCGAN's networks (Radford et al. 2016). The defaults follow the paper's guidelines."""

    width: int = 64
    """Channels of the convolution beside the image; twice as many at each halving."""
    kernel: Literal[4, 5] = 4
    """Side of the kernels: 4 as in the PyTorch example, 5 as in the paper."""
    norm: Literal["batch", "batch_everywhere", "spectral", "none"] = "batch"
    """batch_everywhere: also after G's output and D's input; spectral: for D alone."""
    activation: Literal["", "relu", "leaky_relu", "tanh"] = ""
    """Empty: ReLU in the generator and leaky ReLU in the discriminator."""
    resample: Literal["strided", "pooled"] = "strided"
    """pooled: stride 1, then average pooling or repeated pixels."""
    hidden: int = 0
    """Units of one more dense layer, after the latent or before the logit; 0: none."""


@network(tiny={"width": 4})
@dataclass(frozen=True)
class Unet:
    """The generator of pix2pix (Isola et al. 2017)."""

    width: int = 64
    """Channels of the first convolution."""
    skip: bool = True
    """False: an encoder-decoder without skip connections."""
    dropout: float = 0.5
    """Rate of dropout in the decoder, at test time too."""
    norm: Literal["batch", "instance"] = "batch"
    """Normalisation of the hidden layers."""
    port: Literal["", "torch"] = ""
    """torch: dropout and biases as in the authors' later PyTorch code."""


@network(tiny={"width": 4})
@dataclass(frozen=True)
class PatchGan:
    """The discriminator of pix2pix: each logit judges one patch of the image."""

    width: int = 64
    """Channels of the first convolution."""
    receptive_field: Literal[1, 16, 70, 286] = 70
    """Side of a patch in pixels."""
    norm: Literal["batch", "instance", "none", "spectral"] = "batch"
    """Normalisation of the hidden layers."""
    port: Literal["", "torch"] = ""
    """torch: biases before instance norm, as in the authors' PyTorch code; to no effect."""
    init: Literal["normal", "xavier"] = "normal"
    """Initial weights: N(0, 0.02), or Xavier's times 0.02 as in CUT's code."""
    antialias: bool = False
    """Filters around the resampling, as in CUT's code; convolutions then have stride 1."""


@network(tiny={"width": 4, "blocks": 1})
@dataclass(frozen=True)
class Resnet:
    """The generator of CycleGAN (Zhu et al. 2017)."""

    width: int = 64
    """Channels of the first convolution."""
    blocks: int = 9
    """Residual blocks: 9 for 256 px and above, 6 below."""
    norm: Literal["instance", "batch", "none"] = "instance"
    """Normalisation of the hidden layers."""
    port: Literal["", "torch"] = ""
    """torch: biases before instance norm, as in the authors' PyTorch code; to no effect."""
    init: Literal["normal", "xavier"] = "normal"
    """Initial weights: N(0, 0.02), or Xavier's times 0.02 as in CUT's code."""
    antialias: bool = False
    """Filters around the resampling, as in CUT's code; convolutions then have stride 1."""


@network(tiny={"width": 4, "blocks": 1})
@dataclass(frozen=True)
class Voice:
    """The networks of CycleGAN-VC (Kaneko & Kameoka 2017)."""

    width: int = 128
    """Channels of the first convolution."""
    blocks: int = 6
    """Residual blocks of the generator."""


@network(tiny={"width": 4, "blocks": 1})
@dataclass(frozen=True)
class Voice2:
    """The networks of CycleGAN-VC2 (Kaneko et al. 2019): 2-1-2D generator, patch discriminator."""

    width: int = 128
    """Channels of the first convolution."""
    blocks: int = 6
    """Residual blocks of the generator."""


@network(tiny={"width": 4, "cardinality": 2, "blocks": 1}, resolution=4)
@dataclass(frozen=True)
class R3gan:
    """R3GAN's networks (Huang et al. 2024, arXiv:2501.05441): residual, grouped, without norm."""

    width: int = 768
    """Channels of the stages up to `widest` px; half as many at each doubling beyond."""
    cardinality: int = 96
    """Groups of the grouped convolutions, halved like the channels."""
    blocks: int = 2
    """Residual blocks of a stage."""
    expansion: int = 2
    """Width of a block's middle, in multiples of its channels."""
    widest: int = 32
    """The largest resolution with `width` channels, in pixels."""


@network(tiny={"width": 2}, resolution=16)
@dataclass(frozen=True)
class Fastgan:
    """A light generator after FastGAN (Liu et al. 2021, arXiv:2101.04775)."""

    width: int = 64
    """Channels at 128 px; twice as many at 64 and 32 px, 16 times as many at 4 px."""
    blocks: Literal[1, 2] = 1
    """2: a second convolution at every other resolution, with noise."""


@network(tiny={"width": 2}, resolution=16)
@dataclass(frozen=True)
class Dfgan:
    """DF-GAN's networks (Tao et al. 2022, arXiv:2008.05865): text in every block, one output."""

    width: int = 32
    """Channels of the largest maps; twice as many at each halving, at most eight times."""


@network(tiny={"width": 2})
@dataclass(frozen=True)
class Projected:
    """Projected GAN's discriminators, on EfficientNet-Lite0's features (Sauer et al. 2021)."""

    width: int = 64
    """Channels of the largest feature map and of the first convolution after it."""
    resolution: int = 256
    """Side to which smaller images are enlarged before the frozen network, in pixels."""


@network(tiny={"width": 1 / 128, "w": 8, "mapping": 1}, resolution=8)
@dataclass(frozen=True)
class Style:
    """StyleGAN's networks (Karras et al. 2019).

    False in `blur`, `styles`, `const_input` or `noise` undoes row B, C, D or E of Table 1.
    """

    width: float = 1.0
    """Feature maps as a share of the paper's: 1 is 512 up to 32 px."""
    w: int = 512
    """Size of the intermediate latent."""
    mapping: int = 8
    """Layers of the mapping network; 0 passes the latent on."""
    styles: bool = True
    """Styles modulate each layer (row C)."""
    const_input: bool = True
    """A learned constant is the synthesis network's input (row D)."""
    noise: bool = True
    """Noise inputs (row E)."""
    blur: bool = True
    """Low-pass filters around the resampling (row B)."""
    group: int = 4
    """Group size of the minibatch standard deviation; 0: none."""


@network(tiny={"width": 1 / 128, "w": 8, "mapping": 1}, resolution=8)
@dataclass(frozen=True)
class Style2:
    """StyleGAN2's networks (Karras et al. 2020); configuration F at `width` 1."""

    width: float = 1.0
    """Feature maps as a share of the paper's."""
    w: int = 512
    """Size of the intermediate latent."""
    mapping: int = 8
    """Layers of the mapping network."""
    residual: bool = True
    """A residual discriminator; False: without skip connections."""
    group: int = 4
    """Group size of the minibatch standard deviation; 0: none."""
    base: int = 16384
    """Feature maps times resolution: 16384 is 512 maps up to 32 px, half at each doubling."""
    most: int = 512
    """The most feature maps of a layer."""
    port: Literal["", "torch"] = ""
    """torch: the mapping network of the authors' PyTorch code, also for D's labels."""
