"""The loss landscape and vector field of a game: slices, paths, spectrum and figures."""
