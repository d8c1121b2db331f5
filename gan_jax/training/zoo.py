"""Make an entry of `gan_jax.zoo` from a run, and draw the grids of entries again."""

import dataclasses
import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import numpy as np

from gan_jax import grids, parallel, zoo
from gan_jax.build import schedule
from gan_jax.build.parts import Built
from gan_jax.data import licences
from gan_jax.errors import UserError
from gan_jax.evaluation.spec import is_score
from gan_jax.game import State
from gan_jax.interop import portable
from gan_jax.json_types import JsonObject
from gan_jax.reporting import run_log
from gan_jax.reporting.ablation_table import training_seconds
from gan_jax.reporting.sections import command_line
from gan_jax.training import run_dir, weights
from gan_jax.training.sample_grids import draw_grid, grid_size

ENTRY_BYTES, ALL_BYTES = 6 * 10**6, 30 * 10**6  # at most, of all files of an entry and of the zoo
TRANSLATIONS = 24  # rows of a grid that shows inputs beside outputs, which are several pictures
ROUNDING = 4  # levels of 8 bits by which the grid may change where half precision is chosen
MEAN_LEVELS, MAX_LEVELS = 1.0, 24  # by which a grid may differ on another machine

Dtype = Literal["auto", "float32", "float16"]


@dataclass(frozen=True)
class NewEntry:
    """What an entry is to be made of.

    Attributes:
        run: the directory of the run.
        name: of the entry: lower-case letters, digits and single dashes.
        description: a sentence.
        title: a few words; by default the name.
        step: the round of the checkpoint; None for the newest, "best" for that of `run.best`.
        dtype: of the stored parameters; "auto" is float16 where the grid stays as it is, up to
            `ROUNDING`, and else float32.
        replace: whether an entry of that name may be replaced.
    """

    run: Path
    name: str
    description: str
    title: str = ""
    step: run_dir.Step = None
    dtype: Dtype = "auto"
    replace: bool = False


class Difference(NamedTuple):
    """How far two grids are apart, in levels of 8 bits."""

    mean: float
    max: float

    @property
    def small(self) -> bool:
        """Whether two machines may differ so."""
        return self.mean < MEAN_LEVELS and self.max < MAX_LEVELS


def add(new: NewEntry) -> zoo.Card:
    """Make an entry; nothing is left behind where it is refused.

    Raises:
        UserError: a fact of the run is missing or may not be published, or the entry is too large.
    """
    about, scores, shippable = _checked(new)
    built, step, state = run_dir.load(new.run, new.step)
    built = built._replace(stand_in=shippable.stand_in)
    found = scores.get(step)
    if not found:
        raise UserError(
            f"no metric of round {step} in {new.run}: `gan-jax evaluate {new.run}` takes some"
        )
    arrays, grid, rounding = _stored(built, step, state, new.dtype)
    partial = zoo.FOLDER / f".{new.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        portable.save_weights(partial, arrays, {"round": str(step)})
        (partial / portable.WEIGHTS).chmod(0o644)  # the writer makes it its owner's alone
        grids.save_png(partial / zoo.GRID, grid)
        card = zoo.Card(
            title=new.title or new.name.replace("-", " ").capitalize(),
            description=new.description,
            round=step,
            kimg=schedule.images(built.stages, step) / 1000.0,
            checkpoint=f"best in {built.experiment.run.best}" if new.step == "best" else "last",
            minutes=round(_minutes(new.run, step), 1),
            metrics=found,
            data=_data(about, shippable),
            licence=_licence(about, shippable),
            networks=built.sampler.recipe.nets,
            averaged=weights.is_averaged(built),
            parameters=sum(x.size for name, x in arrays.items() if ".params." in name),
            dtype=str(next(x.dtype for name, x in arrays.items() if ".params." in name)),
            rounding=rounding._asdict(),
            bytes=(partial / portable.WEIGHTS).stat().st_size,
            **_from_config(about),
        )
        _write_json(partial / run_dir.CONFIG, about)
        _write_json(partial / zoo.CARD, dataclasses.asdict(card))
        _check_size(partial, new.name)
        shutil.rmtree(zoo.FOLDER / new.name, ignore_errors=True)
        partial.rename(zoo.FOLDER / new.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return card


def check(name: str) -> Difference:
    """Draw the grid of an entry again and compare it with the stored one.

    Raises:
        UserError: an unknown entry, or grids of different sizes.
    """
    stored = grids.read_image(zoo.locate(zoo.PREFIX + name) / zoo.GRID)
    built, _, state = run_dir.load(zoo.PREFIX + name)
    drawn = _grid(built, state)
    if drawn.shape != stored.shape:
        raise UserError(f"zoo:{name} draws a grid of {drawn.shape}, stored is {stored.shape}")
    return compare(drawn, stored)


def compare(one: np.ndarray, other: np.ndarray) -> Difference:
    """Compare two images of bytes."""
    levels = np.abs(one.astype(np.int16) - other.astype(np.int16))
    return Difference(float(levels.mean()), float(levels.max()))


def _grid(built: Built, state: State) -> np.ndarray:
    count = grid_size(built)
    count = min(count, TRANSLATIONS) if built.sampler.directions else count
    return draw_grid(built, state, jax.random.key(0), count)


def _checked(
    new: NewEntry,
) -> tuple[JsonObject, dict[int, JsonObject], licences.Shippable]:
    """The run's configuration without this machine's paths, its scores, and its data's terms."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", new.name):
        raise UserError(f"name {new.name!r}: lower-case letters, digits, single dashes are needed")
    if not new.description:
        raise UserError("say --description, a sentence on what the generator draws")
    if (zoo.FOLDER / new.name).exists() and not new.replace:
        raise UserError(f"zoo:{new.name} exists: say --replace True, or choose another name")
    about = run_dir.read_config(new.run)
    scores = _scores(new.run)
    experiment = run_dir.read_experiment(new.run)
    shippable = licences.find_shippable(experiment.data.name)
    if about.get("own_files"):
        raise UserError(f"{new.run} needs {about['own_files'][0]!r}, which the package lacks")
    if not about.get("revision") or about.get("dirty"):
        raise UserError(f"{new.run} was trained by code without a clean git revision: commit first")
    source = about.get("from", "")
    if (new.run / run_dir.IMPORTED).exists() and not source.startswith(zoo.PREFIX):
        raise UserError(f"{new.run} started from weights whose licence is not known to allow it")
    about = json.loads(json.dumps(about))
    about["experiment"]["data"]["data_dir"] = None
    words = _without(about["command"], "--data.data-dir")
    about["command"] = [_from_root(word) for word in words]
    about["recipe"] = _from_root(about["recipe"])
    return about, scores, shippable


def _from_root(path: str) -> str:
    """The path of an experiment file from the project's root, wherever that is."""
    return re.sub(r"^/.*/(?=experiments/)", "", path)


def _without(words: list[str], option: str) -> list[str]:
    """Drop an option and its value from a command line."""
    kept = [w for w in words if not w.replace("_", "-").startswith(f"{option}=")]
    places = [n for n, word in enumerate(kept) if word.replace("_", "-") == option]
    return [w for n, w in enumerate(kept) if n not in places and n - 1 not in places]


def _scores(run: Path) -> dict[int, JsonObject]:
    """The metrics of each round by full name: value and date; the training's own come first."""
    found: dict[int, JsonObject] = {}
    for row in run_log.read_metrics(run / run_log.METRICS):
        date = time.strftime("%Y-%m-%d", time.gmtime(row.get("time", 0.0)))
        of_step = found.setdefault(row["step"], {})
        for name, value in row.items():
            if isinstance(value, float) and is_score(name):
                of_step.setdefault(name, {"value": float(f"{value:.6g}"), "date": date})
    return found


def _stored(
    built: Built, step: int, state: State, dtype: Dtype
) -> tuple[dict[str, np.ndarray], np.ndarray, Difference]:
    """The arrays to store, the grid that they draw, and how far it is from the run's own."""
    networks = parallel.first_replica(built.sampler.variables(state))
    exact = _grid(built, state)
    for choice in ("float16", "float32") if dtype == "auto" else (dtype,):
        arrays = weights.rounded(networks, choice)
        held = weights.sampling_state(built, weights.as_networks(arrays), step, "the run")
        grid = _grid(built, held)
        rounding = compare(grid, exact)
        finite = all(np.isfinite(array).all() for array in arrays.values())
        if finite and rounding.max <= ROUNDING:
            return arrays, grid, Difference(round(rounding.mean, 4), rounding.max)
    raise UserError(
        f"stored in {choice}, the grid changes by {rounding.max:g} levels of 255, more than "
        f"{ROUNDING}: say --dtype float32"
    )


def _data(about: JsonObject, shippable: licences.Shippable) -> JsonObject:
    terms = [licences.facts(section) for section in shippable.sections]
    found = {
        **{name: about["data"][name] for name in ("name", "description", "fingerprint")},
        "licence": [one["licence"] for one in terms],
        "attribution": [one["attribution"] for one in terms],
        "stand_in": shippable.stand_in,
    }
    if about.get("from"):  # whose data the weights have seen as well
        before = zoo.card(zoo.name_of(about["from"]) or "").data
        makers = [
            pair
            for data in (found, before)
            for pair in zip(data["licence"], data["attribution"], strict=True)
        ]
        makers = list(dict.fromkeys(makers))
        found["licence"], found["attribution"] = map(list, zip(*makers, strict=True))
    return found


def _licence(about: JsonObject, shippable: licences.Shippable) -> str:
    """The licence of the weights, and that of the weights they began from."""
    terms = [shippable.licence]
    if about.get("from"):
        terms.append(zoo.card(zoo.name_of(about["from"]) or "").licence)
    return " AND ".join(dict.fromkeys(terms))


def _minutes(run: Path, step: int) -> float:
    """Minutes of training until a round."""
    rows = run_log.read_metrics(run / run_log.METRICS)
    last = max(row["step"] for row in rows if run_log.EVALUATED not in row)
    return training_seconds(run) * step / last / 60.0


def _from_config(about: JsonObject) -> JsonObject:
    return {
        "recipe": about["recipe"],
        "command": command_line(about["command"]),
        "start": about.get("from", ""),
        **{n: about[n] for n in ("revision", "fingerprint", "seed", "device", "versions")},
    }


def _check_size(folder: Path, name: str) -> None:
    size = _bytes(folder)
    if size > ENTRY_BYTES:
        raise UserError(
            f"zoo:{name} would have {size / 1e6:.1f} MB, more than {ENTRY_BYTES / 1e6:g}: train "
            "a narrower generator (--generator.network.width)"
        )
    others = sum(_bytes(zoo.FOLDER / other) for other in zoo.names() if other != name)
    if others + size > ALL_BYTES:
        total = (others + size) / 1e6
        raise UserError(
            f"with zoo:{name} the zoo has {total:.1f} MB, more than {ALL_BYTES / 1e6:g}"
        )


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
