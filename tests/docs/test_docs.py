"""What the pages of the site name exists; the site itself is built by scripts/docs.sh."""

import dataclasses
import importlib
import re
import sys

import pytest
from helpers.paths import ROOT

from gan_jax import config
from gan_jax.build.parts import CAPABILITIES
from gan_jax.commands import VERBS
from gan_jax.config import kinds
from gan_jax.evaluation import registry

sys.path.append(str(ROOT / "docs" / "hooks"))
import docs_notebooks
import docs_orderings
import docs_sources as sources

DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in DOCS.rglob("*.md")}
PAGES |= {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "CHANGELOG.md")}
NAV = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
HOOKS = (DOCS / "hooks" / "docs_pages.py").read_text()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MADE = {f"tutorials/{path.stem}.md" for path in NOTEBOOKS}  # when the site is built


def named(pattern: str) -> list[tuple[str, str]]:
    """Every match of a pattern in the pages, with the page."""
    found = {(page, m) for page, text in PAGES.items() for m in re.findall(pattern, text)}
    assert found
    return sorted(found)


def test_the_navigation_has_every_page_once():
    written = {page for page in PAGES if (DOCS / page).is_file()}
    assert sorted(NAV) == sorted(written | MADE)


def test_every_recipe_named_exists():
    for page, where in named(r"experiments/\w+\.py:[a-z]\w*"):
        path, _, name = where.partition(":")
        assert name in config.recipes(ROOT / path), (page, where)


def test_every_command_named_exists_with_its_recipe_or_table():
    for page, verb in named(r"`?gan-jax ([a-z][a-z-]+)"):
        assert verb in VERBS, (page, verb)
    for page, where in named(r"gan-jax train (\w+:[a-z]\w*)"):
        assert config.recipe(where), page
    for page, name in named(r"gan-jax (?:ablate|table) ([a-z_]+)\b(?!\.py)"):
        assert config.tables(name), (page, name)


def test_every_recipe_is_read_from_the_source_as_it_is():
    for stem in sources.experiment_files():
        read = {recipe.where.partition(":")[2]: recipe.text for recipe in sources.recipes(stem)}
        real = config.recipes(ROOT / "experiments" / f"{stem}.py")
        assert read.keys() == real.keys()
        assert all(read.values())


def test_every_python_name_exists():
    for page, name in named(r"(?<![\w/.-])gan_jax(?:\.[A-Za-z_]\w*)+"):
        parts = name.split(".")
        for count in range(len(parts), 0, -1):
            try:
                value = importlib.import_module(".".join(parts[:count]))
            except ModuleNotFoundError:
                continue
            for part in parts[count:]:
                value = getattr(value, part, None)
                assert value is not None, (page, name)
            break


def test_every_file_named_exists():
    folders = "scripts|tests|gan_jax|notebooks|experiments|docs"
    pattern = rf"(?<![\w/.-])(?:{folders})/[\w./-]*\w\.(?:py|sh|md|ipynb|txt)\b"
    for page, path in named(pattern):
        assert (ROOT / path).is_file(), (page, path)


def test_every_flag_of_a_field_exists():
    roots = {"generator": config.Player, "discriminator": config.Player, "data": config.Data}
    roots |= {"run": config.Run}
    for page, flag in named(r"--(?:generator|discriminator|game|data|run)\.[\w.-]*\w"):
        first, *rest = flag.removeprefix("--").replace("-", "_").split(".")
        options = {roots.get(first)} - {None} or _kinds(kinds.Game)
        for name in rest:
            options = {kind for option in options for kind in _field(option, name)}
            assert options, (page, flag)


def _kinds(hint) -> set[type]:
    return {kind.config for kind in kinds.KINDS[hint].values()}


def _field(option, name: str) -> set:
    """The types of a field, or an empty set."""
    if name == "network" and option is config.Player:
        return _kinds(kinds.Network)
    for field in dataclasses.fields(option) if dataclasses.is_dataclass(option) else ():
        if field.name == name:
            made = field.default_factory
            return {made if dataclasses.is_dataclass(made) else object}
    return set()


def test_the_metrics_are_read_from_the_source_as_they_are():
    read = {metric.name: metric for metric in sources.metrics()}
    assert read.keys() == {n for n, m in registry.METRICS.items() if _is_ours(m)}
    for name, metric in read.items():
        assert dict(metric.better) == dict(registry.METRICS[name].better)
        assert metric.needs == registry.METRICS[name].needs
    assert sources.capabilities() == CAPABILITIES


def _is_ours(metric) -> bool:
    return metric.compute is None or metric.compute.__module__.startswith("gan_jax.")


def test_every_directive_has_something_to_include():
    readers = {
        "recipes": lambda stems: [sources.recipes(stem) for stem in stems.split()],
        "fields": lambda where: sources.fields(*where.split())[1],
        "file": lambda path: (ROOT / path).read_text(),
        "every": lambda _: True,
        "metrics": lambda _: True,
        "ablations": lambda _: sources.ablation_files(),
        "zoo": lambda _: sources.zoo(),
        "results": lambda _: sources.results() or ["none yet"],
        "orderings": lambda _: docs_orderings.ORDERINGS,
    }
    for page, (name, argument) in named(r"(?m)^<!-- ([a-z]+): *(.*?) *-->$"):
        assert readers[name](argument), (page, name, argument)
        assert f'"{name}":' in HOOKS


def test_the_fields_are_read_from_the_source_as_they_are():
    for name, path in (("Run", "schema"), ("Gan", "games"), ("Dcgan", "networks")):
        _, read = sources.fields(name, f"gan_jax/config/{path}.py")
        real = dataclasses.fields(getattr(config, name))
        assert [field.name for field in read] == [field.name for field in real]
        # A nested dataclass says itself what it is.
        assert all(field.help or field.default.endswith("()") for field in read)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_becomes_a_page_with_its_pictures(path):
    assert f'"{path.stem}":' in HOOKS  # its learning goal
    page, pictures = docs_notebooks.read(path, "Learn.")
    assert page.startswith("# ")
    assert pictures
    assert all(f"]({name})" in page for name in pictures)


def test_docstrings_become_markdown():
    made = sources.prose("Scale x_1 +- [a].\n\n    a  b\n\n    c  d\n\nThen `x_1`.")
    assert made == "Scale x\\_1 ± \\[a\\].\n\n```text\na  b\n\nc  d\n```\n\nThen `x_1`."


def test_the_example_of_the_home_page_plays_a_round():
    code = re.findall(r"```python\n(.*?)```", PAGES["index.md"], flags=re.DOTALL)[0]
    names: dict = {}
    exec(code, names)
    assert int(names["state"].step) == 1


VERDICTS = [
    ((1.0, 1.2), (2.0, 2.2), {}, "yes"),
    ((2.0, 2.2), (1.0, 1.2), {}, "no, reversed"),
    ((1.0, 3.0), (2.5, 2.6), {}, "level"),
    ((1.0, 1.2), (2.0, 2.2), {"better": "higher"}, "no, reversed"),
    ((1.0, 1.2), (2.0, 2.2), {"denied": True}, "no"),
    ((1.0, 3.0), (2.5, 2.6), {"denied": True}, "yes"),
    ((2.0, 2.2), (1.0, 1.2), {"denied": True}, "yes"),
]


@pytest.mark.parametrize(("ahead", "behind", "options", "verdict"), VERDICTS)
def test_an_ordering_holds_beyond_the_spread_of_the_seeds(
    ahead, behind, options, verdict, tmp_path, monkeypatch
):
    folder = tmp_path / "experiments" / "ablations"
    folder.mkdir(parents=True)
    lines = [f'{row},"fid1k[a,b]",0,{v}' for row, vs in (("a", ahead), ("b", behind)) for v in vs]
    (folder / "some.csv").write_text("\n".join(["row,metric,seed,value", *lines, "a,kid,0,7"]))
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    one = docs_orderings.Ordering("says", "source", "some", "a", "b", **options)
    assert one.verdict() == verdict
    with pytest.raises(KeyError, match="no fid of 'c'"):
        one._replace(behind="c").verdict()
