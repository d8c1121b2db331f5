"""The command line: `gan-jax VERB ...`, one module a verb.

The modules import jax, orbax and tensorflow_datasets after they have read the arguments, so that
help and a mistake do not wait for them.
"""

PROGRAM = "gan-jax"

VERBS = {
    "train": "train a recipe; the same command resumes",
    "sample": "draw samples, walks, translations and figures of styles from a run",
    "evaluate": "measure a run",
    "report": "write the report of a run, or a page that compares several",
    "explore": "play with a run on a local page",
    "export": "write a run as safetensors, StableHLO or ONNX",
    "ablate": "list, train or spread the rows of an ablation table",
    "table": "print an ablation table from its runs",
    "prepare-data": "prepare a data set, or install a weight file",
    "import-weights": "make a run of weights of other projects",
    "train-features": "train the small network that compares images of garments",
    "tpu-plan": "plan memory and time of a recipe on TPUs and GPUs",
}
"""Each command with a line of help; the module's name has underscores in place of hyphens."""
