"""Experiments as frozen dataclasses of names and numbers; standard library only.

A recipe is a function without arguments that returns an `Experiment`; `gan_jax.build` turns its
names into objects. Budgets count thousands of real images (kimg), never epochs.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Mlp:
    """The textbook's perceptron: hidden widths of either player."""

    widths: tuple[int, ...] = (128, 128)


@dataclass(frozen=True)
class Dcgan:
    """Radford et al. 2016: channels beside the picture, and kernels of 4 (torch) or 5 (paper).

    What follows departs from the paper's guidelines. `norm`: "batch_everywhere" also norms the
    generator's output and the discriminator's input; "spectral" is the discriminator's alone.
    `activation` "" is the paper's: ReLU in the generator, leaky ReLU in the discriminator.
    `resample`: "pooled" keeps stride 1 and pools or repeats pixels. `hidden`: units of one dense
    layer more, at the latent's or the logit's end; 0 for none.
    """

    width: int = 64
    kernel: Literal[4, 5] = 4
    norm: Literal["batch", "batch_everywhere", "spectral", "none"] = "batch"
    activation: Literal["", "relu", "leaky_relu", "tanh"] = ""
    resample: Literal["strided", "pooled"] = "strided"
    hidden: int = 0


@dataclass(frozen=True)
class Unet:
    """The pix2pix generator (Isola et al. 2017); without `skip`, its encoder-decoder.

    `port` "torch": the authors' later PyTorch code, which places dropout and biases otherwise.
    """

    width: int = 64
    skip: bool = True
    dropout: float = 0.5
    norm: Literal["batch", "instance"] = "batch"
    port: Literal["", "torch"] = ""


@dataclass(frozen=True)
class PatchGan:
    """The pix2pix discriminator: `receptive_field` pixels decide each of its logits.

    `port` "torch": instance norm follows biases, as in the authors' PyTorch code; to no effect.
    """

    width: int = 64
    receptive_field: Literal[1, 16, 70, 286] = 70
    norm: Literal["batch", "instance", "none", "spectral"] = "batch"
    port: Literal["", "torch"] = ""


@dataclass(frozen=True)
class Resnet:
    """CycleGAN's generator (Zhu et al. 2017): 9 `blocks` for 256 px and above, 6 below.

    `port` as for `PatchGan`.
    """

    width: int = 64
    blocks: int = 9
    norm: Literal["instance", "batch", "none"] = "instance"
    port: Literal["", "torch"] = ""


@dataclass(frozen=True)
class Voice:
    """The networks of CycleGAN-VC (Kaneko & Kameoka 2017); `blocks` are the generator's."""

    width: int = 128
    blocks: int = 6


@dataclass(frozen=True)
class Voice2:
    """The networks of CycleGAN-VC2 (Kaneko et al. 2019): 2-1-2D generator, judge of patches."""

    width: int = 128
    blocks: int = 6


@dataclass(frozen=True)
class R3gan:
    """R3GAN (Huang et al. 2024, arXiv:2501.05441): residual, in groups, without norm.

    `width` channels in `cardinality` groups up to `widest` px, half as many at every doubling
    beyond; `blocks` a stage, their middle `expansion` times as wide.
    """

    width: int = 768
    cardinality: int = 96
    blocks: int = 2
    expansion: int = 2
    widest: int = 32


@dataclass(frozen=True)
class Style:
    """StyleGAN's networks (Karras et al. 2019): `width` 1 is the paper's, 512 maps up to 32 px.

    `mapping` layers of `w` numbers; 0 hands on the latent. `styles`, `const_input`, `noise` and
    `blur` False undo rows C, D, E and B of the paper's Table 1. `group` of the minibatch deviation,
    0 for none.
    """

    width: float = 1.0
    w: int = 512
    mapping: int = 8
    styles: bool = True
    const_input: bool = True
    noise: bool = True
    blur: bool = True
    group: int = 4


@dataclass(frozen=True)
class Style2:
    """StyleGAN2's networks (Karras et al. 2020, configuration F at `width` 1).

    `most` maps, up to 32 px for a `base` of 16384, then half at every doubling. `port` "torch": the
    mapping network of the authors' code, whose gain also multiplies the biases and which embeds
    labels by a layer of their own; a discriminator judges labels by one such network.
    """

    width: float = 1.0
    w: int = 512
    mapping: int = 8
    residual: bool = True
    group: int = 4
    base: int = 16384
    most: int = 512
    port: Literal["", "torch"] = ""


Network = Mlp | Dcgan | Unet | PatchGan | Resnet | Voice | Voice2 | R3gan | Style | Style2


@dataclass(frozen=True)
class Player:
    """A network and the optimiser that moves it; `clip_weights` > 0 bounds every parameter.

    `decay` (a, b): the rate is `lr` for a kimg, then falls linearly to 0 at b kimg; b 0: it stays.
    """

    network: Network = field(default_factory=Dcgan)
    optimizer: Literal["adam", "optimistic_adam", "rmsprop", "sgd"] = "adam"
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    clip_weights: float = 0.0
    decay: tuple[float, float] = (0.0, 0.0)


Objective = Literal[
    "minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic"
]


@dataclass(frozen=True)
class Anneal:
    """What moves by half a cosine over `kimg` thousand images, then stays; 0: nothing does.

    The learning rates and r1, r2 end at `lr` and `gamma` times their values, Adam's beta2 at
    `beta2` (0: it stays); the averaged generator's half-life and `augment_p` start from 0 (R3GAN).
    """

    kimg: float = 0.0
    lr: float = 1.0
    gamma: float = 1.0
    beta2: float = 0.0


@dataclass(frozen=True)
class Gan:
    """The arguments of `games.gan`.

    `ema_kimg`: half-life of the averaged generator, 0 for none; at most `ema_rampup` of the images
    shown so far (0: from the start as it is).

    `condition` says how the discriminator sees one of `classes` labels, and "" that there is none;
    the generator sees it beside z, or in its norms (`conditional_norm`). With a condition, 0
    `classes` are as many as the data has.

    `augment`: what the discriminator judges goes through "diffaugment", always, or with a
    probability through ADA's transforms, "ada", where it is found so that `ada_target` of the reals
    (net) are recognised, at most from 0 to 1 in `ada_kimg`; or, "r3gan", through those and cutout,
    colours half as likely, with probability `augment_p`.
    """

    objective: Objective = "non_saturating"
    condition: Literal["", "concat", "projection", "auxiliary"] = ""
    conditional_norm: bool = False
    classes: int = 0
    prior: Literal["normal", "uniform"] = "normal"
    z: int = 100
    r1: float = 0.0
    r2: float = 0.0
    gradient_penalty: float = 0.0
    penalty_every: int = 1
    n_critic: int = 1
    simultaneous: bool = False
    ema_kimg: float = 0.0
    ema_rampup: float = 0.05
    augment: Literal["", "diffaugment", "ada", "r3gan"] = ""
    augment_p: float = 1.0
    ada_target: float = 0.6
    ada_kimg: float = 500.0
    anneal: Anneal = field(default_factory=Anneal)


@dataclass(frozen=True)
class Pix2Pix:
    """The arguments of `games.pix2pix`; `ema_kimg` and `ema_rampup` as for `Gan`.

    `statistics` of batch norm at test: "running", those of training, or each "picture"'s own, the
    paper's (section 3.3) and those of the authors' code.
    """

    objective: Objective = "non_saturating"
    adversarial: float = 1.0
    l1: float = 100.0
    conditional: bool = True
    ema_kimg: float = 0.0
    ema_rampup: float = 0.05
    statistics: Literal["running", "picture"] = "running"


@dataclass(frozen=True)
class Cyclegan:
    """The arguments of `games.cyclegan`; the identity term ends after `identity_kimg`, 0: never.

    Each of the experiment's networks is there twice, once for each direction or domain; with
    `two_step` its discriminator also judges what has gone round a cycle (CycleGAN-VC2).
    """

    objective: Objective = "least_squares"
    adversarial: float = 1.0
    cycle: tuple[float, float] = (10.0, 10.0)
    identity: float = 5.0
    identity_kimg: float = 0.0
    pool: int = 50
    two_step: bool = False
    ema_kimg: float = 0.0
    ema_rampup: float = 0.05


@dataclass(frozen=True)
class TextToImage:
    """The arguments of `games.text_to_image`; `caption` numbers reach the generator beside z.

    `kl` weighs the augmentation's divergence a number of the caption. `augment`: what the
    discriminator judges, as in `Gan`.
    """

    objective: Objective = "non_saturating"
    prior: Literal["normal", "uniform"] = "normal"
    z: int = 100
    caption: int = 64
    text: int = 384
    kl: float = 2.0
    matching: bool = True
    ema_kimg: float = 0.0
    ema_rampup: float = 0.05
    augment: Literal["", "diffaugment"] = ""


@dataclass(frozen=True)
class Vae:
    """The arguments of `games.vae`; `scale` is the Gaussian's standard deviation on [-1, 1].

    The experiment's generator is the decoder and its discriminator the encoder; the generator's
    optimiser moves both.
    """

    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    scale: float = 0.2
    beta: float = 1.0
    z: int = 64
    ema_kimg: float = 0.0
    ema_rampup: float = 0.05


@dataclass(frozen=True)
class Grow:
    """Progressive growing from `start` px, doubled until the data's resolution; 0: there is none.

    Every resolution but the first fades in over `fade_kimg`, then stays for `stable_kimg`; the last
    until the end. `batch_sizes` and `rates`, by which learning rates are multiplied, are those of
    the resolutions in turn; their last holds for the rest.
    """

    start: int = 0
    stable_kimg: float = 600.0
    fade_kimg: float = 600.0
    batch_sizes: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()


@dataclass(frozen=True)
class Stylegan:
    """The arguments of `games.stylegan`; `augment` and what follows it as for `Gan`.

    With `classes` both networks are told a label. `mixing` is a probability; `path_length` weighs
    StyleGAN2's penalty.
    """

    objective: Objective = "non_saturating"
    classes: int = 0
    z: int = 512
    mixing: float = 0.9
    r1: float = 10.0
    penalty_every: int = 1
    path_length: float = 0.0
    path_every: int = 4
    ema_kimg: float = 10.0
    ema_rampup: float = 0.05
    grow: Grow = field(default_factory=Grow)
    augment: Literal["", "diffaugment", "ada"] = ""
    augment_p: float = 1.0
    ada_target: float = 0.6
    ada_kimg: float = 500.0


Game = Gan | Pix2Pix | Cyclegan | TextToImage | Vae | Stylegan


@dataclass(frozen=True)
class Data:
    """A data set and how its pictures are made uniform. `path` is for folders and zips.

    `jitter` enlarges a training picture by so many pixels and cuts a window out; `direction` says
    which side of a pair is the input. Voices are pieces of `frames` of 5 ms, each of `cepstra`
    mel-cepstral coefficients with c0.
    """

    name: str = "fashion_mnist_10k"
    split: str = "train"
    path: str | None = None
    resolution: int = 28
    channels: Literal[1, 3] = 1
    resize: Literal["lanczos", "bicubic", "bilinear", "box", "nearest"] = "lanczos"
    flip: bool = False
    jitter: int = 0
    direction: Literal["x2y", "y2x"] = "x2y"
    frames: int = 128
    cepstra: int = 36
    on_bad_image: Literal["fail", "skip"] = "fail"
    data_dir: str | None = None


@dataclass(frozen=True)
class Run:
    """How far a run goes and how it is watched: free to change when it is resumed.

    `log_every` counts rounds; the other intervals count kimg, and 0 means only at the end.
    `metrics` are taken of `metric_samples` samples with the network `features`; `best` names the
    quantity of the best checkpoint (fid, kid, precision, ...); `devices` 0 means all.
    """

    kimg: float = 1000.0
    log_every: int = 10
    sample_kimg: float = 10.0
    checkpoint_kimg: float = 50.0
    evaluate_kimg: float = 0.0
    metrics: tuple[str, ...] = ()
    metric_samples: int = 10000
    features: str = "efficientnet-lite0"
    best: str = ""
    keep: int = 2
    devices: int = 0
    backend: Literal["pmap", "shard_map"] = "pmap"
    threads: int = 2


@dataclass(frozen=True)
class Experiment:
    """All that decides the numbers of a run, and in `run` all that does not.

    `precision` is the networks' arithmetic; parameters and statistics are float32 always.
    `sync_batch_norm` takes batch statistics over all devices; without it every device takes those
    of its share, and how many there are decides the numbers too.
    """

    name: str
    generator: Player = field(default_factory=Player)
    discriminator: Player = field(default_factory=Player)
    game: Game = field(default_factory=Gan)
    data: Data = field(default_factory=Data)
    batch_size: int = 64
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    sync_batch_norm: bool = True
    run: Run = field(default_factory=Run)


EMBEDDED = (  # come with the package
    *("fashion_mnist_10k", "emoji_noto", "emoji_twemoji", "emoji_fluent_flat", "emoji_fluent_3d"),
    *("emoji_pairs", "emoji_noto_twemoji", "avatars", "voices_it_sample"),
)

OWN = ("folder", "pairs", "unpaired", "captioned", "voices")  # read what is at `data.path`

VOICES = ("voices_it", "voices_it_sample", "voices")


def counts_classes(experiment: Experiment) -> bool:
    """Whether the data says how many classes there are: a condition is told, and 0 classes."""
    played = experiment.game
    return isinstance(played, Gan) and bool(played.condition) and not played.classes
