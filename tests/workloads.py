"""What tests of every layer say of workloads."""

from dataclasses import fields
from typing import Any

import numpy as np

from scheduler_sim import engine
from scheduler_sim.engine.workload import Labels, Parents, Requests


def assert_same(left: engine.Workload, right: engine.Workload) -> None:
    """Tell two workloads apart by every column; what is not known is the same as what is not known."""
    for field in fields(engine.Workload):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if isinstance(one, Requests) and isinstance(other, Requests):
            for name, column in one.columns().items():
                _assert_same_column(name, column, other.columns()[name])
        else:
            _assert_same_column(field.name, one, other)


def _assert_same_column(name: str, one: Any, other: Any) -> None:
    if isinstance(one, Labels):
        one, other = one.texts(), other.texts()
    if isinstance(one, Parents):
        np.testing.assert_array_equal(one.offsets, other.offsets)
        one, other = one.rows, other.rows
    np.testing.assert_array_equal(one, other, err_msg=name)
