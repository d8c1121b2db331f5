"""Metrics of a trained state: what each computes, and which way is better."""

from gan_jax.evaluation import registry  # registers the metrics
