"""A player's network by its configuration: the part of `build` that resolves networks' names."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from gan_jax import config, parallel
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.networks import (
    dcgan,
    layers,
    mlp,
    patchgan,
    r3gan,
    resnet_translator,
    stylegan2,
    stylegan_mapping,
    unet,
    voice,
)
from gan_jax.networks import stylegan as styled
from gan_jax.networks.conv import Conv
from gan_jax.networks.norms import instance_norm
from gan_jax.networks.stylegan_layers import Maps, stages

ACTIVATIONS = {"relu": nn.relu, "leaky_relu": dcgan.leaky_relu, "tanh": jnp.tanh}


def of_field(name: str, resolve: Callable[[Any], Any], value: Any) -> Any:
    """What a field's value resolves to; a UserError names the field."""
    try:
        return resolve(value)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


class _Order(NamedTuple):
    """What a network is made from: its configuration, the data's shape, the arithmetic."""

    network: Any
    shape: tuple[int, ...]
    dtype: Any
    axis: str | None

    @property
    def batch_norm(self) -> Any:
        return dcgan.batch_norm(self.axis)


def _mlp_generator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "Mlp")
    out = (lambda x: x) if len(order.shape) == 1 else jnp.tanh  # points are not bounded
    return mlp.Generator(order.shape, order.network.widths, out=out, dtype=order.dtype)


def _mlp_discriminator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "Mlp")
    return mlp.Discriminator(order.network.widths, dtype=order.dtype)


def _refuse(look: Mapping[str, Any], network: str, *, other: str = "Dcgan") -> None:
    if look:
        raise UserError(f"a network {network} cannot do {', '.join(look)}; did you mean {other!r}?")


def _dcgan(order: _Order) -> dict[str, Any]:
    """The fields that DCGAN's two networks share."""
    network = order.network
    try:
        dcgan.smallest(order.shape[0])
    except ValueError as error:
        raise UserError(f"data.resolution: {error}") from error
    normed = network.norm in ("batch", "batch_everywhere")
    activation = {"activation": ACTIVATIONS[network.activation]} if network.activation else {}
    return activation | {
        "resolution": order.shape[0],
        "width": network.width,
        "kernel": network.kernel,
        "norm": order.batch_norm if normed else None,
        "dtype": order.dtype,
        "pooled": network.resample == "pooled",
        "hidden": network.hidden,
        "norm_ends": network.norm == "batch_everywhere",
    }


def _dcgan_generator(order: _Order, *, conditional_norm: bool = False) -> nn.Module:
    if order.network.norm == "spectral":
        raise UserError("generator.network.norm = 'spectral': did you mean 'batch' or 'none'?")
    if conditional_norm and order.network.norm == "none":
        raise UserError(
            "game.conditional_norm needs a generator.network.norm; did you mean 'batch'?"
        )
    channels = order.shape[-1]
    return dcgan.Generator(channels=channels, conditional_norm=conditional_norm, **_dcgan(order))


def _dcgan_discriminator(order: _Order, **look: Any) -> nn.Module:
    spectral = {"conv": layers.SpectralConv, "dense": layers.SpectralDense}
    return dcgan.Discriminator(
        **_dcgan(order), **look, **(spectral if order.network.norm == "spectral" else {})
    )


def _norm(order: _Order) -> Any:
    return {"batch": order.batch_norm, "instance": instance_norm}.get(order.network.norm)


def _unet_generator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "Unet")
    network = order.network
    try:
        depth = unet.depth(order.shape[0])
    except ValueError as error:
        raise UserError(f"data.resolution: {error}") from error
    return unet.Unet(
        channels=order.shape[-1],
        width=network.width,
        depth=depth,
        dropout=network.dropout,
        norm=_norm(order),
        skip=network.skip,
        dtype=order.dtype,
        bias=network.norm == "instance" if network.port else None,
        noisy=(4, depth - 2) if network.port else None,
    )


def _resnet_generator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "Resnet")
    network = order.network
    try:
        resnet_translator.check(order.shape[:2])
    except ValueError as error:
        raise UserError(f"data.resolution: {error}") from error
    return resnet_translator.ResnetTranslator(
        channels=order.shape[-1],
        width=network.width,
        blocks=network.blocks,
        norm=_norm(order),
        dtype=order.dtype,
        bias=network.port == "torch" and network.norm == "instance",
    )


def _patchgan_discriminator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "PatchGan")
    network = order.network
    least = patchgan.smallest(network.receptive_field)
    if order.shape[0] < least:
        field = f"discriminator.network.receptive_field = {network.receptive_field}"
        raise UserError(f"{field} needs pictures of {least} px; did you mean 16, or 1 (pixels)?")
    return patchgan.PatchGan(
        network.receptive_field,
        network.width,
        norm=_norm(order),
        dtype=order.dtype,
        conv=layers.SpectralConv if network.norm == "spectral" else Conv,
        bias=network.port == "torch" and network.norm == "instance",
        bias_out=not (network.port and network.receptive_field == 1 and network.norm == "batch"),
    )


def _r3gan(order: _Order) -> dict[str, Any]:
    """The fields that R3GAN's two networks share."""
    sizes = {f.name: getattr(order.network, f.name) for f in dataclasses.fields(order.network)}
    shape = r3gan.Shape(order.shape[0], **sizes, dtype=order.dtype)
    for stage in range(stages(order.shape[0]) + 1):
        shape.at(stage)  # raises
    return {"resolution": order.shape[0], **sizes, "dtype": order.dtype}


def _r3gan_generator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "R3gan")
    return r3gan.Generator(**_r3gan(order), channels=order.shape[-1])


def _r3gan_discriminator(order: _Order, *, projection: bool = False, **look: Any) -> nn.Module:
    _refuse(look, "R3gan")
    return r3gan.Discriminator(**_r3gan(order), projection=projection)


def _style_generator(order: _Order, *, stage: int | None = None) -> nn.Module:
    network, maps = order.network, Maps(width=order.network.width)
    _side(order)
    return styled.Generator(
        stylegan_mapping.Mapping(network.w, network.mapping),
        styled.Synthesis(
            order.shape[0],
            order.shape[-1],
            maps,
            network.styles,
            network.const_input,
            network.noise,
            network.blur,
            stage,
            order.dtype,
        ),
    )


def _style_discriminator(order: _Order, *, stage: int | None = None) -> nn.Module:
    network, maps = order.network, Maps(width=order.network.width)
    _side(order)
    return styled.Discriminator(
        order.shape[0], maps, network.blur, network.group, order.axis, stage, order.dtype
    )


def _style2_generator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "Style2", other="Style")
    _side(order)
    network, maps = order.network, _maps2(order.network)
    revised = network.port == "torch"
    return styled.Generator(
        stylegan_mapping.Mapping(network.w, network.mapping, revised=revised),
        stylegan2.Synthesis(order.shape[0], order.shape[-1], maps, order.dtype),
    )


def _style2_discriminator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "Style2", other="Style")
    _side(order)
    network, maps = order.network, _maps2(order.network)
    depth = network.mapping if network.port == "torch" else 0
    return stylegan2.Discriminator(
        order.shape[0], maps, network.residual, network.group, order.axis, order.dtype, depth
    )


def _maps2(network: config.Style2) -> Maps:
    return Maps(network.base, network.most, network.width)


def _side(order: _Order) -> None:
    try:
        stages(order.shape[0])
    except UserError as error:
        raise UserError(f"data.resolution: {error}") from error


def _voice_generator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "Voice")
    two = isinstance(order.network, config.Voice2)
    for size, field in zip(order.shape, ("frames", "cepstra"), strict=True):
        if field == "cepstra" and not two:
            continue
        try:
            voice.check(size, field)
        except ValueError as error:
            raise UserError(f"data.{field}: {error}") from error
    kind = voice.Generator212d if two else voice.Generator1d
    return kind(order.network.width, order.network.blocks, dtype=order.dtype)


def _voice_discriminator(order: _Order, **look: Any) -> nn.Module:
    _refuse(look, "Voice")
    patch = isinstance(order.network, config.Voice2)
    return voice.Discriminator(order.network.width, patch, dtype=order.dtype)


NETWORKS: dict[tuple[type, str], Callable[..., nn.Module]] = {
    (config.Unet, "generator"): _unet_generator,
    (config.Resnet, "generator"): _resnet_generator,
    (config.PatchGan, "discriminator"): _patchgan_discriminator,
    (config.Style, "generator"): _style_generator,
    (config.Style, "discriminator"): _style_discriminator,
    (config.Style2, "generator"): _style2_generator,
    (config.Style2, "discriminator"): _style2_discriminator,
    **{(kind, "generator"): _voice_generator for kind in (config.Voice, config.Voice2)},
    **{(kind, "discriminator"): _voice_discriminator for kind in (config.Voice, config.Voice2)},
    (config.Mlp, "generator"): _mlp_generator,
    (config.Mlp, "discriminator"): _mlp_discriminator,
    (config.Dcgan, "generator"): _dcgan_generator,
    (config.Dcgan, "discriminator"): _dcgan_discriminator,
    (config.R3gan, "generator"): _r3gan_generator,
    (config.R3gan, "discriminator"): _r3gan_discriminator,
}


MAKES = {
    config.Mlp: ("anything", 0),
    **dict.fromkeys((config.Voice, config.Voice2), ("speech", 2)),
}
"""What a kind of network makes, and its number of axes; pictures where it is not here."""


def make_network(
    experiment: Experiment, role: str, shape: tuple[int, ...], **look: Any
) -> nn.Module:
    """The network that a player's configuration names; `look` is what the game asks of it.

    Raises UserError when that network does not exist in this role, for this data or with this look.
    """
    network = getattr(experiment, role).network
    kind = type(network)
    if (kind, role) not in NETWORKS:
        fits = ", ".join(one.__name__ for one, where in NETWORKS if where == role)
        raise UserError(f"{role}.network = {kind.__name__}: one of {fits} is needed")
    makes, axes = MAKES.get(kind, ("pictures", 3))
    if axes and len(shape) != axes:
        raise UserError(f"{role}.network = {kind.__name__} makes {makes}; data has shape {shape}")
    axis = parallel.AXIS if experiment.sync_batch_norm else None
    order = _Order(network, shape, jnp.dtype(experiment.precision), axis)
    asked = {n: value for n, value in look.items() if value is not None and value is not False}
    make = functools.partial(NETWORKS[kind, role], **asked)
    return of_field(f"{role}.network = {kind.__name__}", make, order)
