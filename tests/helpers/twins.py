"""A case of the benchmark and its PyTorch twin, given the same weights and the same draws."""

import dataclasses

import jax
import numpy as np
from benchmarks import cases
from flax.traverse_util import flatten_dict

from gan_jax import latents
from gan_jax.build.experiment import build


def built_of(name, size, **sizes):
    played = cases.GAMES[name]
    experiment = played.experiment(size, **sizes)
    experiment = dataclasses.replace(experiment, sync_batch_norm=False)
    run = dataclasses.replace(experiment.run, devices=1)
    experiment = dataclasses.replace(experiment, run=run)
    return build(experiment), cases.batch_of(experiment, played.columns)


def in_order(net):
    """The paths of a network's parameters as its layers make them, which jit would sort."""
    found = []

    def note(key):
        variables = net.module.init(
            {name: key for name in ("params", "dropout", "noise")},
            *(jax.numpy.zeros(x.shape) for x in net.inputs),
        )
        found.extend(flatten_dict(variables["params"]))

    jax.eval_shape(note, jax.random.key(0))
    return found


def fixed(*shape):
    """The same numbers for project and twin."""
    return np.random.default_rng(shape[0]).normal(size=shape).astype(np.float32)


def same_draws(monkeypatch):
    """Lets project and twin draw `fixed` latents and noise of penalties."""
    import torch
    from benchmarks.twins import common

    def normal(size):
        return lambda key, index: jax.numpy.asarray(fixed(len(index), size))

    def drawn(draw):
        return lambda key, index: jax.numpy.asarray(
            fixed(len(index), *jax.eval_shape(draw, key).shape)
        )

    monkeypatch.setattr(latents, "normal", normal)
    for module in ("gan", "text_to_image"):
        monkeypatch.setattr(f"gan_jax.build.{module}.PRIORS", {"normal": normal})
    monkeypatch.setattr("gan_jax.games.gan.per_example", drawn)
    monkeypatch.setattr(common, "draw", lambda *shape: torch.from_numpy(fixed(*shape)))


def as_torch(leaf, owner, shape):
    """A parameter of the project in the layout of the twin's."""
    import torch

    leaf = np.asarray(leaf)
    if leaf.ndim == 4:
        leaf = leaf.transpose(3, 2, 0, 1)
    elif leaf.ndim == 2 and len(shape) == 4 and "Transpose" in type(owner).__name__:
        leaf = leaf.reshape(len(leaf), *shape[2:], shape[1]).transpose(0, 3, 1, 2)
    elif leaf.ndim == 2 and len(shape) == 4:
        leaf = leaf.reshape(*shape[2:], shape[1], shape[0]).transpose(3, 2, 0, 1)
    elif leaf.ndim == 2:
        leaf = leaf.T
    return torch.from_numpy(np.array(leaf)).reshape(shape)


def copy(net, params, module):
    """Gives a twin the project's parameters, layer by layer in the order of making."""
    import torch

    flat = flatten_dict(params)
    theirs = [
        (owner, name, p)
        for owner in module.modules()
        for name, p in owner.named_parameters(recurse=False)
    ]
    ours = in_order(net)
    kinds = {
        "kernel": ("weight", "original"),  # the second under spectral norm
        "scale": ("weight", "scale"),
        "bias": ("bias",),
        "gamma": ("gamma",),
    }
    taken = set()
    for owner, name, parameter in theirs:
        path = next(p for p in ours if p not in taken and name in kinds[p[-1]])
        taken.add(path)
        with torch.no_grad():
            parameter.copy_(as_torch(flat[path], owner, tuple(parameter.shape)))
    assert len(taken) == len(ours)
