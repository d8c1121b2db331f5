"""Official checkpoints in, portable artefacts out."""
