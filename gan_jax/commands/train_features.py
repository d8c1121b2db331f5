"""Trains the small network whose features compare pictures of garments, and stores its weights.

gan-jax train-features      # needs fashion_mnist: gan-jax prepare-data fashion_mnist

ImageNet's networks see little in 28 pixels of grey, so pictures this small are compared by a
classifier of their own kind. Its weights come with the package; this command made them.
"""

import dataclasses
import sys
from pathlib import Path

from gan_jax.commands import cli

EMBEDDED = Path(__file__).parents[1] / "metrics" / "embedded"


@dataclasses.dataclass(frozen=True)
class Options:
    """How to train."""

    steps: int = 6000
    """Batches of 128."""
    out: str = str(EMBEDDED / "fashion_cnn.npz")


def main() -> None:
    """Trains on the 60,000 training pictures, judges on the 10,000 test pictures, stores."""
    words = sys.argv[1:]
    if words[:1] == ["--help"]:
        print(cli.spell(__doc__ or ""))
    options = cli.parse(Options(), words)

    cli.writable(options.out)

    import numpy as np

    from gan_jax.data import available

    available.require("fashion_mnist")

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
