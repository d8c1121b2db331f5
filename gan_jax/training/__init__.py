"""From an Experiment to a trained run: build, loop, checkpoint, records, report."""
