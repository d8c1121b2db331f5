"""Measures a trained run and prints what it finds, one line a quantity.

python scripts/evaluate.py RUN --metrics mode_coverage
"""

import dataclasses

import cli

from gan_jax.config import UserError, nearest


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure."""

    metrics: tuple[str, ...] = ()
    """By default those of the run's recipe."""
    step: int | None = None
    """The checkpoint's round; by default the newest."""
    split: str | None = None
    """Of the real data; by default the one trained on."""
    seed: int = 0


def main() -> None:
    """Reads the run's directory and the flags, then measures."""
    workdir, options = cli.of_run(Options(), __doc__)

    import jax

    from gan_jax.training import runs
    from gan_jax.training.build import METRICS, open_data

    cli.compilation_cache()
    built, step, state = runs.load(workdir, options.step)
    names = options.metrics or built.experiment.run.metrics
    if not names:
        raise UserError(f"the recipe names no metrics; say --metrics with {nearest('', METRICS)}")
    for name in names:
        if name not in METRICS:
            raise UserError(f"no metric {name!r}; did you mean {nearest(name, METRICS)}?")
    source = open_data(built.experiment, options.split)
    key = jax.random.key(options.seed)
    print(f"{workdir}: round {step}, {step * built.experiment.batch_size / 1000:g} kimg")
    for name in names:
        scores = METRICS[name](lambda count: built.sampler.draw(state, key, count), source)
        for quantity, value in scores.items():
            print(f"{quantity} {value:.6g}")


if __name__ == "__main__":
    cli.run(main)
