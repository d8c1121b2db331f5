"""JSON as Python values: configurations, metrics, cards and result files."""

from typing import Any

JsonObject = dict[str, Any]
"""What `json.loads` makes of an object: texts, numbers, truth values, None, lists, and objects.

A file may hold anything, so whoever takes a value out knows its name and checks or converts it.
"""
