"""Who finished first: the tasks that each policy won, and how many it finished before each other policy did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.crew import Each
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray

BLOCK = 2**14
"""So many tasks are compared at a time: those of all policies then lie in a core's own memory."""


@dataclass(frozen=True, eq=False)
class Contest:
    """How policies compare task by task.

    Attributes:
        won: by policy, shape (n,): tasks whose finish is the lowest of all; those that tie share the win.
        beats: by policy and other policy, how many tasks the first finished before the second.
    """

    won: Mapping[str, BoolArray]
    beats: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, finish_times: Mapping[str, FloatArray], scored: BoolArray | None = None, *, each: Each = map) -> Self:
        """Compare policies.

        Args:
            finish_times: by policy, shape (n,) each; NaN where a task has not finished, which never wins.
            scored: shape (n,), tasks that count in `beats`; all by default.
            each: how blocks of tasks are gone through, one after the other or side by side.
        """
        names, columns = list(finish_times), list(finish_times.values())
        tasks = len(columns[0])
        won = np.empty((len(names), tasks), bool)

        def of_block(first: int) -> Any:
            part = slice(first, first + BLOCK)
            times = np.array([column[part] for column in columns])
            won[:, part] = times == np.fmin.reduce(times)
            counted = times if scored is None else times[:, scored[part]]
            return np.array([(one < counted).sum(axis=1) for one in counted])

        beats = sum(each(of_block, range(0, tasks, BLOCK)), np.zeros((len(names), len(names)), np.int64))
        return cls(
            won=dict(zip(names, won, strict=True)),
            beats={name: dict(zip(names, row, strict=True)) for name, row in zip(names, beats.tolist(), strict=True)},
        )
