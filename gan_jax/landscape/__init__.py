"""The game as a vector field: slices of its losses, the path to a solution, its spectrum."""
