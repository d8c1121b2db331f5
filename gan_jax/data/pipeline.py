"""From a data set's name to batches: order from (seed, epoch), position from the step alone.

Grain runs over *batch numbers*: batch k is a pure function of (seed, k), gathered as a whole. So
any step can be the first, an iterator has no state to save, and the number of hosts or threads
changes nothing.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import grain
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Bool, Integer, UInt32

from gan_jax.config import OWN
from gan_jax.data import augment, captions, images, paired, speech
from gan_jax.data.builders import DECLARED, base, find_set
from gan_jax.data.registry import DATASETS
from gan_jax.data.source import Records, Source, cache_dir, column, default_threads, open_built
from gan_jax.data.toy import TOYS, open_toy
from gan_jax.errors import UserError, nearest

__all__ = ["Batches", "Source", "batches", "data_dirs", "eval_batches", "open_source"]

Batches = Generator[dict[str, np.ndarray], None, None]
"""Batches by column; `close()` stops the threads."""


FOLDERS: Mapping[str, Callable[..., Source]] = {
    "folder": images.open_folder,
    "pairs": paired.open_pairs,
    "unpaired": paired.open_unpaired,
    "captioned": captions.open_captioned,
}
"""The data sets that read a folder or a zip of one's own images, at `path`."""

DIRECTIONS: Mapping[str, Callable[[Source], Source]] = {
    "x2y": lambda source: source,
    "y2x": paired.turned,
}
"""Which side of a set for translation is the input."""


def open_source(
    name: str,
    *,
    split: str = "train",
    path: str | None = None,
    resolution: int = 28,
    channels: int = 1,
    resize: str = "lanczos",
    crop: str = "center",
    on_bad_image: str = "fail",
    data_dir: str | None = None,
    seed: int = 0,
    direction: str = "x2y",
    frames: int = 128,
    cepstra: int = 36,
) -> Source:
    """Open a data set by name, preparing it first where that needs neither network nor TensorFlow.

    Args:
        name: a set that comes with the package ('fashion_mnist_10k', 'emoji_noto', 'emoji_pairs',
            'avatars', ...: `DECLARED`), 'fashion_mnist' and 'maps', drawn faces
            ('avatars_60000x64': how many, and their side in pixels), a toy set ('toy/ring8', ...),
            pictures of one's own ('folder', 'pairs', 'unpaired', 'captioned'), voices
            ('voices_it', or 'voices' of one's own), or any TFDS name
            ('cifar10', 'celeb_a', 'lsun/bedroom'). Where that has the splits 'trainA' and
            'trainB', as 'cycle_gan/horse2zebra' has, its 'train' is both, unpaired, as 'x' and 'y'.
        split: 'train', 'test', ... or a TFDS slice such as 'train[:90%]'.
        path: folder or zip of one's own images; `images`, `paired` and `captions` say its layout.
        resolution: side of the square images in pixels.
        channels: 1 (grey) or 3 (RGB).
        resize: 'lanczos', 'bicubic', 'bilinear', 'box' or 'nearest'.
        crop: 'center' cuts the middle square out, 'none' squeezes the whole image.
        on_bad_image: 'fail' at a damaged file of one's own, or 'skip' it with a warning.
        data_dir: where prepared sets lie; default `$GAN_JAX_CACHE/data`, and for TFDS names also
            `$TFDS_DATA_DIR` and TFDS's own default. Folders of images go to `$GAN_JAX_CACHE`.
        seed: of a toy set's endless stream; other sets do not depend on it.
        direction: 'x2y', or 'y2x' to exchange the columns 'x' and 'y' of a set for translation.
        frames: of voices, in one piece.
        cepstra: of voices, coefficients of a frame.

    Raises:
        UserError: an unknown name or option, a set that is not prepared (with the command), or
            'y2x' of a set without 'x' and 'y'.
    """
    if direction not in DIRECTIONS:
        guess = nearest(direction, DIRECTIONS)
        raise UserError(f"unknown direction {direction!r}; did you mean {guess}?")
    _check_path(name, path)
    turn = DIRECTIONS[direction]
    if name.startswith("toy/"):
        return turn(open_toy(name, split=split, seed=seed))
    if name in speech.NAMES:
        size = {"frames": frames, "cepstra": cepstra}
        source = speech.open_voices(name, path=path, split=split, data_dir=data_dir, **size)
        return source if direction == "x2y" else speech.turned(source)
    look = images.Look(resolution, channels, resize, crop).checked()
    if name in FOLDERS:
        return turn(FOLDERS[name](path, split=split, look=look, on_bad_image=on_bad_image))
    declared = find_set(name)
    made = _declared(declared, data_dir) if declared else _from_tfds(name, data_dir)
    one = functools.partial(open_built, rules=declared.attributes if declared else {})
    opener = paired.open_domains if paired.has_domains(made.info.splits, split) else one
    decoder = images.square(look, name)
    source = opener(made, name=name, split=split, look=look._asdict(), square=decoder)
    apart = declared.apart if declared else ()
    return turn(drawn_apart(source) if _is_apart(apart, split) else source)


def at_hand(name: str, *, path: str | None = None, data_dir: str | None = None) -> bool:
    """Say whether a set opens at once: its path is said, it comes with the package or is prepared.

    Raises:
        UserError: an unknown name, or a path of a set that reads none.
    """
    _check_path(name, path)
    if name in OWN:
        return path is not None
    if name.startswith("toy/") or name in DATASETS:
        return True
    declared = DECLARED.get(name) or speech.SHIPPED.get(name)
    if declared is None:
        return _find_tfds(name, data_dirs(data_dir)) is not None
    if name in DECLARED and declared.origin is None:
        return True
    folder = data_dir or str(cache_dir() / "data")
    return base.is_prepared(base.builder(declared, data_dir=folder))


def _check_path(name: str, path: str | None) -> None:
    if path is not None and name not in OWN:
        readers = ", ".join(map(repr, OWN))
        raise UserError(f"path is read by {readers} only, not by {name!r}")


def drawn_apart(source: Source) -> Source:
    """Let `batches` draw 'x' and 'y' independently: their rows do not correspond."""
    return source._replace(sides=tuple(column(source.records, one) for one in ("x", "y")))


def _is_apart(apart: tuple[str, ...], split: str) -> bool:
    """Whether `split` takes of one whose rows do not correspond."""
    parts = {part.split("[")[0].strip() for part in split.split("+")}
    return bool(apart) and not parts.isdisjoint({*apart, "all"})


def data_dirs(data_dir: str | None) -> list[str]:
    """List where prepared data sets are looked for; new ones are written to the first."""
    if data_dir is not None:
        return [data_dir]
    given = os.environ.get("TFDS_DATA_DIR")
    default = [str(cache_dir() / "data"), str(Path.home() / "tensorflow_datasets")]
    return [given, *default] if given else default


def _declared(declared: base.ImageSet, data_dir: str | None) -> Any:
    folder = data_dir or str(cache_dir() / "data")
    if declared.origin is None:
        return base.prepare(declared, data_dir=folder)
    made = base.builder(declared, data_dir=folder)
    if not base.is_prepared(made):
        raise UserError(_how_to_prepare(declared.name, folder, data_dir))
    return made


def _from_tfds(name: str, data_dir: str | None) -> Any:
    folders = data_dirs(data_dir)
    made = _find_tfds(name, folders)
    if made is None:
        needs = "; this step alone needs TensorFlow: pip install 'gan_jax[prepare]'"
        raise UserError(_how_to_prepare(name, " or ".join(folders), data_dir) + needs)
    return _random_access(made, name)


def _find_tfds(name: str, folders: list[str]) -> Any | None:
    """Find a TFDS set that is prepared in one of the folders.

    Raises:
        UserError: TFDS has no set of that name.
    """
    for folder in folders:
        try:
            made = tfds.builder(name, data_dir=folder)
        except tfds.core.DatasetNotFoundError:
            continue
        except ValueError as error:
            raise UserError(f"TFDS cannot open {name!r}: {_first_line(error)}") from error
        if base.is_prepared(made):
            return made
    known = tfds.list_builders(with_community_datasets=False)
    if name.replace(":", "/").split("/")[0] not in known:
        valid = [*FOLDERS, *DECLARED, *speech.NAMES, *TOYS, *known]
        raise UserError(f"unknown data set {name!r}; did you mean {nearest(name, valid)}?")
    return None


def _random_access(made: Any, name: str) -> Any:
    formats = {one.value for one in made.info.available_file_formats()}
    if "array_record" not in formats:
        held = f"{name!r} in {made.data_path} is prepared as {', '.join(sorted(formats))}"
        fix = f"python scripts/prepare_data.py {name} --data-dir ANOTHER_FOLDER"
        raise UserError(f"{held}, which has no random access: prepare it once more with `{fix}`")
    return made


def _how_to_prepare(name: str, folder: str, data_dir: str | None) -> str:
    option = f" --data-dir {data_dir}" if data_dir else ""
    command = f"python scripts/prepare_data.py {name}{option}"
    return f"data set {name!r} is not prepared in {folder}: run `{command}`"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def batches(
    source: Source,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    before: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    threads: int | None = None,
    flip: bool = False,
    jitter: int = 0,
) -> Batches:
    """Iterate over this process's share of endless shuffled batches, from batch number `start`.

    Every epoch is a new permutation, every row comes once in it, and a batch may span the seam of
    two epochs, so nothing is left out. Each process takes one contiguous share: the processes'
    rows, joined in their order, are the batch of one process, flips and jitter included.

    Args:
        source: from `open_source`.
        batch_size: of all processes together; each gets its share.
        seed: at least 0; with the step number, all that decides order, flips and jitter.
        start: number of the first batch: the step at which a run resumes.
        before: how many rows batches of another size took before batch number 0.
        process_index: which share.
        process_count: how many shares.
        threads: that prepare batches ahead; default one for each core, 2 to 16.
        flip: mirror each image left to right with probability one half; the pictures of one row
            together, but each side of an unpaired set by a coin of its own.
        jitter: enlarge each image by so many pixels, bicubic, and cut a random window of the old
            size out: one window for the pictures of one row, but one for each side of an unpaired
            set. Pix2pix and CycleGAN enlarge 256 by 30. 0 leaves the images alone.

    Returns:
        An iterator of 'image' uint8 [b h w c] (pairs: 'x' and 'y'; toy: 'x' float32 [b 2]),
        'label' int32 [b] and 'text' float32 [b e] where known. Its `close()` stops the threads; so
        does the end of the program.

    Raises:
        UserError: more rows in a batch than in the set, an uneven share, a negative seed, start
            or jitter, no images to flip or to jitter.
    """
    check_batches(source, batch_size, process_count, flip=flip, jitter=jitter)
    if not 0 <= process_index < process_count:
        raise UserError(f"process_index {process_index} is not below {process_count}")
    if min(seed, start, before) < 0:
        found = f"seed {seed}, start {start}, before {before}"
        raise UserError(f"seed, start and before must not be negative: {found}")
    pictures = _pictures(source.records[0]) if flip or jitter else ()
    share = np.arange(batch_size).reshape(process_count, -1)[process_index]
    drawn = _drawn_together(source, seed)

    def batch(step: int) -> dict[str, np.ndarray]:
        columns = {}
        for records, stream in drawn:
            places = before + step * batch_size + share
            rows, mirrored, words = _draw(records.count, stream, places)
            record = records.window(rows, words) if records.window else records.take(rows)
            for name in record.keys() & set(pictures):
                if jitter:
                    record[name] = augment.jitter(record[name], words, jitter)
                if flip:
                    record[name] = augment.mirror(record[name], mirrored)
            columns |= record
        return columns

    return _stream(batch, start, sys.maxsize, threads)


def eval_batches(
    source: Source, batch_size: int, *, count: int | None = None, threads: int | None = None
) -> Batches:
    """Iterate over the first `count` rows (default: all) once, in order, to the partial last batch.

    Raises:
        UserError: an endless source without a count, or a count beyond the end.
    """
    total = source.size if count is None else count
    if total is None:
        raise UserError(f"data set {source.name!r} has no end: say how many samples to take")
    if batch_size < 1 or total < 1:
        raise UserError(f"nothing to read: batch_size {batch_size}, count {total}")
    if source.size is not None and total > source.size:
        raise UserError(f"data set {source.name!r} has {source.size} rows, fewer than {total}")

    def batch(step: int) -> dict[str, np.ndarray]:
        return source.records.take(
            np.arange(step * batch_size, min(total, (step + 1) * batch_size))
        )

    return _stream(batch, 0, -(-total // batch_size), threads)


def _drawn_together(source: Source, seed: int) -> list[tuple[Records, tuple[int, ...]]]:
    """List what is drawn in one order, with that order's seed: all, or each unpaired side."""
    if not source.sides:
        return [(source.records, (seed,))]
    return [(side, (seed, 0, index)) for index, side in enumerate(source.sides)]


def _pictures(record: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Name the columns that are pictures: bytes [h w c]."""
    return tuple(
        name for name, value in record.items() if value.ndim == 3 and value.dtype == np.uint8
    )


def check_batches(
    source: Source,
    batch_size: int,
    process_count: int = 1,
    *,
    flip: bool = False,
    jitter: int = 0,
) -> None:
    """Whether `batches` can give these.

    Raises UserError for more rows in a batch than in the set, an uneven share of the processes, a
    negative jitter, no images to flip or to jitter.
    """
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1, not {batch_size}")
    if source.size is not None and batch_size > source.size:
        size = f"{source.size} of data set {source.name!r}"
        raise UserError(f"batch_size {batch_size} is more than the {size}")
    if batch_size % process_count:
        raise UserError(f"batch_size {batch_size} does not divide among {process_count} processes")
    if jitter < 0:
        raise UserError(f"jitter must be at least 0 pixels, not {jitter}")
    changes = " or ".join(word for word, asked in (("flip", flip), ("jitter", jitter)) if asked)
    if changes and not _pictures(source.records[0]):
        raise UserError(f"data set {source.name!r} has no images to {changes}")


def _stream(
    batch: Callable[[int], dict[str, np.ndarray]], start: int, stop: int, threads: int | None
) -> Batches:
    threads = default_threads() if threads is None else threads
    # Two waiting batches beyond those in the making: enough to hide a slow one, little memory.
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads and threads + 2)
    ahead = iter(grain.MapDataset.range(start, stop).map(batch).to_iter_dataset(options))
    try:
        yield from ahead
    finally:
        ahead.close()


class _Drawn(NamedTuple):
    """Rows, whether each is mirrored, and 32 random bits that place its window."""

    rows: Integer[np.ndarray, "b"]
    mirrored: Bool[np.ndarray, "b"]
    words: UInt32[np.ndarray, "b"]


def _draw(size: int | None, stream: tuple[int, ...], positions: Integer[np.ndarray, "b"]) -> _Drawn:
    """Find what is drawn at each position of the endless sequence of epochs."""
    count = len(positions)
    if size is None:
        return _Drawn(positions, np.zeros(count, bool), np.zeros(count, np.uint32))
    epochs, places = np.divmod(positions, size)
    drawn = _Drawn(np.empty_like(positions), np.empty(count, bool), np.empty(count, np.uint32))
    for epoch in np.unique(epochs):
        here = epochs == epoch
        for part, whole in zip(drawn, _epoch(size, stream, int(epoch)), strict=True):
            part[here] = whole[places[here]]
    return drawn


@functools.lru_cache(maxsize=8)
def _epoch(size: int, stream: tuple[int, ...], epoch: int) -> _Drawn:
    """Draw the permutation of one epoch, and a coin and 32 bits for each place in it.

    Sorting raw Philox words keeps the order the same in every NumPy version, which
    `Generator.permutation` does not promise.
    """
    words = np.random.Philox(np.random.SeedSequence((*stream, epoch))).random_raw(3 * size)
    order, coins, windows = words.reshape(3, size)
    return _Drawn(
        np.argsort(order, kind="stable").astype(np.uint32),
        coins >> 63 == 1,
        (windows >> 32).astype(np.uint32),
    )
