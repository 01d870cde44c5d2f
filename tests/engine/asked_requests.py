"""Comparing what tasks ask for."""

import numpy as np

from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Labels


def assert_alike(one: Requests | None, other: Requests | None) -> None:
    """Fail where two hold different values in a column, and where one of them is None."""
    assert one is not None
    assert other is not None
    for name, column in one.columns().items():
        found = getattr(other, name)
        if isinstance(column, Labels):
            assert column.texts().tolist() == found.texts().tolist()
        else:
            np.testing.assert_array_equal(column, found)
