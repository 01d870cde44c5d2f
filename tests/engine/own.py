"""Policies that a test registers, and takes out again."""

from collections.abc import Iterator
from contextlib import contextmanager

from scheduler_sim.engine.policies.order import ORDERS


@contextmanager
def own_policies(*names: str) -> Iterator[None]:
    """Take out policies that are registered meanwhile: other tests play every one that there is."""
    try:
        yield
    finally:
        for name in names:
            if name in ORDERS:
                ORDERS.remove(name)
