"""Data as iterators of numpy batches whose position is the step number; no jax in here."""
