"""Experiments as frozen dataclasses of names and numbers; standard library only.

A recipe is a function without arguments that returns an `Experiment`; `gan_jax.build` turns its
names into objects. Budgets count thousands of real images (kimg), never epochs.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from gan_jax.config.games import Gan
from gan_jax.config.kinds import Game, Network
from gan_jax.config.networks import Dcgan


@dataclass(frozen=True)
class Player:
    """A network and its optimiser."""

    network: Network = field(default_factory=Dcgan)
    optimizer: Literal["adam", "optimistic_adam", "rmsprop", "sgd"] = "adam"
    """The optimiser."""
    lr: float = 2e-4
    """Learning rate."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Adam's beta1 and beta2."""
    clip_weights: float = 0.0
    """Bound of the absolute value of each parameter (WGAN); 0: none."""
    decay: tuple[float, float] = (0.0, 0.0)
    """(a, b): the rate stays for a kimg, then falls linearly to 0 at b kimg; b = 0: it stays."""


@dataclass(frozen=True)
class Data:
    """A data set, and how its images are made uniform."""

    name: str = "fashion_mnist_10k"
    """An embedded set, toy/NAME, a TFDS name, or folder, pairs, unpaired, captioned, voices."""
    split: str = "train"
    """The split to train on; TFDS slices such as train[:500] work."""
    path: str | None = None
    """Folder or zip with your own images, pairs, captions or recordings."""
    resolution: int = 28
    """Side of the images in pixels."""
    channels: Literal[1, 3] = 1
    """1: grey; 3: RGB."""
    resize: Literal["lanczos", "bicubic", "bilinear", "box", "nearest"] = "lanczos"
    """Filter of the resizing."""
    flip: bool = False
    """Mirror half of the training images."""
    jitter: int = 0
    """Enlarge training images by so many pixels, then crop them at random (pix2pix)."""
    direction: Literal["x2y", "y2x"] = "x2y"
    """Which side of a pair is the input."""
    frames: int = 128
    """Length of a piece of speech, in frames of 5 ms."""
    cepstra: int = 36
    """Mel-cepstral coefficients of a frame, c0 included."""
    encoding: Literal["words", "attributes"] = "words"
    """Embedding of captioned faces: hashed words, or exactly the attributes they name."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    """What to do with an image that cannot be read."""
    data_dir: str | None = None
    """Where prepared data sets lie; by default the cache."""


@dataclass(frozen=True)
class Run:
    """The length of a run, and how it is watched; free to change when the run is resumed."""

    kimg: float = 1000.0
    """Thousands of real images to train on."""
    log_every: int = 10
    """Rounds between rows of metrics.jsonl."""
    sample_kimg: float = 10.0
    """Thousands of images between sample grids; 0: at the end only."""
    checkpoint_kimg: float = 50.0
    """Thousands of images between checkpoints; 0: at the end only."""
    evaluate_kimg: float = 0.0
    """Thousands of images between evaluations; 0: at the end only."""
    metrics: tuple[str, ...] = ()
    """Metrics to evaluate: fid, kid, prdc, ..."""
    metric_samples: int = 10000
    """Samples that the metrics are computed from."""
    features: str = "efficientnet-lite0"
    """Feature extractor of the metrics."""
    best: str = ""
    """Also keep the checkpoint that is best in this quantity: fid, precision, ..."""
    keep: int = 2
    """Latest checkpoints to keep."""
    devices: int = 0
    """Devices to train on; 0: all."""
    backend: Literal["pmap", "shard_map"] = "pmap"
    """How a round is mapped over devices; the results are equal."""
    threads: int = 2
    """Threads that read data."""


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of a run, and in `run` what does not."""

    name: str
    """Names the default directory of the run."""
    generator: Player = field(default_factory=Player)
    discriminator: Player = field(default_factory=Player)
    game: Game = field(default_factory=Gan)
    data: Data = field(default_factory=Data)
    batch_size: int = 64
    """Images in a round, over all devices."""
    seed: int = 0
    """Seed of initialisation, noise and the order of the data."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the networks; parameters and statistics are float32 always."""
    remat: bool = False
    """Compute activations again for the backward pass, which takes time and saves memory."""
    sync_batch_norm: bool = True
    """Batch statistics over all devices; False: over each device's share, which changes results."""
    run: Run = field(default_factory=Run)


EMBEDDED = (  # come with the package
    "fashion_mnist_10k",
    "emoji_noto",
    "emoji_twemoji",
    "emoji_fluent_flat",
    "emoji_fluent_3d",
    "emoji_pairs",
    "emoji_noto_twemoji",
    "faces_ink_colour",
    "avatars",
    "captioned_avatars",
    "voices_it_sample",
)
OWN = ("folder", "pairs", "unpaired", "captioned", "voices")  # read the files at `data.path`
VOICES = ("voices_it", "voices_it_sample", "voices")


def counts_classes(experiment: Experiment) -> bool:
    """Whether the data decides the number of classes: the game has a condition and 0 classes."""
    fields = {f.name: getattr(experiment.game, f.name) for f in dataclasses.fields(experiment.game)}
    return bool(fields.get("condition")) and not fields.get("classes", 1)
