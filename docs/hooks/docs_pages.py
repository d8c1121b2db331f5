"""Hooks of the site: pages made of notebooks, and directives that include what the code says.

A page asks for generated content by a comment such as `<!-- recipes: dcgan cgan -->`; `DIRECTIVES`
lists them.
"""

import re
import statistics
from collections.abc import Callable
from typing import Any

import docs_math
import docs_notebooks
import docs_orderings
import docs_sources as sources
from mkdocs.structure.files import File

ROOT = sources.ROOT
DIRECTIVE = re.compile(r"^<!-- ([a-z]+): *(.*?) *-->$", flags=re.MULTILINE)
ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}
GOALS = {
    "01_a_game_of_two_numbers": "Predict from eigenvalues whether the players of a game approach "
    "its equilibrium, and say what R1, alternation and optimism change.",
    "02_mixtures_of_gaussians": "Recognise mode collapse, count covered modes, and compare a run "
    "with R1 to a run without.",
    "03_loss_landscapes": "Slice the losses of a trained GAN, read a path-angle plot, and tell "
    "rotation from attraction in the spectrum of the game's Jacobian.",
    "04_reading_an_ablation": "Judge whether two rows of a table differ, from the seeds and not "
    "from the means alone.",
    "05_gan_against_vae": "Compare two objectives with one decoder, and know which quantities "
    "compare between them.",
    "06_latent_space": "Mix, truncate and walk between styles, find directions with and without "
    "labels, and project a real picture.",
}


def _recipes(stems: str) -> str:
    parts = []
    for stem in stems.split():
        for recipe in sources.recipes(stem):
            body = sources.prose(recipe.text).replace("\n", "\n    ")
            parts.append(f"`{recipe.where}`\n\n:   {body}\n")
    return "\n".join(parts)


def _every_recipe(_: str) -> str:
    rows = []
    for stem in sources.experiment_files():
        title, head = f"## experiments/{stem}.py", "| recipe | what it is | measured |"
        rows += ["", title, "", head, "| --- | --- | --- |"]
        for recipe in sources.recipes(stem):
            name, summary = recipe.where.rpartition(":")[2], sources.prose(recipe.summary)
            rows.append(f"| `{name}` | {summary} | {recipe.measured or '—'} |")
    return "\n".join(rows)


def _fields(where: str) -> str:
    name, path = where.split()
    about, found = sources.fields(name, path)
    rows = ["| field | type or values | default | meaning |", "| --- | --- | --- | --- |"]
    for one in found:
        text = sources.prose(one.help) or "has fields of its own"
        cells = [f"`{one.name}`", _code(one.values), _code(one.default), text]
        rows.append("| " + " | ".join(cells) + " |")
    return sources.prose(about) + "\n\n" + "\n".join(rows)


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _metrics(_: str) -> str:
    words = sources.capabilities()
    rows = ["| metric | quantities | needs |", "| --- | --- | --- |"]
    for metric in sources.metrics():
        better = [f"`{name}` {ARROWS[way]}".strip() for name, way in metric.better.items()]
        needs = [words.get(need, need) for need in sorted(metric.needs)]
        needs += ["a test split"] if "test" in metric.uses else []
        rows.append(f"| `{metric.name}` | {', '.join(better)} | {'; '.join(needs)} |")
    return "\n".join(rows)


def _file(path: str) -> str:
    text = (ROOT / path).read_text()
    if path.endswith(".md"):
        return re.sub(r"^# .*\n+", "", text).rstrip()
    return f"```python\n{text.rstrip()}\n```"


def _ablations(_: str) -> str:
    parts = []
    tables = ROOT / "experiments" / "ablations"
    for stem in sorted(
        sources.ablation_files(), key=lambda stem: not (tables / f"{stem}.md").is_file()
    ):
        text = sources.docstring(f"experiments/ablations/{stem}.py")
        parts.append(f"## {stem.replace('_', ' ').capitalize()}\n\n{sources.prose(text)}")
        table = f"experiments/ablations/{stem}.md"
        if (ROOT / table).is_file():
            parts.append(f"Result (`{table}`):\n\n{_file(table)}")
    return "\n\n".join(parts)


def _zoo(_: str) -> str:
    parts = []
    for name, card in sources.zoo().items():
        data, size = card["data"], card["bytes"] / 1e6
        facts = {
            "recipe": f"`{card['recipe']}`, revision {card['revision'][:7]}, seed {card['seed']}",
            "training": f"{card['kimg']:g} kimg, {card['minutes']:g} minutes on {card['device']}, "
            f"{card['checkpoint']} checkpoint",
            "weights": f"{card['parameters']:,} of {card['dtype']}, {size:.2f} MB; rounding moves "
            f"the grid by at most {card['rounding']['max']:g} of 255 levels",
            "licence": card["licence"],
            "data": f"`{data['name']}`: {'; '.join(data['attribution'])}; "
            f"{'; '.join(data['licence'])}",
        }
        scores = [(f"`{n}`", f"{m['value']:g} ({m['date']})") for n, m in card["metrics"].items()]
        rows = [f"| {name} | {value} |" for name, value in [*facts.items(), *scores]]
        picture = f"![{card['description']}](../assets/zoo/{name}.png){{ loading=lazy }}"
        title = f"## zoo:{name}\n\n{card['description']}\n\n{picture}"
        parts.append("\n".join([title, "", "| | |", "| --- | --- |", *rows]))
    return "\n\n".join(parts)


def _results(_: str) -> str:
    """A section for every result file, with the mean of each metric over its seeds."""
    parts = []
    for name, result in sources.results().items():
        minutes = ", ".join(f"{m:g}" for m in result["minutes"])
        facts = {
            "command": f"`{result['command']}`",
            "revision, configuration": f"{', '.join(r[:7] for r in result['revision'])}, "
            f"{result['fingerprint']}",
            "seeds": ", ".join(map(str, result["seeds"])),
            "training": f"{result['kimg']:g} kimg, {minutes} minutes on {result['device']}",
            "measured": result["date"],
        }
        rows = [f"| {fact} | {value} |" for fact, value in facts.items()]
        for metric, values in result["metrics"].items():
            spread = f" ± {statistics.stdev(values):.3g}" if len(values) > 1 else ""
            rows.append(f"| `{metric}` | {statistics.fmean(values):.4g}{spread} |")
        title = f"## {name}\n\n`{result['recipe']}`"
        parts.append("\n".join([title, "", "| | |", "| --- | --- |", *rows]))
    return "\n\n".join(parts) or "None yet."


DIRECTIVES: dict[str, Callable[[str], str]] = {
    "recipes": _recipes,  # the recipes of experiment files, with their docstrings
    "every": _every_recipe,  # "every: recipe": a table of all
    "fields": _fields,  # "fields: Gan gan_jax/config/games.py": a table of a dataclass
    "metrics": _metrics,  # "metrics: all": the registry as a table
    "file": _file,  # a Markdown file without its title, or a Python file as code
    "zoo": _zoo,  # "zoo: all": the cards of the trained generators in the package
    "results": _results,  # "results: all": the result files of experiments/results
    "orderings": lambda _: docs_orderings.table(),  # "orderings: all": papers beside our tables
    "ablations": _ablations,  # "ablations: all": docstrings and published tables
}


def expand(markdown: str) -> str:
    """Replace the directives of a page.

    Raises:
        KeyError: for an unknown directive.
    """
    return DIRECTIVE.sub(lambda found: DIRECTIVES[found[1]](found[2]), markdown)


def on_files(files: Any, config: Any) -> Any:
    """Add the notebooks as pages, and the pictures of the README and of the zoo."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = docs_notebooks.read(path, GOALS.get(path.stem, ""))
        pages = {f"tutorials/{path.stem}.md": notebook.markdown}
        pages |= {f"tutorials/{name}": data for name, data in notebook.pictures.items()}
        for uri, content in pages.items():
            files.append(File.generated(config, uri, content=content))
    pictures = {f"pictures/{path.name}": path for path in sorted((ROOT / ".github").iterdir())}
    pictures |= {
        f"zoo/{name}.png": ROOT / "gan_jax" / "zoo" / name / "grid.png" for name in sources.zoo()
    }
    for uri, path in pictures.items():
        if path.suffix in (".png", ".gif"):
            files.append(File.generated(config, f"assets/{uri}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Expand the directives."""
    return expand(markdown)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Convert the formulas."""
    return docs_math.to_mathml(html)
