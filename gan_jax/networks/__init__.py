"""Linen modules; they know nothing of losses."""
