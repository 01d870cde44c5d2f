"""What kernels share whose tasks may stop and go on: failures are taken in as time gets on, attempts are drained."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.clusters.failures import FailureStream
from scheduler_sim.engine.contract import Attempts, History
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.base import BaseKernel, EventLoop
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.kernels.structures.outages import Outages
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

FAILURES_AHEAD = 1e6
"""Seconds for which failures are drawn at a time, and longer as the simulation gets on."""

BUFFER = 65_536
"""Attempts that wait to be drained at most, and some more where very many tasks run at once."""


def attempt_type(*more: tuple[str, str]) -> npt.DTypeLike:
    """Return the type of attempts kept as records, with what else is kept of each, names and types."""
    return np.dtype(
        [
            *((name, "i8") for name in ("row", "number")),
            *((name, "f8") for name in ("start", "end")),
            *((name, "i8") for name in ("node", "device", "reason")),
            *more,
        ]
    )


def buffer_for(most_running: int) -> tuple[int, int]:
    """Return how many attempts a buffer holds, and how many may lie in it when an instant begins."""
    length = max(BUFFER, 8 * most_running)
    return length, length - 4 * most_running - 8


def buffer_columns(length: int) -> dict[str, Any]:
    """Return the empty columns of a buffer of attempts, by name."""
    whole = {f"attempt_{name}": np.zeros(length, np.int64) for name in ("rows", "numbers", "nodes", "devices")}
    real = {f"attempt_{name}": np.zeros(length) for name in ("starts", "ends")}
    return {**whole, **real, "attempt_reasons": np.zeros(length, np.int64)}


def refuse_others(problem: Problem, devices: str) -> None:
    """Refuse that others than a policy which keeps progress place tasks, or end attempts before the task has ended.

    Args:
        problem: what is to be played.
        devices: what the policy chooses by itself.

    Raises:
        InvalidPolicy: the sentence says what.
    """
    cluster, options, name = problem.cluster, problem.options, problem.policy.name
    if problem.policy.placement.code != 0 or problem.policy.placement.values:
        raise InvalidPolicy(f"{name} chooses {devices} by itself and takes no @placement.")
    if cluster.fails or options.failures or any(group.outages for group in cluster.groups):
        raise InvalidPolicy(f"{name} plays neither failures nor outages of nodes.")
    if options.checkpoints is not None or options.kill_at_estimate:
        raise InvalidPolicy(f"{name} plays neither checkpoints nor limits: progress is kept.")


def history_of(records: Any, **measured: FloatArray) -> History:
    """Return what the records of n tasks say of their attempts, with what else was `measured`."""
    return History(
        attempts=records["attempts"],
        service_time=records["service"],
        held_time=records["held"],
        begun_time=records["begun"],
        ending=records["ending"],
        **measured,
    )


def attempts_of(written: Any, workload: Workload, part: FloatArray | float = 1.0) -> Attempts:
    """Return the attempts of records that were written of them, each of which held `part` of what its task asks for."""
    row = written["row"].copy()
    return Attempts(
        row=row,
        number=written["number"].copy(),
        start_time=written["start"].copy(),
        end_time=written["end"].copy(),
        node=written["node"].copy(),
        device=written["device"].copy(),
        cpus=workload.cpus[row] * part,
        gpus=workload.gpus[row] * part,
        reason=written["reason"].copy(),
    )


class AttemptsKernel(BaseKernel):
    """A kernel that writes attempts into a buffer, and knows failures some time ahead.

    Args:
        workload: the tasks.
        failures: of nodes; None for none.
        arrays: has an `AttemptBuffer` as its buffer, and the outages that kill.
            The class says which places of its `counts` and `settings` hold how many events were applied, attempts lie
            in the buffer and outages were taken, and how many attempts may lie there when an instant begins.
    """

    EVENTS: ClassVar[int]
    WRITTEN: ClassVar[int]
    OUTAGES: ClassVar[int]
    ROOM: ClassVar[int]

    def __init__(
        self,
        *,
        workload: Workload,
        failures: FailureStream | None,
        arrays: Any,
        counts: IntArray,
        clock: FloatArray,
        advance: EventLoop,
        gangs: GangBuffer | None = None,
    ) -> None:
        self._workload, self._failures, self._arrays = workload, failures, arrays
        self._known_until = -np.inf if failures is not None else np.inf
        super().__init__(counts=counts, clock=clock, advance=advance, gangs=gangs)

    @abstractmethod
    def _renew(self, arrays: Any) -> EventLoop:
        """Return the event loop over arrays of which some are new."""

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Apply whole instants up to and including `until_time`; stop after `max_events` events or when full."""
        done = 0
        while True:
            super().advance(until_time=min(until_time, self._known_until), max_events=max_events - done)
            done += int(self._arrays.counts[self.EVENTS])
            stays = self.full or done >= max_events or self.finished == len(self._workload)
            if stays or until_time <= self._known_until:
                return
            self._ask_for_failures()

    def _ask_for_failures(self) -> None:
        """Take in the failures of the time ahead."""
        if self._failures is None:
            return
        step = max(FAILURES_AHEAD, self.clock - float(self._workload.arrival_time[0]))
        horizon = max(self._known_until, self.clock) + step
        self._known_until = horizon if self._failures.endless else np.inf
        self._arrays = self._with_outages(*self._failures.until(self._known_until))
        self._advance = self._renew(self._arrays)

    def _with_outages(self, times: FloatArray, nodes: IntArray, signs: IntArray) -> Any:
        """Return the arrays with further outages behind those that are still to come."""
        left = slice(int(self._arrays.counts[self.OUTAGES]), None)
        self._arrays.counts[self.OUTAGES] = 0
        return self._arrays._replace(
            outages=Outages(
                *(
                    np.concatenate([listed[left], more])
                    for listed, more in zip(self._arrays.outages, (times, nodes, signs), strict=True)
                )
            )
        )

    @property
    def full(self) -> bool:
        """True when a buffer is to be drained before anything more is played."""
        return super().full or bool(self._arrays.counts[self.WRITTEN] > self._arrays.settings[self.ROOM])

    def drain(self) -> Attempts:
        """Return the attempts written since the last call, and empty the buffer."""
        buffer, size = self._arrays.buffer, int(self._arrays.counts[self.WRITTEN])
        row = buffer.attempt_rows[:size].copy()
        self._arrays.counts[self.WRITTEN] = 0
        return Attempts(
            row=row,
            number=buffer.attempt_numbers[:size].copy(),
            start_time=buffer.attempt_starts[:size].copy(),
            end_time=buffer.attempt_ends[:size].copy(),
            node=buffer.attempt_nodes[:size].copy(),
            device=buffer.attempt_devices[:size].copy(),
            cpus=self._workload.cpus[row],
            gpus=self._workload.gpus[row],
            reason=buffer.attempt_reasons[:size].copy(),
        )
