"""The input pipeline with many and with large pictures: start-up, speed, memory.

python -m benchmarks.inputs --work /var/tmp/inputs --out ../experiments/inputs.md    # in scripts/

`--work` keeps the made pictures and their prepared copy (15 GB for a million), and every row that
was measured; the same command measures the rest. `first start` writes the prepared copy, which
later starts read. The 100 GB are the shards of one prepared set, linked under as many names as it
takes: the pipeline opens and reads them as it would different ones, but the disk's cache serves
them.
"""

import dataclasses
import io
import json
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from benchmarks import table
from benchmarks.measure import resident
from gan_jax.commands import cli
from gan_jax.errors import UserError

BATCH = 64
IN_FOLDER = 1000  # pictures of a folder
LARGE = 512  # pictures in the shard that is linked
LABELS = ("zip, first", "zip, later", "folder, first", "folder, later", "shards, later")
ABOUT = """\
Batches of 64, shuffled and mirrored. The first start writes the prepared copy of the pictures; a
later start lists the files, finds the copy and opens it. Both end with the first batch. Memory is
what the process held at its peak beyond its imports: after the first batch, and after the last."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    work: str = ""
    """Folder of the pictures and of the results."""
    count: int = 1_000_000
    """Small pictures, of 32 px."""
    gigabytes: float = 100.0
    """Of the pictures of 256 px."""
    batches: int = 2000
    """Read after the first one."""
    out: str = ""
    """The Markdown file."""
    measure: Literal["", "zip", "folder", "shards"] = ""
    """One row alone, in this process."""


def main() -> None:
    """Make the pictures, measure each row in a process of its own, and print the table."""
    options = cli.parse(Options(), sys.argv[1:], "inputs")
    if not options.work:
        raise UserError("--work is missing: a folder for the pictures, of about 15 GB")
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    if options.measure:
        print(json.dumps(measure(SOURCES[options.measure](work, options), options.batches)))
        return
    kept = work / "rows.json"
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for label in LABELS:
        if label not in rows:
            rows[label] = _alone(label.split(", ")[0], work)
            kept.write_text(json.dumps(rows, indent=1))
    page = markdown({label: rows[label] for label in LABELS}, options)
    print(page)
    if options.out:
        Path(options.out).write_text(page + "\n")


def measure(opened: dict[str, Any], count: int) -> dict[str, float]:
    """Open a source, read batches, and measure time and memory.

    Args:
        opened: arguments of `open_source`.
        count: batches after the first.
    """
    import tensorflow_datasets  # noqa: F401 -- whose import is not start-up

    from gan_jax.data.pipeline import batches, open_source

    imported, start = resident(), time.perf_counter()
    source = open_source(**opened)
    stream = batches(source, batch_size=BATCH, seed=0, flip=True)
    next(stream)
    began, first = time.perf_counter(), _peak() - imported
    for _ in range(count):
        next(stream)
    seconds = time.perf_counter() - began
    stream.close()
    return {
        "pictures": source.size or 0,
        "start_seconds": began - start,
        "images_per_second": count * BATCH / seconds,
        "first_mib": first,
        "last_mib": _peak() - imported,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _alone(name: str, work: Path) -> dict[str, Any]:
    print(name, file=sys.stderr, flush=True)
    environment = table.environment_of(GAN_JAX_CACHE=str(work / "cache"))
    command = [sys.executable, "-m", "benchmarks.inputs", *sys.argv[1:], "--measure", name]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise UserError(f"{name} ended with {ended.returncode}: its last lines say why")
    return json.loads(ended.stdout.splitlines()[-1])


def pictures(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and PNG files of 32 px, all different."""
    random = np.random.default_rng(0)
    for number in range(count):
        small = random.integers(0, 256, (4, 4, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(small).resize((32, 32), Image.Resampling.BILINEAR).save(
            file, "png", compress_level=1
        )
        yield f"{number // IN_FOLDER:04}/{number:07}.png", file.getvalue()


def in_zip(work: Path, options: Options) -> dict[str, Any]:
    """Make a zip of small pictures, if it is not there."""
    path = work / "small.zip"
    if not path.exists():
        with zipfile.ZipFile(path.with_suffix(".part"), "w") as archive:
            for name, content in pictures(options.count):
                archive.writestr(name, content)
        path.with_suffix(".part").rename(path)
    return {"name": "folder", "path": str(path), "resolution": 32, "channels": 3}


def in_folder(work: Path, options: Options) -> dict[str, Any]:
    """Make a folder of small pictures, if it is not there."""
    path, part = work / "small", work / "small.part"
    if not path.exists():
        for name, content in pictures(options.count):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_bytes(content)
        part.rename(path)
    return {"name": "folder", "path": str(path), "resolution": 32, "channels": 3}


def in_shards(work: Path, options: Options) -> dict[str, Any]:
    """Make a prepared set of large pictures whose shards are links to one, if it is not there."""
    import tensorflow_datasets as tfds

    from gan_jax.data.builders import base

    random = np.random.default_rng(0)

    def examples() -> Iterator[base.Example]:
        for number in range(LARGE):
            image = random.integers(0, 256, (256, 256, 3), np.uint8)
            yield str(number), {"image": Image.fromarray(image)}

    declared = base.ImageSet(
        *("large", "1.0.0", "Noise of 256 px.", "none", "", ""),
        features=lambda: {"image": tfds.features.Image(shape=(256, 256, 3))},
        splits=lambda _: {"train": base.Split(LARGE, examples)},
    )
    folder = work / "tfds"
    if not base.is_at(declared, folder):
        base.prepare(declared, data_dir=folder)
        _repeat(folder / "large" / "1.0.0", int(options.gigabytes * 1e9))
    return {"name": "large", "data_dir": str(folder), "resolution": 256, "channels": 3}


def _repeat(folder: Path, size: int) -> None:
    """Link the one shard of a prepared set under other names, up to a size in bytes."""
    from gan_jax.data.builders.base import INFO

    (shard,) = folder.glob("*.array_record*")
    shards = max(1, size // shard.stat().st_size)
    stem = shard.name.split("-00000-of-")[0]
    for number in range(shards):
        (folder / f"{stem}-{number:05}-of-{shards:05}").hardlink_to(shard)
    shard.unlink()
    facts = json.loads((folder / INFO).read_text())
    facts["splits"][0]["shardLengths"] = [str(LARGE)] * shards
    (folder / INFO).write_text(json.dumps(facts))


SOURCES: dict[str, Callable[[Path, Options], dict[str, Any]]] = {
    "zip": in_zip,
    "folder": in_folder,
    "shards": in_shards,
}


def markdown(rows: dict[str, Any], options: Options) -> str:
    """The page."""
    where = table.machine()
    head = ("pictures", "number", "start, s", "images/s", "memory, MiB", "after the last batch")
    names = {
        "zip": "a zip, 32 px",
        "folder": "a folder, 32 px",
        "shards": f"array_record, 256 px, {options.gigabytes:.0f} GB",
    }
    cells = [
        (
            f"{names[label.split(', ')[0]]}; {label.split(', ')[1]} start",
            f"{row['pictures']:,}",
            f"{row['start_seconds']:.1f}",
            f"{row['images_per_second']:.0f}",
            f"{row['first_mib']:.0f}",
            f"{row['last_mib']:.0f}",
        )
        for label, row in rows.items()
    ]
    return "\n".join(
        [
            "# Many and large pictures",
            "",
            f"Written by `python -m benchmarks.inputs` on {where['date']}: {where['processor']}, "
            f"{where['cores']} cores.",
            "",
            ABOUT,
            "",
            *table.lines(head, cells),
        ]
    )


if __name__ == "__main__":
    cli.run(main)
