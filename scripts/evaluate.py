"""Measures a trained run and prints what it finds, one line a quantity.

python scripts/evaluate.py RUN --metrics fid kid prdc
"""

import dataclasses

import cli

from gan_jax.config import UserError


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    metrics: tuple[str, ...] = ()
    """By default those of the run's recipe."""
    count: int | None = None
    """Samples to compare; by default as the recipe says."""
    features: str | None = None
    """The network that compares: efficientnet-lite0, inception-2015, vgg16 or fashion-cnn."""
    step: int | None = None
    """The checkpoint's round; by default the newest."""
    split: str | None = None
    """Of the real data; by default the one trained on, or test where samples begin with data."""
    seed: int = 0


def main() -> None:
    """Reads the run's directory and the flags, then measures."""
    workdir, options = cli.of_run(Options(), __doc__)

    from gan_jax.training import runs, scores
    from gan_jax.training.build import evaluate, open_data
    from gan_jax.training.schedule import images

    cli.compilation_cache()
    if options.count is not None and options.count < 1:
        raise UserError(f"count = {options.count}: at least 1 is needed")
    scores.expand(options.metrics)
    scores.find_features(options.features or "efficientnet-lite0")
    built, step, state = runs.load(workdir, options.step)
    if not (options.metrics or built.experiment.run.metrics):
        valid = ", ".join([*scores.compare.COMPARISONS, *scores.OTHERS, *scores.GROUPS])
        raise UserError(f"the recipe names no metrics; say --metrics with some of {valid}")
    source = open_data(built.experiment, options.split)
    print(f"{workdir}: round {step}, {images(built.stages, step) / 1000:g} kimg")
    found = evaluate(
        built,
        state,
        cli.key(options.seed),
        source,
        split=options.split,
        metrics=options.metrics,
        count=options.count,
        features=options.features,
    )
    for quantity, value in found.items():
        print(f"{quantity} {value:.6g}")


if __name__ == "__main__":
    cli.run(main)
