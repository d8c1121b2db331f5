"""Import of official checkpoints, and export of networks to portable formats."""
