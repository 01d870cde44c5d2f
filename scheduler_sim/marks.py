"""Marks that Django reads off functions."""

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def alters_data(method: F) -> F:
    """Mark a method that writes, so that no template can ever call it."""
    vars(method)["alters_data"] = True
    return method
