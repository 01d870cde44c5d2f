"""What tasks ask for beside cores, GPUs and memory: nodes, partitions, features and dates of a site, other widths."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray, Labels
from scheduler_sim.engine.workloads.speedups import ELASTICITIES, read_speedup


@dataclass(frozen=True, eq=False)
class Requests:
    """What n tasks ask for, in Slurm's meaning; every column has shape (n,).

    The partition is the workload's `queue` and the account its `group`; cores, GPUs and memory of the whole task are
    the workload's too. Numbers of 0 and empty texts ask for nothing.

    Attributes:
        nodes: at least so many nodes. most_nodes: at most; 0 with `nodes` stated means just as many.
        tasks: processes in all. cores_per_task: cores of one process, all on one node. tasks_per_node: on each node.
        gpus_per_node: GPUs of each node; 0 where only their sum is known.
        memory_mb_per_core, memory_mb_per_node: NaN where not stated.
        features: an expression of the site's features, as `skylake&ib` or `a|b`.
        partitions: names separated by commas where it may run in several; else the workload's `queue`.
        qos, reservation: names.
        recorded_nodes: on which nodes of the site it really ran, as a host list; who replays the log puts it there.
        exclusive: its nodes are for it alone.
        eligible_time: when it may start at the earliest (a begin time, the release from a hold), NaN where at once.
        cancel_time: when it leaves the queue if it has not started, NaN for never.
        nice: taken from its priority.
        array: a number that the tasks of one job array share, 0 for none. array_limit: how many of them may run at
            once, 0 for any number.
        needs_success: its parents must have completed; else it is enough that they ended.
        fails: its run ends in failure, so that no task that needs its success ever starts.
        requeueable: it may be run again when it must give way.
        elasticity: one of `speedups.ELASTICITIES`; empty for rigid.
        least_width, most_width: GPUs that it may run on, processors where it asks for none; what it asks for lies
            between them. 0 for 1, and for what it asks for.
        speedup: how its speed depends on its width (`speedups.read_speedup`); its run time is that on what it asks for.
        resize_time: seconds that it holds devices without progress after its width changed; 0 for what the run says.
        follows: the task_id of the one whose result its user waited for, 0 for none; obeyed in a closed loop alone.
        think_time: seconds from the end of that one to when it was submitted, NaN where not stated.
    """

    nodes: IntArray
    most_nodes: IntArray
    tasks: IntArray
    cores_per_task: IntArray
    tasks_per_node: IntArray
    gpus_per_node: FloatArray
    memory_mb_per_core: FloatArray
    memory_mb_per_node: FloatArray
    features: Labels
    partitions: Labels
    qos: Labels
    reservation: Labels
    recorded_nodes: Labels
    exclusive: BoolArray
    eligible_time: FloatArray
    cancel_time: FloatArray
    nice: IntArray
    array: IntArray
    array_limit: IntArray
    needs_success: BoolArray
    fails: BoolArray
    requeueable: BoolArray
    elasticity: Labels
    least_width: IntArray
    most_width: IntArray
    speedup: Labels
    resize_time: FloatArray
    follows: IntArray
    think_time: FloatArray

    @classmethod
    def blank(cls, length: int, **stated: Any) -> "Requests":
        """Return the requests of `length` tasks that ask for nothing but what is stated, by column."""
        columns: dict[str, Any] = {}
        for name in NAMES:
            if name in TEXTS:
                columns[name] = Labels.blank(length)
            elif name in TIMES or name.startswith(("memory", "think")):
                columns[name] = np.full(length, np.nan)
            elif name in FLAGS:
                columns[name] = np.full(length, name == "requeueable")
            else:
                columns[name] = np.zeros(length, np.float64 if name in ("gpus_per_node", "resize_time") else np.int64)
        return cls(**{**columns, **stated})

    def take(self, rows: IntArray) -> "Requests":
        """Return those of `rows`, in that order."""
        taken: dict[str, Any] = {
            name: column.take(rows) if isinstance(column, Labels) else column[rows]
            for name, column in self.columns().items()
        }
        return Requests(**taken)

    def columns(self) -> dict[str, Any]:
        """Return the columns by name, in their order."""
        return {name: getattr(self, name) for name in NAMES}

    def stated(self) -> dict[str, int]:
        """Return how many tasks ask for something, by column; columns by which none does are left out."""
        found = {}
        for name, column in self.columns().items():
            if isinstance(column, Labels):
                asked = np.array([name != "" for name in column.names], bool)[column.codes]
            elif column.dtype.kind == "f" and name not in ("gpus_per_node", "resize_time"):
                asked = ~np.isnan(column)
            else:
                asked = (column == 0) if name == "requeueable" else (column != 0)
            found[name] = int(asked.sum())
        return {name: count for name, count in found.items() if count}

    def moved(self, before: FloatArray, after: FloatArray) -> "Requests":
        """Return them with each task's times as long after its arrival as they were; arrivals have shape (n,)."""
        return replace(self, **{name: after + (getattr(self, name) - before) for name in TIMES})

    def check(self, length: int) -> None:
        """Check the columns of `length` tasks.

        Raises:
            InvalidWorkload: a column of another length, a negative count, or a time that is not finite.
        """
        for name in NAMES:
            column = getattr(self, name)
            if len(column) != length:
                raise InvalidWorkload(f"Column {name} has {len(column)} values where {length} were expected.")
            if name in TEXTS or name in FLAGS:
                continue
            if np.isinf(column).any():
                raise InvalidWorkload(f"Column {name} holds {int(np.isinf(column).sum())} values that are not finite.")
            negative = int((column < 0).sum())
            if negative and name not in SIGNED:
                raise InvalidWorkload(f"Column {name} is negative for {negative} tasks.")
        for least, most in (("nodes", "most_nodes"), ("least_width", "most_width")):
            reversed_ = self.reversed(least, most)
            if reversed_.any():
                raise InvalidWorkload(f"Column {most} is below {least} for {int(reversed_.sum())} tasks.")
        for text in self.elasticity.names:
            if text not in ("", *ELASTICITIES):
                raise InvalidWorkload(f"Column elasticity holds {text!r}, not one of {', '.join(ELASTICITIES)}.")
        for text in self.speedup.names:
            read_speedup(text)

    def reversed(self, least: str, most: str) -> BoolArray:
        """Tell where the column `most` is stated and below the column `least`."""
        found: BoolArray = (getattr(self, most) > 0) & (getattr(self, most) < getattr(self, least))
        return found

    def __len__(self) -> int:
        return len(self.nodes)


NAMES = tuple(field.name for field in fields(Requests))
TEXTS = frozenset(("features", "partitions", "qos", "reservation", "recorded_nodes", "elasticity", "speedup"))
WIDTHS = frozenset(("elasticity", "least_width", "most_width", "speedup", "resize_time"))
FEEDBACK = frozenset(("follows", "think_time"))
LATER = WIDTHS | FEEDBACK
"""Columns that were added once there were digests of requests, which stay what they were without them."""

FLAGS = frozenset(("exclusive", "needs_success", "fails", "requeueable"))
TIMES = frozenset(("eligible_time", "cancel_time"))
SIGNED = frozenset(("eligible_time", "cancel_time", "nice"))
"""Columns by what they hold; the others count."""
