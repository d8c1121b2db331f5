"""Who may import whom, read from the syntax tree: imports inside functions count as well."""

import ast
import sys

import pytest
from helpers.paths import ROOT

from gan_jax.commands import VERBS

FILES = sorted(ROOT.glob("gan_jax/**/*.py"))
# Of the package: what each layer may import beside itself, from the ground up.
OURS = {
    "errors": set(),
    "json_types": set(),
    "zoo": {"errors", "json_types"},
    "progress": set(),
    "grids": {"errors"},
    "torch_file": {"errors"},
    "config": {"errors", "json_types"},
    "averages": set(),
    "game": {"averages"},
    "objectives": set(),
    "penalties": set(),
    "latents": set(),
    "augment": set(),
    "parallel": set(),
    "games": {"augment", "averages", "game", "latents", "objectives", "penalties"},
    "networks": {"errors"},
    "data": {"config", "errors", "json_types", "progress"},
    "metrics": {"errors", "networks", "torch_file"},
    "landscape": {"errors", "game"},
    "sampling": {"data", "errors", "game", "grids", "latents", "metrics", "networks", "parallel"},
    "build": {
        "augment",
        "averages",
        "config",
        "data",
        "errors",
        "game",
        "games",
        "latents",
        "metrics",
        "networks",
        "objectives",
        "parallel",
        "penalties",
        "sampling",
    },
    "editing": {"data", "errors", "game", "grids", "latents", "sampling"},
    "evaluation": {
        "build",
        "config",
        "data",
        "editing",
        "errors",
        "game",
        "metrics",
        "parallel",
        "progress",
        "sampling",
    },
    "reporting": {
        "build",
        "config",
        "data",
        "errors",
        "evaluation",
        "game",
        "grids",
        "json_types",
        "metrics",
    },
    "interop": {"build", "config", "errors", "game", "sampling", "torch_file"},
    "training": {
        "averages",
        "build",
        "config",
        "data",
        "errors",
        "evaluation",
        "game",
        "grids",
        "interop",
        "json_types",
        "latents",
        "metrics",
        "networks",
        "parallel",
        "progress",
        "reporting",
        "sampling",
        "zoo",
    },
    "planning": {"build", "config", "errors", "game", "json_types", "parallel"},
    "__init__": {"build", "data", "evaluation", "game", "training"},
    "commands": {
        "zoo",
        "__init__",
        "build",
        "config",
        "data",
        "editing",
        "errors",
        "evaluation",
        "game",
        "grids",
        "interop",
        "json_types",
        "metrics",
        "parallel",
        "planning",
        "reporting",
        "sampling",
        "training",
    },
}
ARRAYS = {"jax", "flax", "optax", "jaxtyping", "numpy"}
PICTURES = {"numpy", "jaxtyping", "PIL"}

# Of other projects. The standard library is free to all.
THEIRS = {
    **dict.fromkeys(
        ("averages", "game", "objectives", "penalties", "latents", "augment", "parallel"), ARRAYS
    ),
    "__init__": set(),
    "errors": set(),
    "json_types": set(),
    "zoo": set(),
    "progress": {"jax"},
    "grids": {*PICTURES, "matplotlib"},
    "config": set(),
    "games": ARRAYS,
    "networks": ARRAYS,
    "data": {*PICTURES, "grain", "tensorflow_datasets", "tqdm", "scipy"},
    "torch_file": {"numpy", "ml_dtypes"},
    "metrics": {*ARRAYS, "h5py", "scipy"},
    "landscape": {*ARRAYS, "scipy", "matplotlib"},
    "sampling": {*ARRAYS, *PICTURES},
    "build": ARRAYS,
    "editing": {*ARRAYS, "PIL"},
    "evaluation": {*ARRAYS, "tqdm"},
    "reporting": {*ARRAYS, *PICTURES, "jinja2", "markupsafe", "matplotlib", "tensorboardX", "tqdm"},
    "training": {*ARRAYS, "orbax"},
    "planning": ARRAYS,
    "interop": {"jax", "jaxtyping", "numpy", "safetensors"},
    "commands": {"flax", "jax", "numpy", "tensorflow_datasets", "tqdm", "tyro"},
}

# What places arrays or maps over devices belongs to parallel.py. How many devices or processes
# there are may be read where a run is looped over or recorded.
PLACING = {"jax.pmap", "jax.shard_map", "jax.make_mesh", "jax.set_mesh", "jax.local_devices"}
PLACING |= {"jax.sharding.NamedSharding", "jax.sharding.PartitionSpec"}
COUNTING = {"jax.devices", "jax.device_count", "jax.process_index", "jax.process_count"}
COUNTERS = {"reporting/environment.py", "training/loop.py"}


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
def test_layers_import_only_what_is_listed(path):
    allowed = OURS[layer(path)]
    assert set(ours(path)) <= allowed | {layer(path)}, f"{layer(path)} may import {sorted(allowed)}"


@each
def test_layers_use_only_their_own_libraries(path):
    allowed = THEIRS[layer(path)]
    assert set(theirs(path)) <= allowed, f"{layer(path)} may use {sorted(allowed)}"


def test_no_layer_imports_one_above_it():
    """`OURS` is in order: of what a layer imports, all stands before it. So there is no circle."""
    above = list(OURS)
    for number, (name, below) in enumerate(OURS.items()):
        assert below <= set(above[:number]), name


def test_every_arrow_is_of_an_import():
    """One that no file uses would let the next file in unseen."""
    used = {name: {name} for name in OURS}
    for path in FILES:
        used[layer(path)].update(ours(path))
    assert {
        name: allowed - used[name] for name, allowed in OURS.items() if allowed - used[name]
    } == {}


def test_no_layer_may_use_other_frameworks_or_what_stands_on_top():
    never = {"tensorflow", "torch", "torchvision", "keras"}
    never |= {"scripts", "experiments", "tests", "notebooks", "cli"}
    assert not never & set.union(*THEIRS.values())


EXPERIMENTS = sorted(ROOT.glob("experiments/**/*.py"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_experiments_are_configuration(path):
    assert set(ours(path)) <= {"config"} and not set(theirs(path))


TWINS = [ROOT / "scripts" / f"{verb.replace('-', '_')}.py" for verb in VERBS]


@pytest.mark.parametrize("path", TWINS, ids=lambda path: path.name)
def test_a_script_of_a_command_only_runs_it(path):
    assert set(imports(path)) == {"gan_jax.commands.cli", f"gan_jax.commands.{path.stem}.main"}
    assert len(path.read_text().splitlines()) < 10


def test_every_command_has_a_module():
    files = {path.stem for path in ROOT.glob("gan_jax/commands/*.py")} - {"__init__", "cli", "main"}
    assert {verb.replace("-", "_") for verb in VERBS} == files


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


def test_tests_do_not_import_each_other():
    for file in (ROOT / "tests").rglob("*.py"):
        modules = {part for name in imports(file) for part in name.split(".")}
        assert not [module for module in modules if module.startswith("test_")], file
