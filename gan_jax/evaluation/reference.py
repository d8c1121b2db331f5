"""Features of a data set's real images, read from the cache or computed behind a progress bar."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from gan_jax.data.pipeline import Source, eval_batches
from gan_jax.metrics import compare
from gan_jax.metrics.features import Features, Progress


def open_reference(source: Source, column: str, split: str, network: Features) -> compare.Reference:
    """Load or compute the features of the real images of a data set.

    Args:
        source: the data set.
        column: its images. Of domains that do not correspond, the shorter one is read once.
        split: the name of the split that `source` is.
        network: the feature extractor.

    Raises:
        UserError: there are no images, or the cache cannot be written or read.
    """
    size, fingerprint = source.size, source.fingerprint
    if source.sides:
        (size,) = (len(side) for side in source.sides if column in side[0])
        fingerprint = f"{fingerprint}, all of side {column}"

    def real() -> Iterator[np.ndarray]:
        return (batch[column] for batch in eval_batches(source, 256, count=size))

    with image_bar(f"features of {source.name}") as progress:
        return compare.reference(
            real, network, split=split, fingerprint=fingerprint, progress=progress
        )


@contextmanager
def image_bar(what: str) -> Iterator[Progress]:
    """A progress line that goes away, for what takes longer than a second."""
    with tqdm(desc=what, unit="image", leave=False, delay=1.0) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
