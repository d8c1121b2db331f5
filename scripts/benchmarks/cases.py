"""The cases of the benchmark: experiments whose rounds are timed.

Modules with arrays are imported in functions, so that the memory of the imports can be measured.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from benchmarks import counts, hlo
from gan_jax import config
from gan_jax.config import (
    Cut,
    Cyclegan,
    Data,
    Dcgan,
    Dfgan,
    Experiment,
    Fastgan,
    Gan,
    Mlp,
    PatchGan,
    Pix2Pix,
    Player,
    Projected,
    Resnet,
    Style,
    Style2,
    Stylegan,
    TextToImage,
    Unet,
    Vae,
)

if TYPE_CHECKING:
    import jax
    import numpy as np


class Timed(NamedTuple):
    """A function to time.

    Attributes:
        play: the function.
        flops: FLOPs of its compiled program, where they can be counted.
        compile_seconds: how long its compilation took.
        executable: the compiled program.
    """

    play: Callable[..., Any]
    flops: float | None = None
    compile_seconds: float | None = None
    executable: "jax.stages.Compiled | None" = None


class Case(NamedTuple):
    """A case of the benchmark.

    Attributes:
        make: makes the function to time, for a batch size.
        batch_size: the default batch size.
        count: FLOPs counted by hand, for a batch size.
        rounds: rounds of the game in one call of the timed function.
    """

    make: Callable[[int], Timed]
    batch_size: int
    count: Callable[[int], float] | None = None
    rounds: int = 1


class Played(NamedTuple):
    """A case that times rounds of a game.

    Attributes:
        experiment: makes the experiment, of the batch size and of sizes that tests reduce.
        batch_size: the default batch size.
        columns: the columns of a batch.
        count: as in `Case`.
        rounds: as in `Case`.
    """

    experiment: Callable[..., Experiment]
    batch_size: int
    columns: tuple[str, ...] = ("image",)
    count: Callable[[int], float] | None = None
    rounds: int = 1


# Perceptrons, DCGAN, conditional DCGAN, VAE


def _gan_mlp(batch_size: int) -> Experiment:
    """Multilayer perceptrons at 28 px, grey: `experiments/gan.py:fashion_mnist`."""
    return Experiment(
        "benchmark",
        Player(network=Mlp((256, 512))),
        Player(network=Mlp((512, 256))),
        Gan(z=64),
        Data(resolution=28),
        batch_size=batch_size,
    )


def _dcgan64(batch_size: int, width: int = 64, side: int = 64) -> Experiment:
    """The DCGAN at 64 px of PyTorch's examples: widths 64 to 512, normal latents."""
    player = Player(network=Dcgan(width=width))
    data = Data(resolution=side, channels=3)
    return Experiment("benchmark", player, player, Gan(z=100), data, batch_size=batch_size)


def _dcgan_r1(batch_size: int, width: int = 64, side: int = 64) -> Experiment:
    """The same with R1 in every round, by finite differences."""
    game = Gan(z=100, r1=10.0, penalty_step=0.01)
    return dataclasses.replace(_dcgan64(batch_size, width, side), game=game)


def _projected(batch_size: int, width: int = 16, head: int = 32, side: int = 64) -> Experiment:
    """Projected GAN: the light generator, four heads on EfficientNet-Lite0 at 128 px, hinge."""
    betas = (0.0, 0.99)
    return Experiment(
        "benchmark",
        Player(Fastgan(width=width, blocks=2), betas=betas),
        Player(Projected(width=head, resolution=128), betas=betas),
        Gan("hinge", z=256),
        Data(resolution=side, channels=3),
        batch_size=batch_size,
    )


def _cgan(batch_size: int, width: int = 64) -> Experiment:
    """DCGAN at 28 px, grey, with ten labels concatenated to latent and image."""
    player = Player(network=Dcgan(width=width))
    game = Gan(z=64, condition="concat", classes=10)
    return Experiment("benchmark", player, player, game, Data(), batch_size=batch_size)


def _vae(batch_size: int, width: int = 64) -> Experiment:
    """DCGAN's networks as encoder and decoder at 32 px, Gaussian likelihood."""
    player = Player(network=Dcgan(width=width), lr=1e-3, betas=(0.9, 0.999))
    data = Data(resolution=32, channels=3)
    return Experiment("benchmark", player, player, Vae(z=64), data, batch_size=batch_size)


# Image-to-image translation


def _pix2pix(
    batch_size: int,
    width: int = 64,
    side: int = 256,
    dropout: float = 0.5,
    field: Literal[1, 16, 70, 286] = 70,
) -> Experiment:
    """The paper's pix2pix at 256 px: a U-Net down to one pixel, patches of 70 px."""
    return Experiment(
        "benchmark",
        Player(network=Unet(width=width, dropout=dropout)),
        Player(network=PatchGan(width=width, receptive_field=field)),
        Pix2Pix(),
        Data("pairs", resolution=side, channels=3),
        batch_size=batch_size,
    )


def _cyclegan256(batch_size: int) -> Experiment:
    """The paper's CycleGAN at 256 px: 9 blocks, patches of 70 px, identity term and pool."""
    return Experiment(
        "benchmark",
        Player(network=Resnet()),
        Player(network=PatchGan(norm="instance")),
        Cyclegan(),
        Data("unpaired", resolution=256, channels=3),
        batch_size=batch_size,
    )


def _cut(
    batch_size: int, width: int = 64, blocks: int = 9, side: int = 256, patches: int = 256
) -> Experiment:
    """The paper's CUT at 256 px: CycleGAN's networks, contrast of 256 patches in five maps."""
    return Experiment(
        "benchmark",
        Player(network=Resnet(width=width, blocks=blocks, init="xavier")),
        Player(network=PatchGan(width=width, norm="instance", init="xavier")),
        Cut(patches=patches),
        Data("unpaired", resolution=side, channels=3),
        batch_size=batch_size,
    )


def _text_to_image(batch_size: int, width: int = 32, side: int = 64) -> Experiment:
    """DF-GAN at 64 px: fusion of sentences of 384 numbers, matching-aware gradient penalty."""
    player = Player(Dfgan(width=width), lr=1e-4, betas=(0.0, 0.9))
    game = TextToImage("hinge", z=100, caption=0, text=384, ma_gp=2.0)
    data = Data(resolution=side, channels=3)
    return Experiment("benchmark", player, player, game, data, batch_size=batch_size)


def _translate(batch_size: int) -> Timed:
    """Translate a batch at 256 px with one generator."""
    import jax
    import numpy as np

    from gan_jax.game import Net
    from gan_jax.networks.resnet_translator import ResnetTranslator

    shape = jax.ShapeDtypeStruct((batch_size, 256, 256, 3), jax.numpy.float32)
    net = Net(ResnetTranslator(), (shape,))
    variables = jax.jit(net.init)(jax.random.key(0))
    images = np.random.default_rng(0).uniform(-1, 1, shape.shape)
    images = jax.numpy.asarray(images, jax.numpy.float32)
    translate = jax.jit(lambda v, x: net(v, x, train=False)[0])
    compiled = _compiled(translate.lower(variables, images))
    play = compiled.play
    return compiled._replace(play=lambda: jax.block_until_ready(play(variables, images)))


# Styles


def _stylegan64(batch_size: int, width: float = 0.125, w: int = 128, side: int = 64) -> Experiment:
    """StyleGAN in its last stage: 64 maps (32 at 64 px), 128 numbers in w, mixing, R1."""
    player = Player(network=Style(width=width, w=w), lr=1e-3, betas=(0.0, 0.99))
    game = Stylegan(z=w, mixing=1.0, r1=10.0, ema_kimg=0.0)
    data = Data(resolution=side, channels=3)
    return Experiment("benchmark", player, player, game, data, batch_size=batch_size)


def _stylegan2_64(
    batch_size: int, width: float = 0.125, w: int = 128, side: int = 64, lazy: bool = False
) -> Experiment:
    """StyleGAN2 at 64 px: 64 maps at every resolution, 128 numbers in w, mixing always."""
    player = Player(network=Style2(width=width, w=w), lr=2e-3, betas=(0.0, 0.99))
    game = Stylegan(
        z=w,
        mixing=1.0,
        r1=10.0 * lazy,
        penalty_every=16,
        path_length=2.0 * lazy,
        ema_kimg=0.0,
    )
    data = Data(resolution=side, channels=3)
    return Experiment("benchmark", player, player, game, data, batch_size=batch_size)


def _stylegan2_lazy(batch_size: int) -> Experiment:
    return _stylegan2_64(batch_size, lazy=True)


# Metrics


def _features(batch_size: int) -> Timed:
    """Extract 1,280 features of each image at 224 px as the metrics do, with random weights."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from gan_jax.metrics.features import extract, network_features
    from gan_jax.networks import efficientnet

    module = efficientnet.EfficientNetLite0()
    side = efficientnet.RESOLUTION
    shape = (batch_size, side, side, 3)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, *shape[1:])))
    made = {"resolution": side, "resizer": "antialias", "rows": efficientnet.ROWS}
    network = network_features("random", module, variables, **made)
    return Timed(lambda: extract(network, images))


GAMES = {
    "gan_mlp": Played(
        _gan_mlp,
        64,
        count=counts.mlp,
    ),
    "cgan": Played(
        _cgan,
        64,
        ("image", "label"),
        counts.cgan,
    ),
    "vae": Played(_vae, 64, count=counts.vae),
    "dcgan": Played(_dcgan64, 64, count=counts.dcgan),
    "pix2pix": Played(_pix2pix, 1, ("x", "y"), counts.pix2pix),
    "stylegan": Played(_stylegan64, 16, count=counts.stylegan),
    "stylegan2": Played(_stylegan2_64, 16, count=counts.stylegan2),
    "stylegan2_lazy": Played(_stylegan2_lazy, 16, rounds=16),
    "cyclegan": Played(_cyclegan256, 1, ("x", "y"), counts.cyclegan),
    "dcgan_r1": Played(_dcgan_r1, 64),
    "projected": Played(_projected, 32),
    "cut": Played(_cut, 1, ("x", "y")),
    "text_to_image": Played(_text_to_image, 16, ("image", "text")),
}


def batch_of(experiment: Experiment, columns: tuple[str, ...]) -> "dict[str, np.ndarray]":
    """A host batch for an experiment.

    The same random images are in every column of images; labels go in turn, and embeddings of
    captions are N(0, 1).
    """
    import numpy as np

    data, size = experiment.data, experiment.batch_size
    shape = (size, data.resolution, data.resolution, data.channels)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, shape).astype(np.uint8)
    labels = (np.arange(size) % 10).astype(np.int32)
    texts = random.normal(size=(size, getattr(experiment.game, "text", 0))).astype(np.float32)
    return {name: {"label": labels, "text": texts}.get(name, images) for name in columns}


def project(
    played: Played,
    batch_size: int,
    precision: str = "float32",
    *,
    remat: bool = False,
    devices: int = 1,
) -> Timed:
    """Build and compile rounds of a game, on so many devices, or 0 for all of all processes.

    Its `play` plays as many times as it is told, by default once, and then waits for the device.
    """
    import jax

    from gan_jax import game, parallel
    from gan_jax.build.experiment import build
    from gan_jax.networks.cpu import onednn

    experiment = config.check(played.experiment(batch_size))
    changes = {"run.devices": devices, "precision": precision, "remat": remat}
    built = build(config.change(experiment, changes))
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    whole = batch_of(experiment, played.columns)
    own = slice(jax.process_index(), None, jax.process_count())
    batch = parallel.shard({name: rows[own] for name, rows in whole.items()}, built.mesh)
    with onednn.enabled():
        shapes, platform = (state, batch, built.key), jax.default_backend()
        compiled = _compiled(parallel.lower(built.round, built.mesh, *shapes, platform=platform))

    def rounds(times: int = 1) -> None:
        nonlocal state
        for _ in range(times * played.rounds):
            state, metrics = compiled.play(state, batch, built.key)
        jax.block_until_ready((state, metrics))

    return compiled._replace(play=rounds)


def _compiled(lowered: "jax.stages.Lowered") -> Timed:
    """Compile a program; its `play` takes the program's arguments."""
    before = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - before
    flops = hlo.matrix_products(compiled.as_text() or "") or None
    return Timed(compiled, flops, seconds, compiled)


def _case(played: Played) -> Case:
    make = functools.partial(project, played)
    return Case(make, played.batch_size, played.count, played.rounds)


CASES: dict[str, Case] = {
    **{name: _case(played) for name, played in GAMES.items()},
    "cyclegan_translate": Case(_translate, 1, counts.translation),
    "features": Case(_features, 64),
}
