"""Open data sets by name and iterate over batches that depend only on the seed and the step.

Grain iterates over batch numbers: batch k is a pure function of (seed, k). A run can therefore
resume at any step, an iterator has no state to save, and the batches do not depend on the number of
hosts or threads.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

import grain
import numpy as np
from jaxtyping import Bool, Integer, UInt32

from gan_jax.data import augment, captions, faces, images, paired, speech
from gan_jax.data.available import check_path, data_dirs, find_tfds, how_to_prepare
from gan_jax.data.builders import base, find_set
from gan_jax.data.decoding import Preprocessing, make_decoder
from gan_jax.data.source import Records, Source, cache_dir, column, default_threads, open_built
from gan_jax.data.toy import open_toy
from gan_jax.errors import UserError, nearest

__all__ = ["Batches", "Source", "batches", "eval_batches", "open_source"]

Batches = Generator[dict[str, np.ndarray], None, None]
"""Iterator of batches by column name; `close()` stops its threads."""


FOLDERS: Mapping[str, Callable[..., Source]] = {
    "folder": images.open_folder,
    "pairs": paired.open_pairs,
    "unpaired": paired.open_unpaired,
    "captioned": captions.open_captioned,
}
"""Data sets that read a folder or zip of the user's images at `path`."""

DIRECTIONS: Mapping[str, Callable[[Source], Source]] = {
    "x2y": lambda source: source,
    "y2x": paired.swap_sides,
}
"""Direction of translation -> the change of the source that makes its input the column 'x'."""


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
    encoding: str = "words",
) -> Source:
    """Open a data set by name, preparing it first if that needs neither network nor TensorFlow.

    Args:
        name: one of
            a data set in the package ('fashion_mnist_10k', 'emoji_noto', 'avatars', ...), or
            'fashion_mnist' and 'maps': the keys of `DECLARED`;
            drawn faces: 'avatars_60000x64', with their number and their side in pixels;
            captioned faces: 'captioned_avatars', 'captioned_avatars_60000x64';
            a toy distribution: 'toy/ring8', ...;
            the user's images: 'folder', 'pairs', 'unpaired', 'captioned';
            voices: 'voices_it', or 'voices' for the user's recordings;
            any TFDS name: 'cifar10', 'celeb_a', 'lsun/bedroom'. If it has the splits 'trainA' and
            'trainB', as 'cycle_gan/horse2zebra' has, 'train' is both, as unpaired 'x' and 'y'.
        split: 'train', 'test', ... or a TFDS slice such as 'train[:90%]'.
        path: folder or zip of the user's data; `images`, `paired`, `captions` and `speech` describe
            the layouts.
        resolution: side of the square images in pixels.
        channels: 1 (grey) or 3 (RGB).
        resize: 'lanczos', 'bicubic', 'bilinear', 'box' or 'nearest'.
        crop: 'center' for the centre square, 'none' to resize the whole image to a square.
        on_bad_image: 'fail' at a damaged file of the user's, or 'skip' it with a warning.
        data_dir: folder of prepared data; default `$GAN_JAX_CACHE/data`, and for TFDS names also
            `$TFDS_DATA_DIR` and TFDS's default. Folders of images are cached in `$GAN_JAX_CACHE`.
        seed: of a toy distribution; no other data set depends on it.
        direction: 'x2y', or 'y2x' to exchange the columns 'x' and 'y'.
        frames: number of frames in a segment of speech.
        cepstra: number of mel-cepstral coefficients of a frame of speech.
        encoding: of the captions of captioned faces, a key of `faces.ENCODERS`.

    Raises:
        UserError: an unknown name or option, a data set that is not prepared (with the command that
            prepares it), or 'y2x' for a data set without 'x' and 'y'.
    """
    check_path(name, path)
    orient = _orientation(direction)
    if name.startswith("toy/"):
        return orient(open_toy(name, split=split, seed=seed))
    if name in speech.NAMES:
        size = {"frames": frames, "cepstra": cepstra}
        source = speech.open_voices(name, path=path, split=split, data_dir=data_dir, **size)
        return source if direction == "x2y" else speech.swap_speakers(source)
    preprocessing = Preprocessing(resolution, channels, resize, crop).checked()
    if name in FOLDERS:
        options = {"preprocessing": preprocessing, "on_bad_image": on_bad_image}
        return orient(FOLDERS[name](path, split=split, **options))
    if name.startswith(faces.PREFIX):
        options = {"split": split, "data_dir": data_dir, **preprocessing._asdict()}
        drawn = open_source(name.removeprefix(faces.PREFIX), **options)
        return faces.caption_faces(drawn, split=split, encoding=encoding)
    declared = find_set(name)
    prepared = _declared(declared, data_dir) if declared else _from_tfds(name, data_dir)
    single = functools.partial(open_built, rules=declared.attributes if declared else {})
    opener = paired.open_domains if paired.has_domains(prepared.info.splits, split) else single
    source = opener(
        prepared,
        name=name,
        split=split,
        preprocessing=preprocessing._asdict(),
        decode=make_decoder(preprocessing, name),
    )
    unpaired = declared.unpaired if declared else ()
    return orient(as_unpaired(source) if _is_unpaired(unpaired, split) else source)


def _orientation(direction: str) -> Callable[[Source], Source]:
    if direction not in DIRECTIONS:
        guess = nearest(direction, DIRECTIONS)
        raise UserError(f"unknown direction {direction!r}; did you mean {guess}?")
    return DIRECTIONS[direction]


def as_unpaired(source: Source) -> Source:
    """Mark 'x' and 'y' as unpaired, so that `batches` samples them independently."""
    return source._replace(sides=tuple(column(source.records, one) for one in ("x", "y")))


def _is_unpaired(unpaired: tuple[str, ...], split: str) -> bool:
    """Return whether `split` includes rows of an unpaired split."""
    parts = {part.split("[")[0].strip() for part in split.split("+")}
    return bool(unpaired) and not parts.isdisjoint({*unpaired, "all"})


def _declared(declared: base.ImageSet, data_dir: str | None) -> Any:
    folder = data_dir or str(cache_dir() / "data")
    if declared.origin is None:
        return base.prepare(declared, data_dir=folder)
    if not base.is_at(declared, folder):
        raise UserError(how_to_prepare(declared.name, data_dir))
    return base.builder(declared, data_dir=folder)


def _from_tfds(name: str, data_dir: str | None) -> Any:
    prepared = find_tfds(name, data_dirs(data_dir))
    if prepared is None:
        raise UserError(how_to_prepare(name, data_dir))
    return _random_access(prepared, name)


def _random_access(prepared: Any, name: str) -> Any:
    formats = {one.value for one in prepared.info.available_file_formats()}
    if "array_record" not in formats:
        held = f"{name!r} in {prepared.data_path} is prepared as {', '.join(sorted(formats))}"
        fix = f"gan-jax prepare-data {name} --data-dir ANOTHER_FOLDER"
        raise UserError(f"{held}, which has no random access: prepare it again with `{fix}`")
    return prepared


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
    """Iterate over this process's share of an infinite sequence of shuffled batches.

    Every epoch is a new permutation of all rows. A batch may span two epochs, so that no row is
    dropped. Each process gets one contiguous share: concatenated in process order, the shares are
    the batch that a single process would get, including flips and jitter.

    Args:
        source: from `open_source`.
        batch_size: global batch size, of all processes together.
        seed: at least 0; with the step number it determines order, flips and jitter.
        start: number of the first batch: the step at which a run resumes.
        before: number of rows consumed before batch number 0, by batches of another size.
        process_index: index of this process.
        process_count: number of processes.
        threads: number of prefetch threads; default one per core, 2 to 16.
        flip: mirror images horizontally with probability 1/2; the images of a row together, the
            sides of an unpaired data set independently.
        jitter: enlarge each image by this many pixels (bicubic) and crop a random window of the
            original size; one window for the images of a row, independent windows for the sides
            of an unpaired data set. Pix2pix and CycleGAN enlarge 256 by 30. 0: no jitter.

    Returns:
        An iterator of 'image' uint8 [b h w c] (pairs: 'x' and 'y'; toy: 'x' float32 [b 2]), with
        'label' int32 [b] and 'text' float32 [b e] where the data set has them. Its `close()` or the
        end of the program stops the threads.

    Raises:
        UserError: a batch larger than the data set, a batch size that is not divisible by the
            number of processes, a negative seed, start or jitter, or no images to flip or jitter.
    """
    check_batches(source, batch_size, process_count, flip=flip, jitter=jitter)
    if not 0 <= process_index < process_count:
        raise UserError(f"process_index {process_index} is not below {process_count}")
    if min(seed, start, before) < 0:
        values = f"seed {seed}, start {start}, before {before}"
        raise UserError(f"seed, start and before must not be negative: {values}")
    pictures = _pictures(source.records[0]) if flip or jitter else ()
    share = np.arange(batch_size).reshape(process_count, -1)[process_index]
    streams = _streams(source, seed)

    def batch(step: int) -> dict[str, np.ndarray]:
        columns = {}
        for records, stream in streams:
            positions = before + step * batch_size + share
            rows, mirrored, bits = _draw(records.count, stream, positions)
            record = records.window(rows, bits) if records.window else records.take(rows)
            for name in record.keys() & set(pictures):
                if jitter:
                    record[name] = augment.jitter(record[name], bits, jitter)
                if flip:
                    record[name] = augment.mirror(record[name], mirrored)
            columns |= record
        return columns

    return _stream(batch, start, sys.maxsize, threads)


def eval_batches(
    source: Source, batch_size: int, *, count: int | None = None, threads: int | None = None
) -> Batches:
    """Iterate once, in order, over the first `count` rows (default: all).

    The last batch may be smaller.

    Raises:
        UserError: an infinite source without a count, or a count larger than the data set.
    """
    total = source.size if count is None else count
    if total is None:
        raise UserError(f"data set {source.name!r} is infinite: set the number of samples")
    if batch_size < 1 or total < 1:
        raise UserError(f"nothing to read: batch_size {batch_size}, count {total}")
    if source.size is not None and total > source.size:
        raise UserError(f"data set {source.name!r} has {source.size} rows, fewer than {total}")

    def batch(step: int) -> dict[str, np.ndarray]:
        return source.records.take(
            np.arange(step * batch_size, min(total, (step + 1) * batch_size))
        )

    return _stream(batch, 0, -(-total // batch_size), threads)


def _streams(source: Source, seed: int) -> list[tuple[Records, tuple[int, ...]]]:
    """List the records that share an order, with its seed: all of them, or each unpaired side."""
    if not source.sides:
        return [(source.records, (seed,))]
    return [(side, (seed, 0, index)) for index, side in enumerate(source.sides)]


def _pictures(record: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Return the names of the image columns: uint8 [h w c]."""
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
    """Check the arguments of `batches`.

    Raises:
        UserError: a batch larger than the data set or not divisible by the number of processes, a
            negative jitter, or no images to flip or jitter.
    """
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1, not {batch_size}")
    if source.size is not None and batch_size > source.size:
        size = f"{source.size} of data set {source.name!r}"
        raise UserError(f"batch_size {batch_size} is more than the {size}")
    if batch_size % process_count:
        raise UserError(f"batch_size {batch_size} is not divisible by {process_count} processes")
    if jitter < 0:
        raise UserError(f"jitter must be at least 0 pixels, not {jitter}")
    changes = " or ".join(word for word, on in (("flip", flip), ("jitter", jitter)) if on)
    if changes and not _pictures(source.records[0]):
        raise UserError(f"data set {source.name!r} has no images to {changes}")


def _stream(
    batch: Callable[[int], dict[str, np.ndarray]], start: int, stop: int, threads: int | None
) -> Batches:
    threads = default_threads() if threads is None else threads
    # Two finished batches beyond those in progress hide one slow batch at little memory.
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads and threads + 2)
    ahead = iter(grain.MapDataset.range(start, stop).map(batch).to_iter_dataset(options))
    try:
        yield from ahead
    finally:
        ahead.close()


class _Drawn(NamedTuple):
    """Row of each position, whether it is mirrored, and 32 random bits for its window."""

    rows: Integer[np.ndarray, "b"]
    mirrored: Bool[np.ndarray, "b"]
    bits: UInt32[np.ndarray, "b"]


def _draw(size: int | None, stream: tuple[int, ...], positions: Integer[np.ndarray, "b"]) -> _Drawn:
    """Return the draws at positions of the infinite sequence of epochs."""
    count = len(positions)
    if size is None:
        return _Drawn(positions, np.zeros(count, bool), np.zeros(count, np.uint32))
    epochs, offsets = np.divmod(positions, size)
    drawn = _Drawn(np.empty_like(positions), np.empty(count, bool), np.empty(count, np.uint32))
    for epoch in np.unique(epochs):
        here = epochs == epoch
        for part, whole in zip(drawn, _epoch(size, stream, int(epoch)), strict=True):
            part[here] = whole[offsets[here]]
    return drawn


@functools.lru_cache(maxsize=8)
def _epoch(size: int, stream: tuple[int, ...], epoch: int) -> _Drawn:
    """Draw the permutation of one epoch, with a coin flip and 32 bits per position.

    Argsort of raw Philox words gives the same order in every NumPy version;
    `Generator.permutation` does not guarantee that.
    """
    words = np.random.Philox(np.random.SeedSequence((*stream, epoch))).random_raw(3 * size)
    order, coins, windows = words.reshape(3, size)
    return _Drawn(
        np.argsort(order, kind="stable").astype(np.uint32),
        coins >> 63 == 1,
        (windows >> 32).astype(np.uint32),
    )
