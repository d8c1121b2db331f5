"""Evaluation metrics as functions over arrays or samplers."""
