"""Exports a trained run to files that need nothing of this project.

gan-jax export RUN --out DIR                                # safetensors, StableHLO
gan-jax export RUN --out DIR --format safetensors onnx

DIR/README.md is a model card; model.safetensors the weights that make samples (averaged, where
there are such); NAME.PLATFORM.stablehlo a program for batches of any size, `load.py` runs it with
jax alone; NAME.onnx program and weights in one. Programs: `generate` from noise (and a label or a
caption's vector), `x2y` and `y2x` from pictures. They are deterministic: noise is the constant one,
dropout is off.
"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gan_jax import zoo
from gan_jax.commands import cli
from gan_jax.errors import UserError
from gan_jax.json_types import JsonObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gan_jax.build.parts import Built
    from gan_jax.data.builders.base import ImageSet
    from gan_jax.interop.programs import Program

Format = Literal["safetensors", "stablehlo", "onnx"]


@dataclasses.dataclass(frozen=True)
class Options:
    """What to export, and where to."""

    out: str = ""
    """The folder to write, by default RUN/export."""
    format: tuple[Format, ...] = ("safetensors", "stablehlo")
    """stablehlo writes safetensors as well, which its programs are given."""
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda", "tpu")
    """Whose StableHLO to write."""
    step: int | Literal["best"] | None = None
    """The checkpoint's round, or 'best' of a run with run.best; by default the newest."""
    ema: float | None = None
    """Of a run with several averages, the half-life in kimg of those that make the samples; by
    default game.ema_kimg."""


WRITTEN = ("README.md", "model.safetensors", "programs.json", "load.py")
MADE = "Made by gan_jax"  # by which a model card is known as ours


def main() -> None:
    """Reads the run's directory and the flags, then writes the folder."""
    workdir, options = cli.of_run(Options(), __doc__)
    if not options.format or not options.platforms:
        raise UserError("--format and --platforms take at least one each")
    out = Path(options.out or zoo.outputs(workdir) / "export")
    card = out / "README.md"
    taken = [name for name in WRITTEN if (out / name).exists()]
    if taken and not (card.is_file() and MADE in card.read_text(errors="replace")):
        raise UserError(
            f"--out {out} holds a {taken[0]} that is no export's: choose another folder"
        )

    cli.writable(card)

    from gan_jax.build.data import find_data
    from gan_jax.interop import portable, programs
    from gan_jax.training import run_dir

    cli.compilation_cache()
    built, step, state = run_dir.load(workdir, options.step, options.ema)
    variables, made = programs.make_programs(built, state)
    weights = portable.flatten(variables)
    out.mkdir(parents=True, exist_ok=True)
    averaged = {} if options.ema is None else {"ema_kimg": f"{options.ema:g}"}
    facts = {"step": str(step), "run": json.dumps(run_dir.read_config(workdir)["experiment"])}
    facts |= averaged
    if {"safetensors", "stablehlo"} & set(options.format):
        portable.save_weights(out, weights, facts)
    for one in made:
        shapes = [(given.name, given.shape, given.dtype) for given in one.inputs]
        if "stablehlo" in options.format:
            plain = [(shape, dtype) for _, shape, dtype in shapes]
            portable.save_programs(out, one.name, one.run, weights, plain, options.platforms)
        if "onnx" in options.format:
            portable.save_onnx(out, one.name, one.run, weights, shapes)
    if "stablehlo" in options.format:
        inputs = {one.name: [given._asdict() for given in one.inputs] for one in made}
        portable.save_loader(out, {name: {"inputs": given} for name, given in inputs.items()})
    source = find_data(built) if getattr(built.experiment.game, "classes", 0) else None
    names = tuple(source.class_names or ()) if source is not None else ()
    text = make_card(workdir, built, step, made, portable.count_millions(weights), options, names)
    card.write_text(text)
    for path in sorted(out.iterdir()):
        if path.is_file():
            print(f"{path}: {path.stat().st_size:,} bytes")


LOADING = {
    "safetensors": """From `model.safetensors`, in this project or any framework (float32; kernels \
[h w in out]):

```python
from safetensors.numpy import load_file
weights = load_file("model.safetensors")  # "generator.params.out.kernel": [h w in out], ...
```""",
    "stablehlo": """As StableHLO, with jax and flatbuffers alone (`load.py` is an example):

```python
import load
pictures = load.load("{name}")(load.weights(), {arguments})
```""",
    "onnx": """As ONNX:

```python
import onnxruntime
session = onnxruntime.InferenceSession("{name}.onnx")
(pictures,) = session.run(None, {{{feed}}})
```""",
}


def make_card(
    workdir: Path,
    built: "Built",
    step: int,
    made: "Sequence[Program]",
    millions: float,
    options: Options,
    class_names: tuple[str, ...],
) -> str:
    """The model card: what it is, of which data and licence, how good, and how it is loaded."""
    from gan_jax.build import schedule
    from gan_jax.data.builders import DECLARED
    from gan_jax.reporting import ablation_table, run_log
    from gan_jax.training import run_dir

    about, experiment = run_dir.read_config(workdir), built.experiment
    data = about["data"]
    declared = DECLARED.get(experiment.data.name)
    revision = (about.get("revision") or "unknown") + (" (changed)" if about.get("dirty") else "")
    kimg = schedule.images(built.stages, step) / 1000.0
    lines = [
        f"# {experiment.name}",
        "",
        f"Recipe `{about['recipe']}`, round {step} ({kimg:g} thousand images), "
        f"{millions:.2f} million numbers, seed {about['seed']}.",
        f"{MADE}, revision {revision}, configuration {about['fingerprint']}.",
        "",
        "## Data",
        "",
        *_data(workdir, step, data, declared),
        "",
        *_imported(workdir / run_dir.IMPORTED),
        "## Metrics",
        "",
    ]
    has = (workdir / run_log.METRICS).exists()
    scores = ablation_table.final_scores(workdir) if has else zoo.scores(workdir)
    if scores:
        lines += ["| metric | value |", "| --- | --- |"]
        lines += [f"| {name} | {value:.4g} |" for name, value in scores.items()]
        lines += ["", "Of the run's last evaluation; a name says count, split, features, resizer."]
    else:
        lines.append("None was taken.")
    lines += ["", "## Programs", ""]
    for one in made:
        given = [f"{i.name} {i.dtype}[{' '.join(map(str, ('b', *i.shape)))}]" for i in one.inputs]
        said = [f"{g} ({i.meaning})" for g, i in zip(given, one.inputs, strict=True)]
        lines.append(f"- `{one.name}`: {', '.join(said)}")
    if class_names and any(i.name == "label" for one in made for i in one.inputs):
        lines += ["", "Classes: " + ", ".join(f"{n} {c}" for n, c in enumerate(class_names))]
    lines += ["", "## Loading", ""]
    first = made[0]
    fields = {
        "name": first.name,
        "arguments": ", ".join(i.name for i in first.inputs),
        "feed": ", ".join(f'"{i.name}": {i.name}' for i in first.inputs),
    }
    for kind in ("safetensors", "stablehlo", "onnx"):
        if kind in options.format:
            text = LOADING[kind]
            lines += [text.format(**fields) if kind != "safetensors" else text, ""]
    return "\n".join(lines)


def _data(workdir: Path, step: int, data: JsonObject, declared: "ImageSet | None") -> list[str]:
    """What was trained on, whose it is, and how it wants to be cited."""
    from gan_jax.training import run_dir

    if step == 0 and (workdir / run_dir.IMPORTED).exists():
        return ["What the imported weights were trained on; their authors say it."]
    licence = declared.licence if declared else "not known to the project: ask whose data it is"
    cite = [f"Cite: {declared.citation}"] if declared and declared.citation else []
    about = f"`{data['name']}`. {data['description']}".strip()
    return [about, "", f"Licence and attribution: {licence}.", *cite]


def _imported(path: Path) -> list[str]:
    """Where imported networks came from."""
    if not path.exists():
        return []
    networks = json.loads(path.read_bytes())["networks"].items()
    said = [f"- {name}: `{one['file']}`, SHA-256 {one['sha256']}" for name, one in networks]
    return ["## Imported weights", "", *said, "", "Their licence is their authors'.", ""]
