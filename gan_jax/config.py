"""Experiments as frozen dataclasses of names and numbers; standard library only.

A recipe is a function without arguments that returns an `Experiment`; `training.build` turns its
names into objects. Budgets count thousands of real images (kimg), never epochs.
"""

import dataclasses
import difflib
import hashlib
import importlib.util
import inspect
import json
import math
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


class UserError(ValueError):
    """A mistake in configuration, data, files or checkpoints: one clear line, exit code 2."""


class NoSplit(UserError):
    """The data is there and has no such split, or nothing in it."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """The entry of `valid` that looks most like `name`, quoted; all of them if none is close."""
    valid = sorted(valid)
    if not valid:
        return "nothing: there is none"
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return repr(close[0]) if close else "one of " + ", ".join(map(repr, valid))


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


POSITIVE = (
    "batch_size",
    "data.cepstra",
    "data.frames",
    "data.resolution",
    "game.ada_kimg",
    "game.caption",
    "game.grow.batch_sizes",
    "game.n_critic",
    "game.path_every",
    "game.penalty_every",
    "game.scale",
    "game.text",
    "game.z",
    *(
        f"{player}.network.{size}"
        for player in ("generator", "discriminator")
        for size in (
            *("width", "widths", "w", "base", "most"),
            *("blocks", "cardinality", "expansion", "widest"),
        )
    ),
    "run.keep",
    "run.log_every",
    "run.metric_samples",
)
SHARES = (
    "game.anneal.beta2",
    *(f"{player}.network.dropout" for player in ("generator", "discriminator")),
)
SEEDS = 2**32  # jax keeps 32 bits of a seed: larger ones would repeat those below
EMBEDDED = (  # come with the package
    *("fashion_mnist_10k", "emoji_noto", "emoji_twemoji", "emoji_fluent_flat", "emoji_fluent_3d"),
    *("emoji_pairs", "emoji_noto_twemoji", "avatars", "voices_it_sample"),
)
OWN = ("folder", "pairs", "unpaired", "captioned", "voices")  # read what is at `data.path`
VOICES = ("voices_it", "voices_it_sample", "voices")
SINCE = {"ema_rampup": 0.0}  # fields of later versions: what runs without them did
FREE = ("name", "run", "data.path", "data.data_dir", "data.on_bad_image")  # do not move the numbers


def change(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """The experiment with dotted fields replaced: `change(e, {"discriminator.lr": 4e-4})`.

    Raises UserError for an unknown field or a value its type does not admit.
    """
    for path, value in changes.items():
        experiment = _replace(experiment, path.split("."), value, path)
    return check(experiment)


def _replace(node: Any, parts: list[str], value: Any, path: str) -> Any:
    head, *rest = parts
    names = list(getattr(node, "__dataclass_fields__", ()))
    if head not in names:
        where = path[: len(path) - len(".".join(parts)) - 1]
        if not names:
            raise UserError(f"no field {path!r}: {where!r} is {node!r}, which has no fields")
        inside = f" in {where!r}" if where else ""
        raise UserError(f"no field {path!r}; did you mean {nearest(head, names)}{inside}?")
    inner = _replace(getattr(node, head), rest, value, path) if rest else value
    return dataclasses.replace(node, **{head: inner})


def check(experiment: Experiment) -> Experiment:
    """Returns the experiment if every value fits its field's type, else raises UserError."""
    _check(experiment, Experiment, "")
    for role in ("generator", "discriminator"):
        betas = getattr(experiment, role).betas
        if max(betas) >= 1.0:
            raise UserError(f"{role}.betas = {betas!r}: numbers below 1 are needed")
    if experiment.seed >= SEEDS:
        raise UserError(f"seed = {experiment.seed}: a number below {SEEDS} is needed")
    return experiment


def _check(value: Any, hint: Any, path: str) -> None:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        classes = [a for a in args if dataclasses.is_dataclass(a)]
        match = [a for a in args if a is type(value) or (value is None and a is type(None))]
        if match:
            return _check(value, match[0], path)
        if classes or not args:
            raise UserError(f"{path} = {value!r}: one of {_plain(hint)} is needed")
        return _check(value, args[0], path)
    if dataclasses.is_dataclass(hint):
        if type(value) is not hint:
            raise UserError(f"{path or 'experiment'} = {value!r}: a {_plain(hint)} is needed")
        hints = typing.get_type_hints(hint)
        for f in dataclasses.fields(hint):
            _check(getattr(value, f.name), hints[f.name], f"{path}.{f.name}".lstrip("."))
        return None
    if origin is Literal:
        if value not in args or isinstance(value, bool):
            raise UserError(
                f"{path} = {value!r}: did you mean {nearest(str(value), map(str, args))}?"
            )
        return None
    if origin is tuple:
        if not isinstance(value, tuple) or (args[-1] is not ... and len(value) != len(args)):
            raise UserError(f"{path} = {value!r}: {_plain(hint)} is needed")
        for number, item in enumerate(value):
            _check(item, args[0] if args[-1] is ... else args[number], f"{path}[{number}]")
        return None
    fits = isinstance(value, (int, float) if hint is float else hint)
    if hint is not type(None) and (not fits or (isinstance(value, bool) and hint is not bool)):
        raise UserError(f"{path} = {value!r}: {_plain(hint)} is needed")
    if hint in (int, float):
        name = path.partition("[")[0]
        positive = name in POSITIVE
        if name in SHARES and value >= 1:
            raise UserError(f"{path} = {value!r}: a number below 1 is needed")
        if not (math.isfinite(value) and value >= 0 and (value > 0 or not positive)):
            least = "above 0" if positive and hint is float else f"of at least {int(positive)}"
            raise UserError(f"{path} = {value!r}: a number {least} is needed")
    return None


def _plain(hint: Any) -> str:
    names = [_plain(one) for one in typing.get_args(hint)]
    return (
        ", ".join(names)
        if isinstance(hint, types.UnionType)
        else getattr(hint, "__name__", str(hint))
    )


def counts_classes(experiment: Experiment) -> bool:
    """Whether the data says how many classes there are: a condition is told, and 0 classes."""
    played = experiment.game
    return isinstance(played, Gan) and bool(played.condition) and not played.classes


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """Nested plain values, for JSON; a network and a game also say their `kind`."""

    def plain(node: Any) -> Any:
        if dataclasses.is_dataclass(node):
            kind = {"kind": type(node).__name__} if isinstance(node, Network | Game) else {}
            return kind | {f.name: plain(getattr(node, f.name)) for f in dataclasses.fields(node)}
        return list(node) if isinstance(node, tuple) else node

    return plain(experiment)


def from_dict(tree: Mapping[str, Any]) -> Experiment:
    """The inverse of `to_dict`. Raises UserError on a field this version does not know."""

    def rebuild(value: Any, hint: Any, path: str) -> Any:
        if hint == Game and isinstance(value, Mapping) and "kind" not in value:
            hint = Gan  # version 0.1.0 had one game and did not name it
        if isinstance(value, Mapping) and "kind" in value:
            kinds = {c.__name__: c for c in typing.get_args(hint)}
            if value["kind"] not in kinds:
                close = nearest(str(value["kind"]), kinds)
                raise UserError(f"{path} has no kind {value['kind']!r}; did you mean {close}?")
            hint = kinds[value["kind"]]
            value = {name: item for name, item in value.items() if name != "kind"}
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            if not isinstance(value, Mapping):
                raise UserError(f"{path or 'experiment'} = {value!r}: {hint.__name__} is needed")
            hints = typing.get_type_hints(hint)
            for name in value:
                if name not in hints:
                    close = nearest(name, hints)
                    where = f"{path}.{name}".lstrip(".")
                    raise UserError(f"no field {where!r}; did you mean {close}?")
            for f in dataclasses.fields(hint):
                no_default = f.default is f.default_factory is dataclasses.MISSING
                if no_default and f.name not in value:
                    raise UserError(f"{path or 'experiment'} lacks the field {f.name!r}")
            value = {k: v for k, v in SINCE.items() if k in hints} | dict(value)
            inside = {k: rebuild(v, hints[k], f"{path}.{k}".lstrip(".")) for k, v in value.items()}
            return hint(**inside)
        tupled = typing.get_origin(hint) is tuple and isinstance(value, list)
        return tuple(value) if tupled else value

    return check(rebuild(tree, Experiment, ""))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names to leaves: {"game.r1": 10.0, ...}."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        nested = isinstance(value, Mapping)
        flat |= flatten(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat


def identity(experiment: Experiment) -> dict[str, Any]:
    """The dotted fields that decide a run's numbers: all but those in `FREE`."""
    return {
        path: value
        for path, value in flatten(to_dict(experiment)).items()
        if not any(path == free or path.startswith(free + ".") for free in FREE)
    }


def fingerprint(experiment: Experiment) -> str:
    """Twelve hexadecimal digits shared by experiments that differ only in `FREE` or the seed.

    Fields at their default are left out, so that one added later leaves old fingerprints alone.
    """

    def plain(value: Any) -> Any:  # 1 and 1.0 are the same number
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        return float(value) if type(value) is int else value

    def chosen(node: Any) -> dict[str, Any]:
        named = isinstance(node, Network | Game)
        found: dict[str, Any] = {"kind": type(node).__name__} if named else {}
        for f in dataclasses.fields(node):
            value = getattr(node, f.name)
            if dataclasses.is_dataclass(value):
                found[f.name] = chosen(value)
            elif value != f.default:
                found[f.name] = plain(value)
        return found

    def decisive(path: str) -> bool:
        free = (*FREE, "seed")
        return not any(path == one or path.startswith(one + ".") for one in free)

    values = {k: v for k, v in flatten(chosen(experiment)).items() if decisive(k)}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Ablation:
    """A table of a paper: rows that are experiments, and the seeds each is run with.

    `quantities` are the columns, in order (fid, precision, ...). `paper` is what a paper reports
    for a row, in its own words, and `source` says which paper: shown beside, never mixed in.
    """

    rows: Mapping[str, Experiment]
    seeds: tuple[int, ...]
    quantities: tuple[str, ...]
    paper: Mapping[str, str]
    source: str


def ablation(
    base: Experiment,
    rows: Mapping[str, Mapping[str, Any]],
    *,
    quantities: Iterable[str],
    seeds: Iterable[int] = (0, 1, 2),
    cumulative: bool = False,
    paper: Mapping[str, str] | None = None,
    source: str = "",
) -> Ablation:
    """A table of changes to `base`: {"+ R1": {"game.r1": 10.0}, ...}; `cumulative` piles them up.

    Raises UserError for a field or value that does not exist, a row that two names share, or a
    paper's figure for a row that is not there.
    """
    built: dict[str, Experiment] = {}
    current = base
    for name, changes in rows.items():
        changed = change(current, changes)
        twin = next((n for n, e in built.items() if identity(e) == identity(changed)), None)
        if twin is not None:
            raise UserError(f"rows {twin!r} and {name!r} are the same experiment")
        built[name] = changed
        current = changed if cumulative else base
    for name in paper or {}:
        if name not in built:
            raise UserError(f"paper: no row {name!r}; did you mean {nearest(name, built)}?")
    return Ablation(built, tuple(seeds), tuple(quantities), dict(paper or {}), source)


def tiny(experiment: Experiment, *, prepared: bool = False) -> Experiment:
    """The recipe's smallest relative: same game, networks and data, narrow and small.

    For tests and for a first look at a recipe on any machine: two rounds of eight pictures, or of
    two pieces of speech. One's own data, toy data and sets that come with the package stay; so does
    every other set that is `prepared`. What would need a download, an analysis of minutes or a path
    that is not said has a stand-in that comes with the package: then `data.name` is another.
    """

    def narrow(player: Player) -> Player:
        network = player.network
        if isinstance(network, Mlp):
            network = dataclasses.replace(network, widths=(8,) * len(network.widths))
        elif isinstance(network, Style | Style2):
            network = dataclasses.replace(network, width=1 / 128, w=8, mapping=1)
        else:
            network = dataclasses.replace(network, width=4)
        if isinstance(network, Dcgan):
            network = dataclasses.replace(network, hidden=min(network.hidden, 8))
        if isinstance(network, R3gan):
            network = dataclasses.replace(network, cardinality=2, blocks=1)
        if isinstance(network, Resnet | Voice | Voice2):
            network = dataclasses.replace(network, blocks=1)
        return dataclasses.replace(player, network=network)

    data = experiment.data
    own = data.name in OWN and data.path is not None
    if not (prepared or own or data.name in EMBEDDED or data.name.startswith("toy/")):
        shipped = {
            Pix2Pix: "emoji_pairs",
            Cyclegan: "voices_it_sample" if data.name in VOICES else "emoji_noto_twemoji",
            TextToImage: "emoji_noto",
        }
        name = shipped.get(type(experiment.game), Data.name)
        data = dataclasses.replace(data, name=name, split="train", path=None, data_dir=None)
    if data.name in VOICES:
        data = dataclasses.replace(data, frames=16, cepstra=8)
    elif not data.name.startswith("toy/"):
        slow = {R3gan: 4, Style: 8, Style2: 8}  # to compile
        most = slow.get(type(experiment.generator.network), 32)
        resolution = min(data.resolution, 28 if data.resolution % 7 == 0 else most)
        data = dataclasses.replace(data, resolution=resolution)
    batch = 2 if data.name in VOICES else 8  # the sample of voices has three prompts of each
    run = dataclasses.replace(
        experiment.run,
        kimg=0.002 * batch,
        log_every=1,
        sample_kimg=0.0,
        checkpoint_kimg=0.0,
        metrics=(),
    )
    played = experiment.game
    if isinstance(played, Gan):  # two rounds play every move
        played = dataclasses.replace(
            played, n_critic=min(played.n_critic, 2), penalty_every=min(played.penalty_every, 2)
        )
    if isinstance(played, Stylegan):
        played = dataclasses.replace(
            played,
            z=8,
            penalty_every=min(played.penalty_every, 2),
            path_every=min(played.path_every, 2),
            grow=Grow(4, 0.008, 0.008) if played.grow.start else Grow(),
        )
    replaced = data.name != experiment.data.name
    if isinstance(played, Gan | Stylegan) and replaced:
        labelled = played.classes or getattr(played, "condition", "")
        played = dataclasses.replace(played, classes=10 if labelled else 0)  # of the garments
    return dataclasses.replace(
        experiment,
        generator=narrow(experiment.generator),
        discriminator=narrow(experiment.discriminator),
        game=played,
        data=data,
        batch_size=batch,
        run=dataclasses.replace(run, evaluate_kimg=0.0, best=""),
    )


def recipes(path: str | Path) -> dict[str, Callable[[], Experiment]]:
    """The recipes of an experiment file: its public functions that return an Experiment of nothing.

    Raises UserError when the file does not exist.
    """
    module = _import(path)
    return {
        name: function
        for name, function in vars(module).items()
        if isinstance(function, types.FunctionType)
        and function.__module__ == module.__name__
        and not name.startswith("_")
        and typing.get_type_hints(function).get("return") is Experiment
        and all(p.default is not p.empty for p in inspect.signature(function).parameters.values())
    }


def tables(path: str | Path) -> dict[str, Ablation]:
    """The tables of an experiment file: its public values that are an Ablation.

    Raises UserError when the file does not exist.
    """
    values = vars(_import(path)).items()
    return {n: v for n, v in values if isinstance(v, Ablation) and not n.startswith("_")}


def table(where: str) -> Ablation:
    """The table at `FILE.py:NAME`, or the only one of `FILE.py`.

    Raises UserError naming the nearest table.
    """
    path, colon, name = where.rpartition(":")
    if not colon:
        path, name = where, ""
    found = tables(path)
    if not colon and len(found) == 1:
        return next(iter(found.values()))
    if name not in found:
        raise UserError(f"no table {name!r} in {path}; did you mean {nearest(name, found)}?")
    return found[name]


def _import(path: str | Path) -> types.ModuleType:
    file = Path(path)
    if not file.is_file():
        siblings = [str(p) for p in file.parent.glob("*.py")] if file.parent.is_dir() else []
        guess = f"; did you mean {nearest(str(path), siblings)}?" if siblings else ""
        raise UserError(f"no experiment file {str(path)!r}{guess}")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)
        ]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 1
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"{str(path)!r} cannot be read: line {line}: {what}") from error
    return module


def recipe(where: str) -> Experiment:
    """The experiment at `FILE.py:NAME`, checked. Raises UserError naming the nearest recipe."""
    path, colon, name = where.rpartition(":")
    if not colon:
        path, name = where, ""
    found = recipes(path)
    if name not in found:
        why = _no_recipe(vars(_import(path)).get(name))
        guess = why or f"; did you mean {nearest(name, found)}?"
        raise UserError(f"no recipe {name!r} in {path}{guess}")
    return check(found[name]())


def _no_recipe(value: Any) -> str:
    """Why a file's value of the name asked for is no recipe; "" where there is none."""
    if not isinstance(value, types.FunctionType) or value.__name__.startswith("_"):
        return ""
    name = value.__name__
    if typing.get_type_hints(value).get("return") is not Experiment:
        return f": the function does not say what it returns; write `def {name}() -> Experiment:`"
    return ": the function takes arguments without a default, and a recipe takes none"
