"""Fashion-MNIST: Xiao, Rasul, Vollgraf, arXiv:1708.07747; 28x28 grey images of ten classes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Integer, UInt8

from gan_jax.data.builders.base import Debian, Example, Features, ImageSet, Split, as_image, picture

EMBEDDED = Path(__file__).parent.parent / "embedded" / "fashion_mnist_t10k.npz"

CLASSES = (
    *("t-shirt/top", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)

CITATION = """@article{xiao2017fashion, title={Fashion-MNIST: a Novel Image Dataset for Benchmarking
Machine Learning Algorithms}, author={Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
journal={arXiv:1708.07747}, year={2017}}"""

TEST_SHARE = 10
"""One image in this many of each class is in the test split of the embedded data set."""


def split_once(labels: Integer[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Mark the test split: every tenth image of each class, in file order."""
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[TEST_SHARE - 1 :: TEST_SHARE]] = True
    return test


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """Read a gzipped idx file of uint8: magic number (0, 0, 8, rank), sizes, data."""
    data = gzip.decompress(path.read_bytes())
    rank = data[3]
    shape = np.frombuffer(data, ">u4", count=rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(tuple(shape))


def _features() -> Features:
    import tensorflow_datasets as tfds

    return {
        "image": picture(28, channels=1),
        "label": tfds.features.ClassLabel(names=list(CLASSES)),
    }


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    def examples() -> Iterator[Example]:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield f"{index:05d}", {"image": as_image(image), "label": int(label)}

    return Split(len(labels), examples)


def _embedded(_: Path) -> Mapping[str, Split]:
    with np.load(EMBEDDED) as archive:
        images, labels = archive["images"], archive["labels"]
    test = split_once(labels)
    return {
        "train": _split(images[~test], labels[~test]),
        "test": _split(images[test], labels[test]),
    }


def _full(raw: Path) -> Mapping[str, Split]:
    def side(name: str) -> Split:
        images = read_idx(raw / f"{name}-images-idx3-ubyte.gz")
        return _split(images, read_idx(raw / f"{name}-labels-idx1-ubyte.gz"))

    return {"train": side("train"), "test": side("t10k")}


FASHION_MNIST_10K = ImageSet(
    name="fashion_mnist_10k",
    version="1.0.0",
    description="10,000 images of Fashion-MNIST that come with the package: 9,000 to train, 1,000 "
    "to test (every tenth of each class; never train on them). They are the test side of the full "
    "set, so numbers are not those of the benchmark: use fashion_mnist for those.",
    licence="MIT, Copyright 2017 Zalando SE",
    citation=CITATION,
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    features=_features,
    splits=_embedded,
)
"""The data set of the quickstart."""

FASHION_MNIST = FASHION_MNIST_10K._replace(
    name="fashion_mnist",
    description="Fashion-MNIST, the standard benchmark: 60,000 images to train, 10,000 to test.",
    splits=_full,
    origin=Debian(
        package="dataset-fashion-mnist",
        folder="usr/share/datasets/fashion-mnist",
        sha256={
            "train-images-idx3-ubyte.gz": (
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"
            ),
            "train-labels-idx1-ubyte.gz": (
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"
            ),
        },
    ),
)
"""The standard data set; prepared by `gan-jax prepare-data fashion_mnist`."""
