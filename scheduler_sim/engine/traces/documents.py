"""What the readers of JSON objects share: one object of the wanted kind, and its values with care."""

import json
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.storable import unstorable
from scheduler_sim.engine.traces.source import Source

HEAD_LINES = 2_000
"""An object tells its kind by its keys, which may come late."""


def read_object(source: Source) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises:
        InvalidTrace: no JSON, another value, or a text that no database can hold.
    """
    text = source.text()
    try:
        document = json.loads(text)
        # Bytes that are UTF-8 hold such a character only by an escape.
        refused = "\\u" in text and unstorable(document)
    except (ValueError, RecursionError) as error:
        raise InvalidTrace(f"{source.name} is not valid JSON: {error}.") from error
    if refused:
        raise InvalidTrace(f"{source.name} holds a character that cannot be stored: NUL, or half of a surrogate pair.")
    if not isinstance(document, dict):
        raise InvalidTrace(f"{source.name} must hold a JSON object.")
    return document


def begins_object(head: list[str], *keys: str) -> bool:
    """Tell a JSON object whose first lines hold one of these keys."""
    return head[0].lstrip().startswith("{") and any(f'"{key}"' in line for line in head for key in keys)


def first_number(record: dict[str, Any], *keys: str) -> float:
    """Return the value of the first key that there is, NaN for none or for what is no number."""
    for key in keys:
        value = record.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return as_double(value)
    return np.nan


def as_double(value: float) -> float:
    """Return a number as a double, infinity for a whole number beyond all of them."""
    try:
        return float(value)
    except OverflowError:
        return np.inf


def texts(value: Any) -> list[str]:
    """Return a list of identifiers as texts; nothing for what is no list."""
    return [str(one) for one in value if isinstance(one, str | int)] if isinstance(value, list) else []
