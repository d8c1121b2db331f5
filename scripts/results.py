"""Writes experiments/results/NAME.json from finished runs that differ in their seed alone.

python scripts/results.py NAME RUN [RUN ...]     # e.g. dcgan-quickstart runs/quickstart/*
python scripts/results.py                        # what there is

A recipe's docstring that says `results/NAME.json` is checked against the file by the tests.
"""

import sys
from pathlib import Path

from gan_jax.commands import cli
from gan_jax.errors import UserError

FOLDER = Path(__file__).parents[1] / "experiments" / "results"


def main() -> None:
    """Reads the name and the runs, then writes; without any, lists the results."""
    name, *words = sys.argv[1:] or [""]
    if name.startswith("-"):
        print(__doc__)
        return

    from gan_jax.reporting import results

    if not name:
        for path in sorted(FOLDER.glob("*.json")):
            result = results.read(path)
            print(f"{path.stem}: {result['recipe']}, seeds {result['seeds']}, {result['date']}")
        return
    if not words:
        raise UserError("say the runs: results.py NAME RUN [RUN ...]")
    path = FOLDER / f"{name}.json"
    result = results.collect([Path(word) for word in words])
    results.write(result, path)
    for metric, found in results.summarise(result).items():
        spread = "" if found.deviation is None else f" ± {found.deviation:.3g} ({found.seeds})"
        print(f"{metric} {found.mean:.4g}{spread}")
    print(path)


if __name__ == "__main__":
    cli.run(main)
