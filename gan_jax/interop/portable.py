"""Export networks to portable formats: safetensors, StableHLO and ONNX.

A StableHLO program takes the weights as an argument, so that all platforms share one file of
weights and programs are small. Programs are lowered per platform, so that those for accelerators
have plain convolutions instead of the forms for CPUs. An ONNX file contains program and weights.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax
from jax.extend import core
from jaxtyping import Array, PyTree
from safetensors.numpy import save_file

from gan_jax.errors import UserError
from gan_jax.game import Variables
from gan_jax.interop.names import leaves

PLATFORMS = ("cpu", "cuda", "tpu")
WEIGHTS, LOADER, SIGNATURES = "model.safetensors", "load.py", "programs.json"
Shapes = Sequence[tuple[tuple[int, ...], str]]  # shape without the batch axis, and dtype, of inputs


def flatten(variables: Variables) -> dict[str, np.ndarray]:
    """Flatten variables to dotted names -> arrays."""
    return {".".join(path): np.array(leaf, order="C") for path, leaf in leaves(variables)}


def unflatten(weights: Mapping[str, Array | np.ndarray]) -> dict[str, PyTree]:
    """Invert `flatten`."""
    tree: dict[str, PyTree] = {}
    for name, value in weights.items():
        *above, last = name.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
    return tree


def save_weights(folder: Path, weights: Mapping[str, np.ndarray], facts: Mapping[str, str]) -> None:
    """Write the file `WEIGHTS` with metadata `facts` in its header."""
    save_file(dict(weights), folder / WEIGHTS, {"format": "np", **facts})


def save_programs(
    folder: Path,
    name: str,
    run: Callable[..., Array],
    weights: Mapping[str, np.ndarray],
    inputs: Shapes,
    platforms: Sequence[str] = PLATFORMS,
) -> None:
    """Write `run` as NAME.PLATFORM.stablehlo for batches of any size.

    A file is the `jax.export` serialisation of a function of (weights by dotted name, *inputs).

    Args:
        folder: of the files.
        name: of the program.
        run: (variables, *inputs) -> outputs.
        weights: dotted name -> array.
        inputs: shape and dtype of each input.
        platforms: to export for.
    """
    _import_extra("flatbuffers", "export")
    (batch,) = export.symbolic_shape("b")
    given = [jax.ShapeDtypeStruct((batch, *shape), dtype) for shape, dtype in inputs]
    held = {key: jax.ShapeDtypeStruct(x.shape, x.dtype) for key, x in weights.items()}
    function = jax.jit(lambda weights, *inputs: run(unflatten(weights), *inputs))
    for platform in platforms:
        lowered = export.export(function, platforms=(platform,))(held, *given)
        (folder / f"{name}.{platform}.stablehlo").write_bytes(lowered.serialize())


def save_onnx(
    folder: Path,
    name: str,
    run: Callable[..., Array],
    weights: Mapping[str, np.ndarray],
    inputs: Sequence[tuple[str, tuple[int, ...], str]],
) -> None:
    """Write `run` with its weights as NAME.onnx for batches of any size.

    Args:
        folder: of the file.
        name: of the program.
        run: (variables, *inputs) -> outputs.
        weights: dotted name -> array.
        inputs: name, shape and dtype of each input.

    Raises:
        UserError: the converter does not support an operation of the network.
    """
    convert, onnx = (
        _import_extra("jax2onnx", "onnx", alone=True).to_onnx,
        _import_extra("onnx", "onnx"),
    )
    variables = unflatten(weights)
    (batch,) = export.symbolic_shape("B")
    given = [jax.ShapeDtypeStruct((batch, *shape), dtype) for _, shape, dtype in inputs]
    function = to_onnx_operations(lambda *given: run(variables, *given), *given)
    try:
        model = convert(function, given, model_name=name, input_names=[n for n, *_ in inputs])
    except NotImplementedError as error:
        raise UserError(f"--format onnx: {name} cannot be converted to ONNX: {error}") from error
    onnx.save(model, folder / f"{name}.onnx")


def _import_extra(module: str, extra: str, *, alone: bool = False) -> Any:
    """Import a module of an extra.

    Args:
        module: its name.
        extra: of this package, for the message.
        alone: the module must be installed after the extra, without its dependencies.

    Raises:
        UserError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        command = f"pip install 'gan_jax[{extra}]'"
        if alone:
            command += f" && pip install --no-deps {name}"
        raise UserError(f"this needs {name}: {command}") from error


# The ONNX converter supports most of lax, but not all operations of these networks.


def to_onnx_operations(
    function: Callable[..., Array], *shapes: jax.ShapeDtypeStruct | Array
) -> Callable[..., Array]:
    """Rewrite a function in operations that the ONNX converter supports.

    Platform-dependent parts get the form for accelerators, kernels the layout [h w in out], and
    padding becomes concatenation and slicing.

    Args:
        function: of arrays to one array.
        shapes: of its inputs.

    Returns:
        A function with the same values for inputs of these shapes.
    """
    closed = jax.make_jaxpr(function)(*shapes)

    def run(*inputs: Array) -> Array:
        (out,) = _interpret(closed.jaxpr, closed.consts, inputs)
        return out

    return run


def _interpret(jaxpr: core.Jaxpr, consts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= dict(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for eqn in jaxpr.eqns:
        given = [read(atom) for atom in eqn.invars]
        values |= dict(zip(eqn.outvars, _apply(eqn, given), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(eqn: core.JaxprEqn, given: list[Any]) -> list[Any]:
    name, params = eqn.primitive.name, eqn.params
    if name == "platform_index":  # the entry without names is the default
        return [np.int32(next(i for i, names in enumerate(params["platforms"]) if not names))]
    if name == "cond" and isinstance(given[0], np.generic | np.ndarray):
        branches: Any = params["branches"]
        chosen = branches[min(max(int(given[0]), 0), len(branches) - 1)]
        return _interpret(chosen.jaxpr, chosen.consts, given[1:])
    inner: Any = params.get("call_jaxpr") or params.get("jaxpr")
    if inner is not None and name in ("jit", "pjit", "custom_vjp_call", "custom_jvp_call"):
        return _interpret(inner.jaxpr, inner.consts, given)
    if name == "conv_general_dilated":
        return [_conv(given[0], given[1], params)]
    if name == "pad":
        return [_pad(given[0], given[1], params["padding_config"])]
    if name == "clamp" and all(isinstance(x, np.generic | np.ndarray | int) for x in given):
        low, x, high = given
        return [np.int32(min(max(x, low), high))]
    out = eqn.primitive.bind(*given, **params)
    return list(out) if eqn.primitive.multiple_results else [out]


def _conv(x: Array, kernel: Array, params: Mapping[str, Any]) -> Array:
    """Apply a convolution with its kernel in the layout [h w in out]."""
    spec = params["dimension_numbers"]
    out, into, *space = spec.rhs_spec
    kernel = jnp.transpose(kernel, (*space, into, out))
    layout = lax.ConvDimensionNumbers(spec.lhs_spec, (3, 2, 0, 1), spec.out_spec)
    return lax.conv_general_dilated(
        x,
        kernel,
        params["window_strides"],
        params["padding"],
        params["lhs_dilation"],
        params["rhs_dilation"],
        layout,
        params["feature_group_count"],
        params["batch_group_count"],
        params["precision"],
        params["preferred_element_type"],
    )


def _pad(x: Array, fill: Array, padding: Sequence[tuple[int, int, int]]) -> Array:
    """Apply `lax.pad` by concatenation and slicing; interior padding adds a row to each pixel."""

    def join(x: Array, axis: int, low: int, high: int) -> Array:
        def block(size: int) -> Array:
            shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
            return lax.broadcast_in_dim(fill, shape, ())

        before, after = [block(low)] if low > 0 else [], [block(high)] if high > 0 else []
        parts = [*before, x, *after]
        return lax.concatenate(parts, axis) if len(parts) > 1 else x

    for axis, (low, high, inside) in enumerate(padding):
        if inside:
            shape = (*x.shape[:axis], x.shape[axis] * (inside + 1), *x.shape[axis + 1 :])
            x = lax.reshape(join(lax.expand_dims(x, [axis + 1]), axis + 1, 0, inside), shape)
            high -= inside
        x = join(x, axis, low, high)
        if min(low, high) < 0:
            x = lax.slice_in_dim(x, max(-low, 0), x.shape[axis] - max(-high, 0), 1, axis)
    return x


# Files beside the programs.

_LOADER = '''"""Runs the programs of this folder; needs jax and flatbuffers alone.

python load.py            # writes NAME.npy for every program, of made-up inputs
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

HERE = Path(__file__).resolve().parent
PROGRAMS = json.loads((HERE / "programs.json").read_text())


def weights():
    """The arrays of model.safetensors: the header's length, the header as JSON, the numbers."""
    data = (HERE / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, last = (start + offset for offset in entry["data_offsets"])
            dtype = {"F32": np.float32, "I32": np.int32}[entry["dtype"]]
            found[name] = np.frombuffer(data[first:last], dtype).reshape(entry["shape"])
    return found


def load(name, platform=None):
    """A program as a function of (weights(), *inputs), for the platform that jax runs on."""
    backend = jax.default_backend()
    platform = platform or {"gpu": "cuda"}.get(backend, backend)
    program = export.deserialize((HERE / f"{name}.{platform}.stablehlo").read_bytes())
    return jax.jit(program.call)


def example(name, batch=4):
    """Inputs of the right shapes."""
    key = jax.random.key(0)
    return [
        jnp.zeros((batch, *one["shape"]), jnp.int32)
        if one["dtype"] == "int32"
        else jax.random.normal(key, (batch, *one["shape"]))
        for one in PROGRAMS[name]["inputs"]
    ]


if __name__ == "__main__":
    held = weights()
    for name in PROGRAMS:
        made = load(name)(held, *example(name))
        np.save(HERE / f"{name}.npy", made)
        print(name, made.shape)
'''


def save_loader(folder: Path, signatures: Mapping[str, object]) -> None:
    """Write the programs' signatures and a script that runs them."""
    (folder / SIGNATURES).write_text(json.dumps(signatures, indent=2))
    (folder / LOADER).write_text(_LOADER)


def count_millions(weights: Mapping[str, np.ndarray]) -> float:
    """Return the number of parameters in millions."""
    return sum(math.prod(x.shape) for x in weights.values()) / 1e6
