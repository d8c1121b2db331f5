"""Metrics of a trained state: what each computes, and which way is better."""
