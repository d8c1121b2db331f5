"""Who may import whom, read from the syntax tree: imports inside functions count as well."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(ROOT.glob("gan_jax/**/*.py"))
CORE = {"game", "objectives", "penalties", "latents", "augment", "parallel"}
TRAINING = {"config", *CORE, "games", "networks", "data", "metrics", "landscape", "control"}
TRAINING |= {"training"}

# Of the package: what each layer may import beside itself. `config` is there for its UserError.
OURS = {
    **{name: set() for name in CORE},
    "__init__": {"game"},
    "config": set(),
    "games": {"games", "game", "objectives", "penalties", "latents", "augment"},
    "networks": {"networks", "config"},
    "data": {"data", "config"},
    "torch_file": {"config"},
    "metrics": {"metrics", "networks", "config", "torch_file"},
    "landscape": {"landscape", "game", "config"},
    "control": {"control", "latents", "config"},
    "training": TRAINING,
    "interop": {"interop", "networks", "training", "config", "torch_file"},
}
ARRAYS = {"jax", "flax", "optax", "jaxtyping", "numpy"}
PICTURES = {"numpy", "jaxtyping", "PIL"}

# Of other projects. The standard library is free to all.
THEIRS = {
    **{name: ARRAYS for name in CORE},
    "__init__": set(),
    "config": set(),
    "games": ARRAYS,
    "networks": ARRAYS,
    "data": {*PICTURES, "grain", "tensorflow_datasets", "tqdm", "array_record", "scipy"},
    "torch_file": {"numpy", "ml_dtypes"},
    "metrics": {*ARRAYS, *PICTURES, "scipy", "ml_dtypes"},
    "landscape": {*ARRAYS, "scipy", "matplotlib"},
    "control": ARRAYS,
    "training": {*ARRAYS, *PICTURES, "orbax", "matplotlib", "tensorboardX", "tqdm"},
    "interop": {*ARRAYS, "orbax", "safetensors"},
}

# What places arrays or maps over devices belongs to parallel.py. How many devices or processes
# there are may be read where a run is built, looped over or recorded.
PLACING = {"jax.pmap", "jax.shard_map", "jax.make_mesh", "jax.set_mesh", "jax.local_devices"}
PLACING |= {"jax.sharding.NamedSharding", "jax.sharding.PartitionSpec"}
COUNTING = {"jax.devices", "jax.device_count", "jax.process_index", "jax.process_count"}
COUNTERS = {"training/build.py", "training/records.py", "training/loop.py"}


def name_of(path):
    return path.relative_to(ROOT / "gan_jax").as_posix()


def layer(path):
    return name_of(path).partition("/")[0].removesuffix(".py")


def imports(path):
    """Dotted names of everything a file imports, with what is taken `from` a package joined on."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path):
    """The package's own layers that a file imports; `__init__` for names of the package itself."""
    modules = {layer(file) for file in FILES} | {"config"}
    for name in imports(path):
        first, _, rest = name.partition(".")
        if first == "gan_jax":
            part = rest.partition(".")[0]
            yield part if part in modules else "__init__"


def theirs(path):
    for name in imports(path):
        first = name.partition(".")[0]
        if first not in sys.stdlib_module_names and first != "gan_jax":
            yield first


each = pytest.mark.parametrize("path", FILES, ids=name_of)


def test_every_layer_has_its_rule():
    assert {layer(path) for path in FILES} <= OURS.keys() == THEIRS.keys()


@each
def test_layers_import_only_what_lies_below(path):
    allowed = OURS[layer(path)]
    assert set(ours(path)) <= allowed, f"{layer(path)} may import {sorted(allowed)}"


@each
def test_layers_use_only_their_own_libraries(path):
    allowed = THEIRS[layer(path)]
    assert set(theirs(path)) <= allowed, f"{layer(path)} may use {sorted(allowed)}"


@each
def test_neither_tensorflow_nor_torch(path):
    assert not {"tensorflow", "torch", "torchvision", "keras"} & set(theirs(path))


@each
def test_nothing_imports_what_stands_on_top(path):
    above = {"scripts", "experiments", "tests", "notebooks", "cli"}
    assert not above & {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", [p for p in FILES if layer(p) == "interop"], ids=name_of)
def test_interop_sees_only_the_checkpoints_of_training(path):
    training = {name for name in imports(path) if name.startswith("gan_jax.training")}
    assert all(name.startswith("gan_jax.training.checkpoint") for name in training)


def test_one_core_file_does_not_know_another():
    for path in FILES:
        if layer(path) in CORE:
            assert not set(ours(path)), path


EXPERIMENTS = sorted(ROOT.glob("experiments/**/*.py"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_experiments_are_configuration(path):
    assert set(ours(path)) <= {"config"} and not set(theirs(path))


def dotted(node):
    """`jax.sharding.Mesh` of the tree's attributes; "" of anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@each
def test_only_parallel_names_devices(path):
    """Others may hold a mesh that it made; a few may say how many devices there are."""
    if name_of(path) == "parallel.py":
        return
    used = {dotted(node) for node in ast.walk(ast.parse(path.read_text()))} | set(imports(path))
    assert not PLACING & used
    assert not COUNTING & used or name_of(path) in COUNTERS
