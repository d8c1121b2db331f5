"""Linen modules; losses are in `gan_jax.games`."""
