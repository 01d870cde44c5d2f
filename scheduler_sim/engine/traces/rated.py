"""Rates on kinds of GPU as columns of a table: `rate_on_KIND`, in units of `size` a second."""

from collections.abc import Iterable

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.table import Table
from scheduler_sim.engine.workloads.columns import FloatArray, Labels
from scheduler_sim.engine.workloads.throughputs import Throughputs

RATE_ON = "rate_on_"
"""What the name of such a column begins with."""


def kinds_in(names: Iterable[str]) -> list[str]:
    """Return the kinds of GPU that the names of columns have, as they come."""
    return [name.removeprefix(RATE_ON) for name in names if name.startswith(RATE_ON) and name != RATE_ON]


def rate_names(names: Iterable[str]) -> list[str]:
    """Return those names of columns that are of rates."""
    return [f"{RATE_ON}{kind}" for kind in kinds_in(names)]


def rates_in(table: Table, group: Labels | None, gpus: FloatArray | None) -> Throughputs | None:
    """Return the rates that a table states for each type of task, which is its group, and number of GPUs.

    Where some kinds have a rate the task cannot run on the others.

    Raises:
        InvalidTrace: there are rates and no groups or GPUs, or tasks of one type on as many GPUs have others.
    """
    kinds = kinds_in(table.columns)
    if not kinds:
        return None
    if group is None or gpus is None:
        raise InvalidTrace(f"{table.name} has rates on kinds of GPU and no column group or gpus, which they go by.")
    rates = np.column_stack([table.numbers(f"{RATE_ON}{kind}", scale=None) for kind in kinds])
    stated = ~np.isnan(rates).all(1) & np.isfinite(gpus)
    rates = np.nan_to_num(rates[stated])
    keys = np.column_stack([group.codes[stated], gpus[stated].astype(np.int64)])
    distinct, first, of_row = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    differing = (rates != rates[first[of_row.ravel()]]).any(1)
    if differing.any():
        line = int(table.where[stated][differing][0])
        raise InvalidTrace(
            f"{table.name}, line {line}: a task has other rates than one of its group on as many GPUs before it."
        )
    if not len(distinct):
        return None
    found = {
        (group.names[code], count): tuple(row)
        for (code, count), row in zip(distinct.tolist(), rates[first].tolist(), strict=True)
    }
    return Throughputs(tuple(kinds), found)
