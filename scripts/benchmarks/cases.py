"""The cases of the benchmark: experiments whose rounds are timed.

Modules with arrays are imported in functions, so that the memory of the imports can be measured.
"""

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from benchmarks import counts, hlo
from gan_jax import config
from gan_jax.config import (
    Cyclegan,
    Data,
    Dcgan,
    Experiment,
    Gan,
    Mlp,
    PatchGan,
    Pix2Pix,
    Player,
    Resnet,
    Style,
    Style2,
    Stylegan,
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
}


def batch_of(experiment: Experiment, columns: tuple[str, ...]) -> "dict[str, np.ndarray]":
    """A host batch for an experiment: the same random images in every column, labels in turn."""
    import numpy as np

    data, size = experiment.data, experiment.batch_size
    shape = (size, data.resolution, data.resolution, data.channels)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    labels = (np.arange(size) % 10).astype(np.int32)
    return {name: labels if name == "label" else images for name in columns}


def project(played: Played, batch_size: int, precision: str = "float32") -> Timed:
    """Build and compile rounds of a game.

    Its `play` plays as many times as it is told, by default once, and then waits for the device.
    """
    import jax

    from gan_jax import game, parallel
    from gan_jax.build.experiment import build
    from gan_jax.networks.cpu import onednn

    experiment = config.check(played.experiment(batch_size))
    built = build(config.change(experiment, {"run.devices": 1, "precision": precision}))
    state = parallel.initialise(lambda: game.init(built.game, built.key), built.mesh)
    batch = parallel.shard(batch_of(experiment, played.columns), built.mesh)
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
