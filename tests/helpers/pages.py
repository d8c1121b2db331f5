"""A run's directory with all that a report shows, made without training."""

import json

import numpy as np

from gan_jax import grids
from gan_jax.reporting import run_log

FID = "fid1k-train[net,antialias]"


def finished_run(workdir, *, r1=0.0, rounds=40):
    """Curves, a metric with its baseline, and two grids of stripes."""
    workdir.mkdir(parents=True)
    experiment = {"name": "example", "seed": 0, "game": {"r1": r1, "z": 64}}
    config = {"recipe": "experiments/dcgan.py:plain", "seed": 0, "experiment": experiment}
    (workdir / "config.json").write_text(json.dumps(config))
    with run_log.open_metrics(workdir / "metrics.jsonl") as file:
        for k in range(1, rounds + 1):
            row = {
                "step": k,
                "kimg": k / 10,
                "time": 60.0 * k,
                "discriminator/loss": 1.2 + np.sin(k / 5) / 8,
                "generator/loss": 1.0 + r1 + 1.0 / k,
                "discriminator/real_accuracy": 0.7 + np.cos(k / 7) / 10,
                "discriminator/fake_accuracy": 0.6 + np.sin(k / 7) / 10,
                "images_per_second": 640.0,
            }
            run_log.write_row(file, row)
        end = {"step": rounds, "kimg": rounds / 10, "time": 60.0 * rounds}
        run_log.write_row(file, {**end, FID: 20.0 + r1})
    stripes = np.tile(np.repeat(np.uint8([30, 220]), 32), (64, 4))[..., None]
    for step in (rounds // 2, rounds):
        grids.save_png(workdir / "samples" / f"{step:08d}.png", stripes)
    return workdir
