"""The game as a vector field: slices, fields, spectra."""
