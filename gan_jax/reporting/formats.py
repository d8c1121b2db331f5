"""Numbers and durations as texts of a report."""

import math
from typing import SupportsFloat


def number(value: float) -> str:
    """Write four significant digits with thousands separators.

    >>> number(0.0123456), number(1234.5), number(1.2345e-07)
    ('0.01235', '1,234', '1.235e-07')
    """
    value = float(value)
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if abs(value) >= 1e7 or abs(value) < 1e-4:
        return f"{value:.3e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def rounded(value: SupportsFloat) -> float:
    """Round to six significant digits, which keeps the JSON of a report small."""
    return float(f"{float(value):.6g}")


def time_unit(seconds: float) -> tuple[float, str]:
    """Choose a unit of time for an axis; return its length in seconds and its name."""
    return (1.0, "s") if seconds < 180 else (60.0, "min") if seconds < 3 * 3600 else (3600.0, "h")


def duration(seconds: float) -> str:
    """Write a duration in one or two units: "50 s", "3 h 20 min", "2 d 4 h"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
