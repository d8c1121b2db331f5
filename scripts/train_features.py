"""Trains the small network whose features compare pictures of garments, and stores its weights.

python scripts/train_features.py      # needs fashion_mnist: scripts/prepare_data.py fashion_mnist

ImageNet's networks see little in 28 pixels of grey, so pictures this small are compared by a
classifier of their own kind. Its weights come with the package; this script made them.
"""

import dataclasses
from pathlib import Path

import cli


@dataclasses.dataclass(frozen=True)
class Options:
    """How to train."""

    steps: int = 6000
    """Batches of 128."""
    out: str = "gan_jax/metrics/embedded/fashion_cnn.npz"


def main() -> None:
    """Trains on the 60,000 training pictures, judges on the 10,000 test pictures, stores."""
    import sys

    options = cli.parse(Options, Options(), sys.argv[1:], "train_features.py")

    import numpy as np
    from flax.traverse_util import flatten_dict

    from gan_jax.data.pipeline import open_source
    from gan_jax.metrics import classification

    def split(name: str) -> tuple[np.ndarray, np.ndarray]:
        source = open_source("fashion_mnist", split=name)
        rows = source.records.take(np.arange(len(source.records)))
        return rows["image"], rows["label"]

    params = classification.fit(*split("train"), classes=10, steps=options.steps)
    test = classification.classifier(params, (28, 28, 1), classes=10)
    print(f"accuracy on the test pictures: {classification.accuracy(test, *split('test')):.2%}")
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    flat = {name: np.asarray(x) for name, x in flatten_dict(params["params"], sep="/").items()}
    np.savez_compressed(options.out, allow_pickle=False, **flat)


if __name__ == "__main__":
    cli.run(main)
