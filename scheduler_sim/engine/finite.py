"""Which values of a description are numbers that can be calculated with."""

import math
from typing import Any


def is_finite_number(value: Any) -> bool:
    """Tell whether a value is a finite number; no truth value is, nor a whole number above what a float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
