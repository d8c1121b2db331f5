"""The networks of the package: how each is made of its configuration."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import config, parallel
from gan_jax.build.spec import NETWORKS, Context, Make, NetworkSpec, register_network
from gan_jax.config import Experiment
from gan_jax.errors import UserError
from gan_jax.game import Net
from gan_jax.games.frozen import FrozenFeatures
from gan_jax.networks import (
    contrastive,
    dcgan,
    dfgan,
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

A = TypeVar("A")
B = TypeVar("B")

WEIGHTS = {"normal": dcgan.WEIGHTS, "xavier": contrastive.XAVIER}
ACTIVATIONS = {"relu": nn.relu, "leaky_relu": dcgan.leaky_relu, "tanh": jnp.tanh}


def of_field(name: str, resolve: Callable[[A], B], value: A) -> B:
    """What a field's value resolves to; a UserError names the field."""
    try:
        return resolve(value)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _mlp_generator(context: Context) -> nn.Module:
    out = (lambda x: x) if len(context.shape) == 1 else jnp.tanh  # points are not bounded
    return mlp.Generator(context.shape, context.config.widths, out=out, dtype=context.dtype)


def _mlp_discriminator(context: Context) -> nn.Module:
    return mlp.Discriminator(context.config.widths, dtype=context.dtype)


def _dcgan(context: Context) -> dict[str, Any]:
    """The fields that DCGAN's two networks share."""
    network = context.config
    try:
        dcgan.smallest(context.shape[0])
    except ValueError as error:
        raise UserError(f"data.resolution: {error}") from error
    normed = network.norm in ("batch", "batch_everywhere")
    activation = {"activation": ACTIVATIONS[network.activation]} if network.activation else {}
    return activation | {
        "resolution": context.shape[0],
        "width": network.width,
        "kernel": network.kernel,
        "norm": context.batch_norm if normed else None,
        "dtype": context.dtype,
        "pooled": network.resample == "pooled",
        "hidden": network.hidden,
        "norm_ends": network.norm == "batch_everywhere",
    }


def _dcgan_generator(context: Context, *, conditional_norm: bool = False) -> nn.Module:
    if context.config.norm == "spectral":
        raise UserError("generator.network.norm = 'spectral': did you mean 'batch' or 'none'?")
    if conditional_norm and context.config.norm == "none":
        raise UserError(
            "game.conditional_norm needs a generator.network.norm; did you mean 'batch'?"
        )
    channels = context.shape[-1]
    return dcgan.Generator(channels=channels, conditional_norm=conditional_norm, **_dcgan(context))


def _dcgan_discriminator(
    context: Context,
    *,
    projection: bool = False,
    classes: int = 0,
    sliced: bool = False,
    outputs: int = 1,
) -> nn.Module:
    spectral = {"conv": layers.SpectralConv, "dense": layers.SpectralDense}
    return dcgan.Discriminator(
        **_dcgan(context),
        **(spectral if context.config.norm == "spectral" else {}),
        projection=projection,
        classes=classes,
        sliced=sliced,
        outputs=outputs,
    )


def _norm(context: Context) -> dcgan.Norm | None:
    return {"batch": context.batch_norm, "instance": instance_norm}.get(context.config.norm)


def _unet_generator(context: Context) -> nn.Module:
    network = context.config
    try:
        depth = unet.depth(context.shape[0])
    except ValueError as error:
        raise UserError(f"data.resolution: {error}") from error
    return unet.Unet(
        channels=context.shape[-1],
        width=network.width,
        depth=depth,
        dropout=network.dropout,
        norm=_norm(context),
        skip=network.skip,
        dtype=context.dtype,
        bias=network.norm == "instance" if network.port else None,
        noisy=(4, depth - 2) if network.port else None,
    )


def _resnet_generator(context: Context, *, encoder: bool = False) -> nn.Module:
    del encoder  # always there
    network = context.config
    try:
        resnet_translator.check(context.shape[:2])
    except ValueError as error:
        raise UserError(f"data.resolution: {error}") from error
    return resnet_translator.ResnetTranslator(
        channels=context.shape[-1],
        width=network.width,
        blocks=network.blocks,
        norm=_norm(context),
        kernel_init=WEIGHTS[network.init],
        dtype=context.dtype,
        bias=network.port == "torch" and network.norm == "instance",
        antialias=network.antialias,
    )


def _patchgan_discriminator(context: Context) -> nn.Module:
    network = context.config
    least = patchgan.smallest(network.receptive_field)
    if context.shape[0] < least:
        field = f"discriminator.network.receptive_field = {network.receptive_field}"
        raise UserError(f"{field} needs pictures of {least} px; did you mean 16, or 1 (pixels)?")
    return patchgan.PatchGan(
        network.receptive_field,
        network.width,
        norm=_norm(context),
        kernel_init=WEIGHTS[network.init],
        dtype=context.dtype,
        conv=layers.SpectralConv if network.norm == "spectral" else Conv,
        bias=network.port == "torch" and network.norm == "instance",
        bias_out=not (network.port and network.receptive_field == 1 and network.norm == "batch"),
        antialias=network.antialias,
    )


def _r3gan(context: Context) -> dict[str, Any]:
    """The fields that R3GAN's two networks share."""
    sizes = {f.name: getattr(context.config, f.name) for f in dataclasses.fields(context.config)}
    shape = r3gan.Shape(context.shape[0], **sizes, dtype=context.dtype)
    for stage in range(stages(context.shape[0]) + 1):
        shape.at(stage)  # raises
    return {"resolution": context.shape[0], **sizes, "dtype": context.dtype}


def _r3gan_generator(context: Context) -> nn.Module:
    return r3gan.Generator(**_r3gan(context), channels=context.shape[-1])


def _r3gan_discriminator(context: Context, *, projection: bool = False) -> nn.Module:
    return r3gan.Discriminator(**_r3gan(context), projection=projection)


def _style_generator(context: Context, *, stage: int | None = None) -> nn.Module:
    network, maps = context.config, Maps(width=context.config.width)
    _side(context)
    return styled.Generator(
        stylegan_mapping.Mapping(network.w, network.mapping),
        styled.Synthesis(
            context.shape[0],
            context.shape[-1],
            maps,
            network.styles,
            network.const_input,
            network.noise,
            network.blur,
            stage,
            context.dtype,
        ),
    )


def _style_discriminator(context: Context, *, stage: int | None = None) -> nn.Module:
    network, maps = context.config, Maps(width=context.config.width)
    _side(context)
    return styled.Discriminator(
        context.shape[0], maps, network.blur, network.group, context.axis, stage, context.dtype
    )


def _style2_generator(context: Context) -> nn.Module:
    _side(context)
    network, maps = context.config, _maps2(context.config)
    revised = network.port == "torch"
    return styled.Generator(
        stylegan_mapping.Mapping(network.w, network.mapping, revised=revised),
        stylegan2.Synthesis(context.shape[0], context.shape[-1], maps, context.dtype),
    )


def _style2_discriminator(context: Context) -> nn.Module:
    _side(context)
    network, maps = context.config, _maps2(context.config)
    depth = network.mapping if network.port == "torch" else 0
    return stylegan2.Discriminator(
        context.shape[0], maps, network.residual, network.group, context.axis, context.dtype, depth
    )


def _maps2(network: config.Style2) -> Maps:
    return Maps(network.base, network.most, network.width)


def _side(context: Context) -> None:
    try:
        stages(context.shape[0])
    except UserError as error:
        raise UserError(f"data.resolution: {error}") from error


def _check_speech(context: Context, *fields: str) -> None:
    for size, field in zip(context.shape, fields, strict=False):
        try:
            voice.check(size, field)
        except ValueError as error:
            raise UserError(f"data.{field}: {error}") from error


def _voice_generator(context: Context, *, masked: bool = False) -> nn.Module:
    _check_speech(context, "frames")
    network = context.config
    return voice.Generator1d(network.width, network.blocks, context.dtype, masked)


def _voice_discriminator(context: Context) -> nn.Module:
    return voice.Discriminator(context.config.width, patch=False, dtype=context.dtype)


def _voice2_generator(context: Context, *, masked: bool = False) -> nn.Module:
    _check_speech(context, "frames", "cepstra")
    network = context.config
    return voice.Generator212d(network.width, network.blocks, context.dtype, masked)


def _voice2_discriminator(context: Context) -> nn.Module:
    return voice.Discriminator(context.config.width, patch=True, dtype=context.dtype)


def _multiple_of_resnet(shape: tuple[int, ...]) -> int:
    return resnet_translator.MULTIPLE


def _dfgan_generator(context: Context) -> nn.Module:
    side = context.shape[0]
    of_field("data.resolution", functools.partial(dfgan.channels, 1), side)
    return dfgan.Generator(side, context.shape[-1], context.config.width, context.dtype)


def _dfgan_discriminator(
    context: Context, *, projection: bool = False, auxiliary: bool = False
) -> nn.Module:
    """`projection` is not used: the sentence always joins the last map."""
    side = context.shape[0]
    of_field("data.resolution", functools.partial(dfgan.channels, 1), side)
    return dfgan.Discriminator(side, context.config.width, context.dtype, auxiliary)


_SPEECH = {"starts": "samples", "makes": "speech", "axes": 2, "multiple": _multiple_of_resnet}

for _spec in (
    NetworkSpec(config.Mlp, _mlp_generator, _mlp_discriminator, makes="anything", axes=0),
    NetworkSpec(
        config.Dcgan,
        _dcgan_generator,
        _dcgan_discriminator,
        starts="latents",
        provides=frozenset({"discriminator features"}),
    ),
    NetworkSpec(
        config.Unet,
        _unet_generator,
        starts="samples",
        multiple=lambda shape: 2 ** unet.depth(shape[0]),
    ),
    NetworkSpec(config.Resnet, _resnet_generator, starts="samples", multiple=_multiple_of_resnet),
    NetworkSpec(config.PatchGan, discriminator=_patchgan_discriminator),
    NetworkSpec(config.Dfgan, _dfgan_generator, _dfgan_discriminator, starts="latents"),
    NetworkSpec(config.R3gan, _r3gan_generator, _r3gan_discriminator, starts="latents"),
    NetworkSpec(config.Style, _style_generator, _style_discriminator, starts="styles"),
    NetworkSpec(config.Style2, _style2_generator, _style2_discriminator, starts="styles"),
    NetworkSpec(config.Voice, _voice_generator, _voice_discriminator, **_SPEECH),
    NetworkSpec(config.Voice2, _voice2_generator, _voice2_discriminator, **_SPEECH),
):
    register_network(_spec)


def make_network(
    experiment: Experiment,
    role: str,
    shape: tuple[int, ...],
    *,
    with_features: bool = False,
    **options: Any,
) -> nn.Module:
    """The network that a player's configuration names.

    Args:
        experiment: names it.
        role: "generator" or "discriminator".
        shape: of one real sample.
        with_features: whether the game can show a discriminator features in place of samples.
        options: what the game asks of it; None and False ask nothing.

    Raises:
        UserError: if that network does not exist in this role, for this data or with these options.
    """
    network = getattr(experiment, role).network
    name, spec = type(network).__name__, NETWORKS[type(network)]
    make = getattr(spec, role)
    if make is None:
        fits = ", ".join(c.__name__ for c, s in NETWORKS.items() if getattr(s, role))
        raise UserError(f"{role}.network = {name}: one of {fits} is needed")
    if spec.axes and len(shape) != spec.axes:
        raise UserError(f"{role}.network = {name} makes {spec.makes}; data has shape {shape}")
    if role == "discriminator" and spec.features is not None and not with_features:
        kind = type(experiment.game).__name__
        raise UserError(f"discriminator.network = {name} cannot be used in a game {kind}")
    options = {n: value for n, value in options.items() if value is not None and value is not False}
    _check_options(role, name, make, options)
    axis = parallel.AXIS if experiment.sync_batch_norm else None
    context = Context(network, shape, jnp.dtype(experiment.precision), axis)
    return of_field(f"{role}.network = {name}", functools.partial(make, **options), context)


def make_net(
    experiment: Experiment,
    role: str,
    shape: tuple[int, ...],
    inputs: tuple[jax.ShapeDtypeStruct, ...],
    starts: str = "",
    **options: Any,
) -> Net:
    """The network of `make_network` with its inputs, as a pure function.

    Args:
        experiment: names it.
        role: "generator" or "discriminator".
        shape: of one real sample.
        inputs: what the network is given.
        starts: what a generator must start from (see `NetworkSpec`); "" for anything.
        options: what the game asks of it.

    Raises:
        UserError: as `make_network`, and for a generator that starts from something else.
    """
    network = type(getattr(experiment, role).network)
    if role == "generator" and starts and NETWORKS[network].starts not in ("", starts):
        fits = [c.__name__ for c, s in NETWORKS.items() if s.generator and s.starts == starts]
        given = f"generator.network = {network.__name__} starts from {NETWORKS[network].starts}"
        game = type(experiment.game).__name__
        raise UserError(f"{given}; {game} needs one that starts from {starts}: {', '.join(fits)}")
    return Net(make_network(experiment, role, shape, **options), inputs, experiment.remat)


def make_features(experiment: Experiment, shape: tuple[int, ...]) -> FrozenFeatures | None:
    """The frozen network through which the discriminator sees samples; None if it has none."""
    network = experiment.discriminator.network
    make = NETWORKS[type(network)].features
    if make is None:
        return None
    context = Context(network, shape, jnp.dtype(experiment.precision), None)
    return of_field("discriminator.network", functools.partial(make, context), experiment.seed)


def check_features(experiment: Experiment) -> None:
    """Refuse fields of the game that a discriminator of features cannot have.

    Raises:
        UserError: with the field's name.
    """
    network = f"discriminator.network = {type(experiment.discriminator.network).__name__}"
    refused = {"r1": 0, "r2": 0, "gradient_penalty": 0, "augment_paired": False}
    game = experiment.game
    for name, value in refused.items():
        if getattr(game, name, value):
            raise UserError(f"game.{name} cannot be used with {network}; set it to {value}")
    if getattr(game, "augment", "") == "ada":
        raise UserError(f"game.augment = 'ada' cannot be used with {network}; did you mean ''?")
    if getattr(game, "condition", "") == "concat":
        raise UserError(f"game.condition = 'concat' with {network}; did you mean 'projection'?")


def _check_options(role: str, name: str, make: Make, options: Mapping[str, object]) -> None:
    """Raises UserError for options that the network does not have, naming one that has them."""
    if _takes(make, options):
        return
    able = (c.__name__ for c, s in NETWORKS.items() if _takes(getattr(s, role), options))
    other = next(able, "")
    guess = f"; did you mean {other!r}?" if other else ""
    raise UserError(
        f"{role}.network = {name}: a network {name} cannot do {', '.join(options)}{guess}"
    )


def _takes(make: Make | None, options: Mapping[str, object]) -> bool:
    if make is None:
        return False
    parameters = inspect.signature(make).parameters
    any_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return any_name or options.keys() <= parameters.keys()
