"""Finds recipes and tables in experiment files: those of the package, and a user's own."""

import functools
import importlib.util
import inspect
import sys
import traceback
import types
import typing
import zlib
from collections.abc import Callable
from pathlib import Path

from gan_jax.config.ablation import Ablation
from gan_jax.config.check import check
from gan_jax.config.schema import Experiment
from gan_jax.errors import UserError, nearest


def _experiments() -> Path:
    """The folder of the package's recipes: in the package as installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "experiments"
    return inside if inside.is_dir() else package.parent / "experiments"


EXPERIMENTS = _experiments()


def find(name: str | Path, folder: str = "") -> Path:
    """The experiment file of a name.

    Args:
        name: a path; or, without the ending .py, a file of the package: "dcgan". A path that begins
            with "experiments/" is one of the package where there is no such file.
        folder: where among the files of the package such a name is looked up first.

    Raises:
        UserError: if there is no such file, naming the nearest.
    """
    file, own = Path(name), []
    if file.suffix == ".py" and file.is_file():
        return file
    if file.suffix != ".py" and not file.is_absolute():
        own = [EXPERIMENTS / folder / f"{name}.py", EXPERIMENTS / f"{name}.py"]
    elif file.parts[:1] == ("experiments",):
        own = [EXPERIMENTS.joinpath(*file.parts[1:])]
    for one in own:
        if one.is_file():
            return one
    folders = [one.parent for one in own if one.parent.is_dir()]
    beside = folders[0].glob("*.py") if folders else ()
    names = [one.name if file.suffix == ".py" else one.stem for one in beside]
    siblings = {*map(str, file.parent.glob("*.py")), *(str(file.parent / one) for one in names)}
    guess = f"; did you mean {nearest(str(name), siblings)}?" if siblings else ""
    raise UserError(f"no experiment file {str(name)!r}{guess}")


def find_table(path: str | Path) -> Path:
    """The file of an ablation table, by a path or a name of the package: "objectives"."""
    return find(path, "ablations")


def all_recipes() -> dict[str, Callable[[], Experiment]]:
    """The recipes of the package: "dcgan:quickstart", ..."""
    files = sorted(EXPERIMENTS.glob("*.py"))
    return {f"{file.stem}:{n}": make for file in files for n, make in recipes(file).items()}


def recipes(path: str | Path) -> dict[str, Callable[[], Experiment]]:
    """The recipes of an experiment file: its public functions that return an Experiment of nothing.

    Args:
        path: as `find` takes it.

    Raises:
        UserError: when the file does not exist.
    """
    module = load(path)
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

    Args:
        path: as `find_table` takes it.

    Raises:
        UserError: when the file does not exist.
    """
    values = vars(load(find_table(path))).items()
    return {n: v for n, v in values if isinstance(v, Ablation) and not n.startswith("_")}


def table(where: str) -> Ablation:
    """The table at `FILE.py:NAME`, or the only one of `FILE.py`; FILE.py as `find_table` takes it.

    Raises:
        UserError: naming the nearest table.
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


def load(path: str | Path) -> types.ModuleType:
    """The module of an experiment file, run once as long as the file does not change.

    Args:
        path: as `find` takes it.

    Raises:
        UserError: if there is no such file or it cannot be run, with the line.
    """
    file = find(path)
    return _run(file.resolve(), file.stat().st_mtime_ns)


@functools.cache
def _run(file: Path, changed: int) -> types.ModuleType:
    name = f"{file.stem}_{zlib.crc32(str(file).encode()):08x}"  # of its own: other files may share
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{str(file)!r} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look up their annotations
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))  # for modules that lie beside it
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
        raise UserError(f"{str(file)!r} cannot be read: line {line}: {what}") from error
    return module


def recipe(where: str) -> Experiment:
    """The experiment at `FILE.py:NAME`, checked; FILE.py as `find` takes it: "dcgan:quickstart".

    Raises:
        UserError: naming the nearest recipe.
    """
    path, colon, name = where.rpartition(":")
    if not colon:
        path, name = where, ""
        named = [known for known in all_recipes() if known.endswith(f":{where}")]
        if named:
            raise UserError(f"no recipe {where!r}; did you mean {' or '.join(map(repr, named))}?")
    found = recipes(path)
    if name not in found:
        why = _no_recipe(vars(load(path)).get(name))
        guess = why or f"; did you mean {nearest(name, found)}?"
        raise UserError(f"no recipe {name!r} in {path}{guess}")
    return check(found[name]())


def _no_recipe(value: object) -> str:
    """Why a file's value of the name asked for is no recipe; "" where there is none."""
    if not isinstance(value, types.FunctionType) or value.__name__.startswith("_"):
        return ""
    name = value.__name__
    if typing.get_type_hints(value).get("return") is not Experiment:
        return f": the function does not say what it returns; write `def {name}() -> Experiment:`"
    return ": the function takes arguments without a default, and a recipe takes none"
