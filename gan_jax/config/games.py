"""Games as frozen dataclasses of names and numbers."""

from dataclasses import dataclass, field
from typing import Literal

from gan_jax.config.kinds import game
from gan_jax.config.networks import at_most

Objective = Literal[
    "minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic"
]


@dataclass(frozen=True)
class Anneal:
    """Values that follow half a cosine over `kimg`, then stay (Huang et al. 2024, R3GAN).

    The half-life of the averaged generator and `augment_p` start from 0.
    """

    kimg: float = 0.0
    """Length of the cosine in thousands of images; 0: nothing is annealed."""
    lr: float = 1.0
    """Final learning rates, in multiples of the first ones."""
    gamma: float = 1.0
    """Final r1 and r2, in multiples of the first ones."""
    beta2: float = 0.0
    """Final beta2 of Adam; 0: it stays."""


@dataclass(frozen=True)
class VisionAided:
    """A second discriminator, on the features of a frozen network (Kumari et al. 2022)."""

    weight: float = 0.0
    """Weight of its term in the generator's loss, 1 in the paper; 0: there is none."""
    start_kimg: float = 500.0
    """Thousands of images after which it joins the game."""
    resolution: int = 224
    """Side of the images that the frozen network sees, in pixels: a multiple of 32."""
    width: int = 256
    """Channels of its own layers."""


def _tiny_vision(vision: VisionAided) -> VisionAided:
    return VisionAided(vision.weight, 0.008, 32, 2) if vision.weight else vision


@game(
    tiny={
        "n_critic": at_most(2),
        "penalty_every": at_most(2),
        "vision_aided": _tiny_vision,
    }
)
@dataclass(frozen=True)
class Gan:
    """The arguments of `games.gan`: noise to data, with or without a class label."""

    objective: Objective = "non_saturating"
    """The loss of both players."""
    condition: Literal["", "concat", "projection", "auxiliary", "projection+auxiliary"] = ""
    """How the discriminator gets the class label; empty: unconditional."""
    conditional_norm: bool = False
    """The generator gets the label in its batch norms instead of beside z."""
    classes: int = 0
    """Number of classes; 0 with a condition: as many as the data has."""
    prior: Literal["normal", "uniform"] = "normal"
    """Distribution of z."""
    z: int = 100
    """Size of the latent."""
    r1: float = 0.0
    """Weight gamma of the R1 penalty (Mescheder et al. 2018): gamma / 2 |grad D(real)|^2."""
    r2: float = 0.0
    """Weight gamma of the R2 penalty: gamma / 2 |grad D(fake)|^2."""
    gradient_penalty: float = 0.0
    """Weight lambda of WGAN-GP's penalty (Gulrajani et al. 2017)."""
    penalty_every: int = 1
    """Rounds between penalties; each then counts as many times."""
    penalty_step: float = 0.0
    """Step of finite differences that estimate r1 and r2; 0: exact gradients. 0.01 is usual."""
    slicing: bool = False
    """Direction and length of D's last layer are trained apart (SAN, Takida et al. 2024)."""
    n_critic: int = 1
    """Moves of the discriminator for each of the generator."""
    simultaneous: bool = False
    """Both players move from the same state instead of alternating."""
    ema_kimg: float = 0.0
    """Half-life of the averaged generator in thousands of images; 0: none."""
    ema_kimg_more: tuple[float, ...] = ()
    """Half-lives of further averages of the generator; `--ema` of the scripts chooses one."""
    ema_rampup: float = 0.05
    """The half-life is at most this share of the images shown so far; 0: no ramp-up."""
    augment: Literal["", "diffaugment", "translation_cutout", "ada", "r3gan"] = ""
    """Augmentation of the discriminator's images."""
    augment_p: float = 1.0
    """Probability of each transform of "r3gan"."""
    augment_paired: bool = False
    """The real and the fake of a relativistic pair see the same transform."""
    ada_target: float = 0.6
    """The share of real images, net, that D should tell for real under "ada"."""
    ada_kimg: float = 500.0
    """Thousands of images in which ADA's probability can go from 0 to 1."""
    vision_aided: VisionAided = field(default_factory=VisionAided)
    anneal: Anneal = field(default_factory=Anneal)


@game(stand_in="emoji_pairs")
@dataclass(frozen=True)
class Pix2Pix:
    """The arguments of `games.pix2pix`: images to images, from pairs."""

    objective: Objective = "non_saturating"
    """The adversarial loss of both players."""
    adversarial: float = 1.0
    """Weight of the generator's adversarial loss."""
    l1: float = 100.0
    """Weight of the L1 distance to the target."""
    conditional: bool = True
    """The discriminator sees the input beside the output."""
    ema_kimg: float = 0.0
    """Half-life of the averaged generator in thousands of images; 0: none."""
    ema_kimg_more: tuple[float, ...] = ()
    """Half-lives of further averages of the generator; `--ema` of the scripts chooses one."""
    ema_rampup: float = 0.05
    """The half-life is at most this share of the images shown so far; 0: no ramp-up."""
    statistics: Literal["running", "picture"] = "running"
    """Batch norm at test time: those of training, or each picture's own (section 3.3)."""


@game(tiny={"mask": at_most(4)}, stand_in="emoji_noto_twemoji")
@dataclass(frozen=True)
class Cyclegan:
    """The arguments of `games.cyclegan`: unpaired translation in both directions.

    Each of the experiment's networks exists twice, once for each direction or domain.
    """

    objective: Objective = "least_squares"
    """The adversarial loss of all players."""
    adversarial: float = 1.0
    """Weight of the generators' adversarial losses."""
    cycle: tuple[float, float] = (10.0, 10.0)
    """Weights of the forward (x to y to x) and the backward cycle loss."""
    identity: float = 5.0
    """Weight of the identity loss."""
    identity_kimg: float = 0.0
    """Thousands of images after which the identity loss ends; 0: never."""
    pool: int = 50
    """Earlier fakes kept for each discriminator; 0: none."""
    two_step: bool = False
    """A second discriminator judges what went round a cycle (CycleGAN-VC2)."""
    mask: int = 0
    """Most frames of speech hidden from a generator in its first conversion (MaskCycleGAN-VC)."""
    ema_kimg: float = 0.0
    """Half-life of the averaged generators in thousands of images; 0: none."""
    ema_kimg_more: tuple[float, ...] = ()
    """Half-lives of further averages of the generators; `--ema` of the scripts chooses one."""
    ema_rampup: float = 0.05
    """The half-life is at most this share of the images shown so far; 0: no ramp-up."""


@game(tiny={"patches": at_most(16), "head": at_most(8)}, stand_in="emoji_noto_twemoji")
@dataclass(frozen=True)
class Cut:
    """The arguments of `games.cut`: unpaired translation in one direction, x to y.

    The generator's network has to have an encoder, as `Resnet` has.
    """

    objective: Objective = "least_squares"
    """The adversarial loss of both players."""
    adversarial: float = 1.0
    """Weight of the generator's adversarial loss."""
    nce: float = 1.0
    """Weight of the contrastive loss: 1 for CUT, 10 for FastCUT."""
    identity: bool = True
    """Contrastive losses of x and of y, averaged (CUT); False: of x alone (FastCUT)."""
    equivariance: float = 0.0
    """Probability of mirroring an input and mirroring its maps back: 0.5 for FastCUT."""
    temperature: float = 0.07
    """Divides the similarities of patches."""
    patches: int = 256
    """Positions that are compared in each map; all of a map that has fewer."""
    head: int = 256
    """Units of both layers of the heads that compare patches."""
    ema_kimg: float = 0.0
    """Half-life of the averaged generator in thousands of images; 0: none."""
    ema_kimg_more: tuple[float, ...] = ()
    """Half-lives of further averages of the generator; `--ema` of the scripts chooses one."""
    ema_rampup: float = 0.05
    """The half-life is at most this share of the images shown so far; 0: no ramp-up."""
    augment: Literal["", "diffaugment", "translation_cutout"] = ""
    """Transforms of the images that the discriminator sees."""


@game(stand_in="emoji_noto")
@dataclass(frozen=True)
class TextToImage:
    """The arguments of `games.text_to_image`: captions to images (GAN-CLS, StackGAN, DF-GAN)."""

    objective: Objective = "non_saturating"
    """The loss of both players."""
    prior: Literal["normal", "uniform"] = "normal"
    """Distribution of z."""
    z: int = 100
    """Size of the latent."""
    caption: int = 64
    """Size of the caption's condition beside z, after conditioning augmentation; 0: none, G gets
    the embedding."""
    text: int = 384
    """Size of the captions' embeddings."""
    text_scale: float = 1.0
    """What embeddings are multiplied by; `ma_gp` bounds the slope in them."""
    kl: float = 2.0
    """Weight of the conditioning augmentation's KL divergence, per number of the condition."""
    matching: bool = True
    """The discriminator also rejects real images with the wrong caption (GAN-CLS)."""
    hard: float = 0.5
    """Share of wrong captions that differ in one attribute, where the data has such."""
    ma_gp: float = 0.0
    """Weight of the matching-aware gradient penalty (Tao et al. 2022, DF-GAN); theirs is 2."""
    penalty_step: float = 0.0
    """Step of finite differences that estimate ma_gp; 0: exact gradients."""
    auxiliary: float = 0.0
    """Weight in G's loss of D's auxiliary reading of captions off images; 0: none."""
    ema_kimg: float = 0.0
    """Half-life of the averaged generator in thousands of images; 0: none."""
    ema_kimg_more: tuple[float, ...] = ()
    """Half-lives of further averages of the generator; `--ema` of the scripts chooses one."""
    ema_rampup: float = 0.05
    """The half-life is at most this share of the images shown so far; 0: no ramp-up."""
    augment: Literal["", "diffaugment"] = ""
    """Augmentation of the discriminator's images."""


@game()
@dataclass(frozen=True)
class Vae:
    """The arguments of `games.vae`: the variational autoencoder, a game of one player.

    The generator decodes and the discriminator's network encodes; the generator's optimiser moves
    both.
    """

    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    """Distribution of the pixels given z."""
    scale: float = 0.2
    """Standard deviation of the Gaussian likelihood, on pixels in [-1, 1]."""
    beta: float = 1.0
    """Weight of the KL divergence (beta-VAE)."""
    z: int = 64
    """Size of the latent."""
    ema_kimg: float = 0.0
    """Half-life of the averaged networks in thousands of images; 0: none."""
    ema_kimg_more: tuple[float, ...] = ()
    """Half-lives of further averages of the networks; `--ema` of the scripts chooses one."""
    ema_rampup: float = 0.05
    """The half-life is at most this share of the images shown so far; 0: no ramp-up."""


@dataclass(frozen=True)
class Grow:
    """Progressive growing: the resolution doubles from `start` to the data's.

    Each resolution but the first fades in, then stays; the last stays until the end.
    """

    start: int = 0
    """First resolution in pixels; 0: no growing."""
    stable_kimg: float = 600.0
    """Thousands of images at each resolution after its fade."""
    fade_kimg: float = 600.0
    """Thousands of images of each fade."""
    batch_sizes: tuple[int, ...] = ()
    """Batch size of each resolution in turn; the last one holds for the rest."""
    rates: tuple[float, ...] = ()
    """Factor of the learning rates at each resolution in turn; the last holds for the rest."""


@game(
    tiny={
        "z": 8,
        "penalty_every": at_most(2),
        "path_every": at_most(2),
        "grow": lambda grow: Grow(4, 0.008, 0.008) if grow.start else Grow(),
        "vision_aided": _tiny_vision,
    }
)
@dataclass(frozen=True)
class Stylegan:
    """The arguments of `games.stylegan`: StyleGAN and StyleGAN2, with or without labels."""

    objective: Objective = "non_saturating"
    """The loss of both players."""
    classes: int = 0
    """Number of classes that both networks are conditioned on; 0: unconditional."""
    z: int = 512
    """Size of the latent."""
    mixing: float = 0.9
    """Probability of style mixing."""
    r1: float = 10.0
    """Weight gamma of the R1 penalty: gamma / 2 |grad D(real)|^2."""
    penalty_every: int = 1
    """Rounds between R1 penalties; each then counts as many times."""
    path_length: float = 0.0
    """Weight of StyleGAN2's path length penalty."""
    path_every: int = 4
    """Rounds between path length penalties; each then counts as many times."""
    ema_kimg: float = 10.0
    """Half-life of the averaged generator in thousands of images; 0: none."""
    ema_kimg_more: tuple[float, ...] = ()
    """Half-lives of further averages of the generator; `--ema` of the scripts chooses one."""
    ema_rampup: float = 0.05
    """The half-life is at most this share of the images shown so far; 0: no ramp-up."""
    grow: Grow = field(default_factory=Grow)
    augment: Literal["", "diffaugment", "translation_cutout", "ada"] = ""
    """Augmentation of the discriminator's images."""
    augment_p: float = 1.0
    """Not used by the augmentations of this game."""
    augment_paired: bool = False
    """The real and the fake of a relativistic pair see the same transform."""
    ada_target: float = 0.6
    """The share of real images, net, that D should tell for real under "ada"."""
    ada_kimg: float = 500.0
    """Thousands of images in which ADA's probability can go from 0 to 1."""
    vision_aided: VisionAided = field(default_factory=VisionAided)
