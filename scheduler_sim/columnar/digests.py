"""Digests of values that are the same on every machine and database."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def json_digest(value: Any) -> str:
    """Return the SHA-256 of what JSON can hold, as hexadecimal text.

    The order of keys does not matter, and a whole number is the same as an integer and as a float, which a database
    may turn into each other.
    """
    text = json.dumps(_settled(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def columns_digest(columns: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of named columns of numbers or texts in their exact 64-bit values, as hexadecimal text."""
    digest = hashlib.sha256()
    for name, values in columns.items():
        if values.dtype == object:
            encoded = json.dumps(values.tolist()).encode()
        elif values.dtype.kind == "f":
            # 0.0 added turns -0.0 into 0.0, and one NaN stands for all of them.
            encoded = np.where(np.isnan(values), np.nan, values + 0.0).astype("<f8").tobytes()
        else:
            encoded = values.astype("<i8").tobytes()
        digest.update(f"{name} {len(encoded)}\0".encode())
        digest.update(encoded)
    return digest.hexdigest()


def _settled(value: Any) -> Any:
    # The commonest first: tens of thousands of figures come through here.
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, int | str) or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(name): _settled(one) for name, one in value.items()}
    return [_settled(one) for one in value] if isinstance(value, list | tuple) else value
