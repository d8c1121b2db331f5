"""What `scripts/accelerator.py` found, as lines while it runs and as a Markdown page."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.agreement import DEFAULT, EXACT, GRADIENTS, LOSSES
from benchmarks.jobs import NO_TIME
from gan_jax.planning.table import head
from gan_jax.planning.table import line as row_of

Found = Mapping[str, Any]
SIDES = {"project": "project", "eager": "PyTorch eager", "compiled": "PyTorch compiled"}
SKIPPED = ("PyTorch", "not compared")  # failures that say what was not tried


def about(device: Found) -> str:
    """The machine in one line."""
    memory = device.get("memory_mib")
    size = f", {memory / 1024:.0f} GiB for JAX" if memory else ""
    versions = ", ".join(f"{n} {device[n]}" for n in ("python", "jax", "jaxlib", "torch"))
    return f"{device['devices']} x {device['device']} ({device['platform']}{size}); {versions}"


def line(stage: str, row: Found) -> str:
    """A result as a line."""
    if stage == "agree":
        verdict = ("agrees" if row["agrees"] else f"DISAGREES in {row['worst']}") + " with the CPU"
        return (
            f"agree  {row['game']:18} products {row['products']:8} losses {row['losses']:.1e}  "
            f"gradients {row['gradients']:.1e}  {verdict if row['products'] == EXACT else ''}"
        ).rstrip()
    if stage == "speed":
        planned = row["planned_mib"]
        return (
            f"speed  {row['case']:15} {row['side']:9}{row['precision']:9}"
            f"{row['images_per_second']:10.4g} images/s  {row['memory_mib']:7.0f} MiB"
            f"{f' of {planned:.0f} planned' if planned else ''}, "
            f"first call {row['first_seconds']:.1f} s"
        )
    speed = row["images_per_second"]
    scores = "".join(f"; {name} {value:.4g}" for name, value in row["scores"].items())
    return (
        f"train  {row['recipe']}: {row['kimg']:g} kimg"
        f"{f' at {speed:.4g} images/s' if speed else ''}, ended: {row['ended']}{scores}\n"
        f"train  grid of round {row['round']}: {row['grid']}"
    )


def judged(found: Found) -> list[Found]:
    """The comparisons that decide: those with exact products."""
    rows = found.get("agree", {}).get("rows", [])
    return [row for row in rows if row["products"] == EXACT]


def wrong(found: Found) -> list[str]:
    """What is wrong: games that disagree, a stage without a result, and failures.

    What there was no time for is not among them, nor what cannot be here.
    """
    lines = [f"{row['game']} disagrees with the CPU" for row in judged(found) if not row["agrees"]]
    for name in ("agree", "speed", "train"):
        stage = found.get(name)
        if stage is None:
            continue
        if not stage["rows"]:
            lines.append(f"{name} has no result")
        lines += [
            f"{name} {what}: {why}"
            for what, why in stage["failed"].items()
            if why != NO_TIME and what not in SKIPPED
        ]
    return lines


def summary(found: Found) -> str:
    """The outcome in a few lines."""
    lines = []
    if "agree" in found:
        rows = judged(found)
        good = sum(row["agrees"] for row in rows)
        lines.append(f"agreement: {good} of {len(rows)} games agree with the CPU")
    if "speed" in found:
        cases = {row["case"] for row in found["speed"]["rows"]}
        lines.append(f"speed: {len(cases)} cases timed")
    for row in found.get("train", {}).get("rows", []):
        lines.append(f"grid: {row['grid']}")
    return "\n".join([*lines, *(f"wrong: {text}" for text in wrong(found))])


def markdown(found: Found) -> str:
    """The page."""
    device = found["device"]
    lines = [
        "# An accelerator, checked and timed",
        "",
        f"Written by `scripts/accelerator.sh` on {device['date']}: {about(device)}; "
        f"{device['processor']}, {device['cores']} cores.",
        "",
        *agreement(found, device),
        *speeds(found),
        *training(found),
    ]
    return "\n".join(lines).rstrip()


def agreement(found: Found, device: Found) -> list[str]:
    """The section about the comparison with the CPU."""
    if "agree" not in found:
        return []
    rows = {(row["game"], row["products"]): row for row in found["agree"]["rows"]}
    lines = [
        "## Agreement with the CPU",
        "",
        "One round of a small game of every kind, from the same state, with float32 products "
        "of full precision. A loss agrees if it differs by at most "
        f"{LOSSES:g} of its value (of 1, if that is more), a gradient by at most {GRADIENTS:g} of "
        "the largest number of its parameter (of a hundredth of its network's, if that is more). "
        "Beside it what the platform does unless one asks for more: "
        f"{device['default_products']}; that is not judged.",
        "",
        *head(["game", "losses", "gradients", "agrees", "losses, default", "gradients, default"]),
    ]
    for game in dict.fromkeys(game for game, _ in rows):
        exact, default = rows.get((game, EXACT)), rows.get((game, DEFAULT))
        agrees = "—" if exact is None else "yes" if exact["agrees"] else f"NO: {exact['worst']}"
        cells = [
            f"{row[key]:.1e}" if row else "—"
            for row in (exact, default)
            for key in ("losses", "gradients")
        ]
        lines.append(row_of([game, *cells[:2], agrees, *cells[2:]]))
    return [*lines, "", *failures(found["agree"])]


def speeds(found: Found) -> list[str]:
    """The section about speed and memory: a table for each precision."""
    if "speed" not in found:
        return []
    rows = found["speed"]["rows"]
    lines = [
        "## Speed and memory",
        "",
        "Whole rounds of training on data that lies on the device, each side in a process of its "
        "own, alone while it is timed; PyTorch with channels_last, on a GPU with TF32, and with "
        "autocast where the networks compute in bfloat16. Compiled are its networks, one by one, "
        "on a GPU with CUDA graphs; not what is differentiated twice. First calls hold the "
        "compilation. Memory is the device's peak (on a CPU the process's, beyond its imports), "
        "planned is what the compiler says ahead of time, as `gan-jax tpu-plan` reads it.",
        "",
    ]
    for precision in dict.fromkeys(row["precision"] for row in rows):
        lines += [
            f"### {precision}",
            "",
            *head(
                ["case", "batch", *(f"{side}, images/s" for side in SIDES.values())]
                + ["project / the faster PyTorch"]
                + [f"{side}, first call s" for side in SIDES.values()]
                + ["project, MiB", "planned, MiB", "PyTorch eager, MiB", "PyTorch compiled, MiB"]
            ),
        ]
        mine = [row for row in rows if row["precision"] == precision]
        for case in dict.fromkeys(row["case"] for row in mine):
            sides = {row["side"]: row for row in mine if row["case"] == case}
            lines.append(row_of(_cells(case, sides)))
        lines.append("")
    return [*lines, *failures(found["speed"])]


def _cells(case: str, sides: Mapping[str, Found]) -> Sequence[str]:
    def cell(side: str, key: str, spec: str) -> str:
        value = sides.get(side, {}).get(key)
        return "—" if value is None else format(value, spec)

    size = next(iter(sides.values()))["batch_size"]
    theirs = [sides[side]["images_per_second"] for side in ("eager", "compiled") if side in sides]
    ratio = "—"
    if theirs and "project" in sides:
        ratio = f"{sides['project']['images_per_second'] / max(theirs):.2f}"
    return [
        case,
        str(size),
        *(cell(side, "images_per_second", ".4g") for side in SIDES),
        ratio,
        *(cell(side, "first_seconds", ".1f") for side in SIDES),
        cell("project", "memory_mib", ".0f"),
        cell("project", "planned_mib", ".0f"),
        cell("eager", "memory_mib", ".0f"),
        cell("compiled", "memory_mib", ".0f"),
    ]


def training(found: Found) -> list[str]:
    """The section about the run."""
    if "train" not in found:
        return []
    lines = ["## Training", ""]
    for row in found["train"]["rows"]:
        speed = row["images_per_second"]
        lines += [
            f"`gan-jax train {row['recipe']}`: {row['kimg']:g} thousand images"
            f"{f', {speed:.4g} images/s' if speed else ''}; ended: {row['ended']}.",
            *(f"* {name}: {value:.4g}" for name, value in row["scores"].items()),
            "",
            f"![samples after round {row['round']}](grid.png)",
            "",
        ]
    return [*lines, *failures(found["train"])]


def failures(stage: Found) -> list[str]:
    """What a stage did not do, and why."""
    lines = [f"* {what}: {why}" for what, why in stage["failed"].items()]
    return [*lines, ""] if lines else []
