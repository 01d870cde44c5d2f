"""Columns as whatever kind of table is asked for, without copying them where the kind allows."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.errors import InvalidParameter, unknown_name
from scheduler_sim.engine.optional import optional
from scheduler_sim.engine.policies.own import fixed_view

Kind = Literal["pandas", "polars", "arrow", "numpy"]


def table(columns: Mapping[str, npt.NDArray[Any]], kind: str) -> Any:
    """Return columns of one length as a table.

    Raises:
        InvalidParameter: an unknown kind.
        ImportError: its package is not installed; the sentence says how to install it.
    """
    if kind not in get_args(Kind):
        raise InvalidParameter(unknown_name("kind of table", kind, list(get_args(Kind))))
    if kind == "numpy":
        # What the simulation holds is what its figures are read from.
        return {name: fixed_view(column) for name, column in columns.items()}
    if kind == "pandas":
        # A frame that is read from one wide array would copy it; columns of their own stay where they are.
        return optional("pandas", extra="notebook").DataFrame(dict(columns), copy=False)
    import pyarrow as pa

    arrays = {name: pa.array(np.ascontiguousarray(column)) for name, column in columns.items()}
    if kind == "arrow":
        return pa.table(arrays)
    return optional("polars", extra="notebook").from_arrow(pa.table(arrays))
