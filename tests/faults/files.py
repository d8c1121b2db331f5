"""Faults: damaged checkpoints, metrics and configuration files of a finished run."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from faults.comparison import all_rows, compare, metric_rows
from faults.harness import Harness, Verdict, refused

Damage = Callable[[bytes, random.Random], bytes]


def _wrong_bytes(data: bytes, chance: random.Random) -> bytes:
    """Alter a hundredth of the bytes, at least one."""
    spoilt = bytearray(data)
    for _ in range(1 + len(data) // 100):
        spoilt[chance.randrange(len(data))] ^= 1 + chance.randrange(255)
    return bytes(spoilt)


DAMAGES: dict[str, Damage] = {
    "emptied": lambda data, chance: b"",
    "cut in half": lambda data, chance: data[: len(data) // 2],
    "zeros": lambda data, chance: bytes(len(data)),
    "wrong bytes": _wrong_bytes,
}


def damaged_checkpoint(harness: Harness) -> Verdict:
    """Damage or delete the newest checkpoint: the run resumes from the checkpoint before it."""
    line = ""
    for damage in (*DAMAGES, "lost"):
        workdir = harness.copy(f"checkpoint_{damage.replace(' ', '_')}")
        newest = max(_steps(workdir))
        for file in (workdir / "checkpoints" / str(newest)).rglob("*"):
            if damage == "lost" and file.is_file():
                file.unlink()
            elif file.is_file() and (data := file.read_bytes()):
                file.write_bytes(DAMAGES[damage](data, harness.random))
        outcome = harness.train(workdir)
        warnings = [one for one in outcome.output.splitlines() if f"checkpoint {newest}" in one]
        if outcome.code or not warnings:
            return Verdict(False, f"{damage}: exit code {outcome.code}: {outcome.last_line}")
        line = warnings[0]
        differing = compare(harness.baseline(), workdir)
        if differing:
            return Verdict(False, f"{damage}: DIFFERS {differing[0]}")
    return Verdict(True, line)


def no_checkpoint_left(harness: Harness) -> Verdict:
    """Empty all checkpoints: the run is refused, as it must not silently start again."""
    workdir = harness.copy("no_checkpoint_left")
    for file in (workdir / "checkpoints").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    return refused(harness.train(workdir), "no readable checkpoint")


def _steps(workdir: Path) -> list[int]:
    return [int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()]


def torn_metrics(harness: Harness) -> Verdict:
    """Cut metrics.jsonl at any byte: the run resumes, and the rows that are left agree."""
    for number in range(3):
        workdir = harness.copy(f"torn_metrics{number}")
        shutil.rmtree(workdir / "checkpoints" / str(max(_steps(workdir))))
        path = workdir / "metrics.jsonl"
        data = path.read_bytes()
        path.write_bytes(data[: harness.random.randrange(1, len(data))])
        outcome = harness.train(workdir)
        if outcome.code:
            return Verdict(False, f"exit code {outcome.code}: {outcome.last_line}")
        rows, whole = metric_rows(workdir), metric_rows(harness.baseline())
        warned = any("has no rows of rounds" in row.get("event", "") for row in all_rows(workdir))
        if len(rows) < len(whole) and not warned:
            return Verdict(False, "rows were lost without a warning")
        unknown = [row for row in rows if row not in whole]
        differing = [one for one in compare(harness.baseline(), workdir) if "metrics" not in one]
        if unknown or differing:
            return Verdict(False, f"DIFFERS {unknown[0] if unknown else differing[0]}")
    return Verdict(True, "no bit of the state lost; rows up to the cut and after the checkpoint")


def spoilt_metrics(harness: Harness) -> Verdict:
    """Damage a line inside metrics.jsonl: the run is refused with the number of the line."""
    workdir = harness.copy("spoilt_metrics")
    path = workdir / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b'{"step": ', *lines[2:]]))
    return refused(harness.train(workdir), "metrics.jsonl, line 2")


def spoilt_config(harness: Harness) -> Verdict:
    """Cut config.json, or add an unknown field: the run is refused with the name of either."""
    workdir = harness.copy("spoilt_config")
    path = workdir / "config.json"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    verdict = refused(harness.train(workdir), "config.json")
    content = json.loads(data)
    content["experiment"]["game"]["invented_later"] = 1
    path.write_text(json.dumps(content))
    newer = refused(harness.train(workdir), "invented_later")
    return newer if verdict.passed else verdict
