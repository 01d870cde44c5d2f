"""The readable face of the kernels: construct, advance, read the outcome."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from zlib import crc32

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.contract import (
    ENDINGS,
    Attempts,
    History,
    Kernel,
    News,
    Options,
    Outcome,
    Pieces,
    Predictor,
    UnderWay,
)
from scheduler_sim.engine.crew import Each
from scheduler_sim.engine.errors import InvalidParameter, InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.formulas import played_runtime
from scheduler_sim.engine.gangs import GangLog, Gangs
from scheduler_sim.engine.policies import ORDERS, ChoiceContext, Choices, Order, Policy, ScoreContext, Scores
from scheduler_sim.engine.policies.order import YOUR_OWN
from scheduler_sim.engine.power_cap import PowerCap
from scheduler_sim.engine.prediction import untold
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.series import Signals
from scheduler_sim.engine.sharing import Shared
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.units import SECONDS_PER_DAY
from scheduler_sim.engine.whatif import at_arrivals
from scheduler_sim.engine.workloads.columns import Rows
from scheduler_sim.engine.workloads.feedback import predecessors, uncome
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

Made = TypeVar("Made")

_NOTHING_DRAWN = np.random.default_rng(0)
"""For scores and choices that depend on estimates: none of them keeps what it draws."""


@dataclass
class Simulation:
    """One policy playing one workload on one cluster.

    Attributes:
        on_attempts: called with each batch of attempts as they end, at most some 65,536 at a time, which are then not
            kept; None keeps them for `attempts`.
        on_pieces: the same of what tasks on several nodes held of each, once they hold it no longer; None drops it.
        keep_gangs: keep that for `gangs`, too.
        workload: tasks that all fit the cluster (see `oversize.oversized`). With a predictor it becomes one of its own,
            in which the estimates and predictions of the tasks that have arrived are those of the predictor. In a
            closed loop too: the tasks that have come have the arrivals and deadlines at which they came, in the order
            of those recorded.
        predictor: tells run times as tasks arrive, from what has finished in this simulation; None for the estimates
            of the workload.
        site: whose rules bind all tasks, `cluster` being its cluster; None for a cluster without rules.
        signals: the series of its electricity on the workload's clock; None where they are not known.
        shared: what it has in common with the other simulations of a play, which differ in their policies only.
        recorded: the tasks as they were given, the same for every policy.
    """

    workload: Workload
    cluster: Cluster
    policy: Policy
    seed: int = 0
    options: Options = field(default_factory=Options)
    on_attempts: Callable[[Attempts], None] | None = None
    on_pieces: Callable[[Pieces], None] | None = None
    keep_gangs: bool = False
    predictor: Predictor | None = None
    site: Site | None = None
    signals: Signals | None = None
    shared: Shared = field(default_factory=Shared, repr=False)
    recorded: Workload = field(init=False, repr=False)

    def __post_init__(self) -> None:
        depth = self.policy.backfill.value("depth") if self.policy.backfill.having("depth") else None
        if depth is not None:
            self.options = replace(self.options, conservative_depth=depth)
        self.recorded = self.workload
        self.kernel = self._make_kernel()
        self._batches: list[Attempts] = []
        self._gangs = GangLog()

    def _make_kernel(self) -> Kernel:
        # Here rather than above: a command that plays nothing would wait for the kernels to be read.
        from scheduler_sim.engine.kernels import make_kernel
        from scheduler_sim.engine.kernels.predicting import PredictingKernel

        stated = self.workload
        if self.predictor is not None:
            self.workload = untold(stated)
        elif self.options.closed_loop:
            self.workload = uncome(stated)
        kernel = make_kernel(self.problem())
        if self.options.closed_loop:
            return self._closed(kernel, stated)
        if self.predictor is None:
            return kernel
        return PredictingKernel(
            inner=kernel,
            workload=self.workload,
            predictions=self.predictor.begin(stated),
            news=self._news,
            looks_ahead=self.policy.order.looks_ahead,
        )

    def _closed(self, kernel: Any, stated: Workload) -> Kernel:
        """Return the kernel that lets tasks come as their predecessors end.

        Raises:
            InvalidWorkload: no task follows another one. InvalidPolicy: scores for which all arrivals must be known.
        """
        from scheduler_sim.engine.kernels.feedback import FeedbackKernel

        rows, thinks = predecessors(stated)
        if (rows < 0).all():
            raise InvalidWorkload("In a closed loop tasks follow others, and none of these says which.")
        return FeedbackKernel(
            inner=kernel, workload=self.workload, rows=rows, thinks=thinks, base=self._base_by_arrival(stated)
        )

    def _base_by_arrival(self, stated: Workload) -> Callable[[int, float], float] | None:
        """Return what scores a row that comes at an instant; None where scores do not depend on it.

        Raises:
            InvalidPolicy: the score of a task depends on when others come.
        """
        # Each by another time, so that a score by how much earlier one comes than another is told by it.
        later = SECONDS_PER_DAY * (1.0 + np.arange(len(stated)) / max(len(stated), 1))
        moved = at_arrivals(stated, stated.arrival_time + later)

        def scored(workload: Workload, order: Order) -> FloatArray:
            return self._scores_of(order, workload, self.generator(f"order {order.name}")).base

        order, backfilled = self.policy.order, self.policy.backfill.order
        if backfilled is not None and (scored(stated, ORDERS[backfilled]) != scored(moved, ORDERS[backfilled])).any():
            raise InvalidPolicy(f"Tasks are not backfilled by {backfilled} in a closed loop: it goes by arrivals.")
        before, after = scored(stated, order), scored(moved, order)
        if np.array_equal(before, after):
            return None
        if np.array_equal(before, stated.arrival_time) and np.array_equal(after, moved.arrival_time):
            return lambda _row, instant: instant

        def alone(row: int, instant: float) -> float:
            task = at_arrivals(stated.take(np.array([row])), np.array([instant]))
            return float(self._scores_of(order, task, _NOTHING_DRAWN).base[0])

        probes = np.unique(np.linspace(0, len(stated) - 1, 20).astype(np.int64)).tolist()
        if any(alone(row, float(stated.arrival_time[row])) != before[row] for row in probes):
            raise InvalidPolicy(f"{order.name} scores a task by when others come, which a closed loop does not know.")
        return alone

    def problem(self) -> Problem:
        """Return what a kernel is given to play."""
        return Problem(
            workload=self.workload,
            cluster=self.cluster,
            policy=self.policy,
            scores=self.scores(),
            choices=self.choices(),
            options=self.options,
            seed=self.seed,
            late=self.predictor is not None,
            site=self.site,
            cap=self._cap(),
            shared=self.shared,
        )

    def _cap(self) -> PowerCap | None:
        if not self.options.hold_cap:
            return None
        series = None if self.signals is None else self.signals.get("power_cap")
        if series is None:
            raise InvalidParameter("hold_cap needs a series of a power cap, by the name power_cap, among the signals.")
        return PowerCap.of(series, self.cluster, self.workload)

    def scores(self) -> Scores:
        """Return the order's scores of this workload, and those of the order of backfilling where it is another."""
        backfilled = self.policy.backfill.order
        scores = self._scores_by(self.policy.order)
        return scores if backfilled is None else replace(scores, backfill=self._scores_by(ORDERS[backfilled]))

    def choices(self) -> Choices:
        """Return what the placement settles before anything runs."""
        return self._choices_of(self.workload, self.generator(f"placement {self.policy.placement.name}"))

    def _scores_by(self, order: Order) -> Scores:
        def make() -> Scores:
            return self._scores_of(order, self.workload, self.generator(f"order {order.name}"))

        # What an event loop is told late, or writes into while it plays, is its own.
        alone = self.predictor is not None or self.options.closed_loop or order.calls
        return make() if alone else self.shared.once_of(("scores", order.scores, order.text), self.workload, make)

    def _scores_of(self, order: Order, workload: Workload, generator: np.random.Generator) -> Scores:
        return order.scores(self._context(order, workload, generator))

    def _context(self, order: Order, workload: Workload, generator: np.random.Generator) -> ScoreContext:
        return ScoreContext(
            workload=workload,
            estimate=workload.duration_estimate,
            processors=np.where(workload.gpus > 0, workload.gpus, workload.cpus),
            generator=generator,
            cluster=self.cluster,
            split_model=self.options.split_model,
            signals=self.signals,
            parameters={one.name: order.value(one.name) for one in order.parameters},
        )

    def scores_of_part(self, order: Order, since: float | None) -> Scores:
        """Return an order's scores where this workload is a part of a run whose first task comes at `since`."""
        context = self._context(order, self.workload, self.generator(f"order {order.name}"))
        return order.scores(replace(context, part_since=since))

    def _choices_of(self, workload: Workload, generator: np.random.Generator) -> Choices:
        return self.policy.placement.choices(
            ChoiceContext(
                workload=workload,
                cluster=self.cluster,
                estimate=workload.duration_estimate,
                split_model=self.options.split_model,
                generator=generator,
            )
        )

    def _played(self, workload: Workload) -> FloatArray:
        return played_runtime(workload, kill_at_estimate=self.options.kill_at_estimate)

    def _news(self, rows: IntArray, needed: IntArray) -> News:
        """Return what follows from the estimates of `rows`; their scores need those of all of `needed` too."""
        arriving = self.workload.take(rows)
        known: dict[str, Any] = {"estimate": arriving.duration_estimate, "runtime": self._played(arriving)}
        if self.policy.order.uses_estimates:
            together = self.workload.take(needed) if len(needed) > len(rows) else arriving
            scores, place = self._scores_of(self.policy.order, together, _NOTHING_DRAWN), np.searchsorted(needed, rows)
            known |= {
                name: None if values is None else values[place]
                for name, values in (("base", scores.base), ("slope", scores.slope), ("features", scores.features))
            }
        if self.policy.placement.uses_estimates:
            choices = self._choices_of(arriving, _NOTHING_DRAWN)
            known |= {"fraction": choices.fraction, "group": choices.group}
        return News(rows=rows, **known)

    def generator(self, purpose: str) -> np.random.Generator:
        """Return the seeded stream for one purpose."""
        return np.random.default_rng([self.seed, crc32(purpose.encode())])

    @property
    def holds_lock(self) -> bool:
        """Whether it is played in Python, which holds its lock, so that a second one beside it gains nothing."""
        order = self.policy.order
        in_python = order.decides is not None or order.shares_gpus
        return in_python or self.predictor is not None or self.options.closed_loop

    @property
    def runs_plainly(self) -> bool:
        """Whether each task that ends has run once, from its start to its completion."""
        return self.outcome().history is None and not self.options.kill_at_estimate

    @property
    def clock(self) -> float:
        """The simulated time up to which all events are applied."""
        return self.kernel.clock

    @property
    def finished(self) -> int:
        """How many tasks have finished."""
        return self.kernel.finished

    @property
    def done(self) -> bool:
        """True when every task has finished."""
        return self.kernel.finished == len(self.workload)

    def advance(self, *, until_time: float = np.inf, max_events: int = np.iinfo(np.int64).max) -> None:
        """Simulate up to and including `until_time`, or a little past `max_events` events if that comes first.

        An instant is never cut in two. Calling again goes on where the last call stopped, with the same result as
        one long call.
        """
        while True:
            # A kernel would be compiled once more for whole numbers of seconds.
            self.kernel.advance(until_time=float(until_time), max_events=max_events)
            full = self.kernel.full
            batch = self.kernel.drain()
            if len(batch) and self.on_attempts is not None:
                self.on_attempts(batch)
            elif len(batch):
                self._batches.append(batch)
            pieces = self.kernel.drain_pieces()
            if len(pieces) and self.on_pieces is not None:
                self.on_pieces(pieces)
            if len(pieces) and (self.keep_gangs or self.cluster.sleeps):
                self._gangs.add(pieces)
            if not full:
                return

    def outcome(self) -> Outcome:
        """Return what is known so far, as views on the kernel's arrays."""
        return self.kernel.outcome()

    def attempts(self) -> Attempts:
        """Return the attempts that have ended, of tasks that have, or will have, more than one.

        A task that runs once from its start to its finish has none here: its row of the outcome says it all. Where
        widths change, all are here.
        """
        self._batches = [Attempts.joined(self._batches)]
        return self._batches[0]

    def gangs(self) -> Gangs:
        """Return what tasks on several nodes held of each, of those that hold it no longer.

        It is kept where nodes sleep or `keep_gangs` says so.
        """
        return self._gangs.gangs()

    def attempts_after(self, count: int) -> Attempts:
        """Return the attempts that ended after the first `count`, without putting all of them together."""
        first, found = 0, []
        for batch in self._batches:
            if first + len(batch) > count:
                found.append(batch[max(count - first, 0) :])
            first += len(batch)
        return Attempts.joined(found)

    def history(self, rows: Rows = slice(None)) -> History:
        """Return what tasks went through; of those that run once, one attempt of finish - start.

        Args:
            rows: of which tasks; of all by default.
        """
        outcome = self.outcome()
        if outcome.history is not None:
            return outcome.history[rows]
        ended = np.zeros(len(self.workload), bool)
        ended[outcome.completion_order] = True
        ended = ended[rows]
        length = np.where(ended, outcome.finish_time[rows] - outcome.start_time[rows], 0.0)
        late = (self.workload.runtime > self.workload.duration_estimate)[rows]
        late &= self.options.kill_at_estimate
        ending = np.where(ended, np.where(late, ENDINGS.index("timed_out"), ENDINGS.index("completed")), -1)
        started = ~np.isnan(outcome.start_time[rows])
        return History(
            attempts=started.astype(np.int64),
            service_time=length,
            held_time=length,
            begun_time=outcome.start_time[rows],
            ending=ending,
        )

    def under_way(self) -> UnderWay | None:
        """Return the tasks that have begun and not ended by the clock.

        None where each task runs once: it then holds its devices from its start on.
        """
        outcome = self.outcome()
        history = outcome.history
        if history is None:
            return None
        rows = np.flatnonzero((history.attempts > 0) & (history.ending < 0))
        stands = np.isnan(outcome.finish_time[rows])
        ended, since = history.held_time[rows], np.where(stands, 0.0, self.clock - history.begun_time[rows])
        seconds, part = ended + since, np.where(stands, 0.0, 1.0)
        mean_part = np.ones(len(rows))
        if history.held_part is not None and history.last_part is not None:
            part *= history.last_part[rows]
            area = ended * history.held_part[rows] + since * part
            mean_part = np.divide(area, seconds, out=mean_part, where=seconds > 0)
        return UnderWay(rows, seconds, mean_part, part)

    def spans(self) -> Attempts:
        """Return every span in which a task held devices: attempts that have ended, and those that go on.

        An attempt that goes on ends when it is expected to. Rows are in no particular order. Columns may be views
        of the outcome's and the workload's own.

        Raises:
            RuntimeError: attempts were handed to `on_attempts` and are not kept.
        """
        if self.on_attempts is not None and self.kernel.outcome().history is not None:
            raise RuntimeError("Attempts that were handed over are not kept; figures over time need them.")
        outcome, workload = self.outcome(), self.workload
        several = self.attempts()
        # Not listed are the only attempt of a task, and one that goes on.
        open_ = ~np.isnan(outcome.finish_time)
        begun, number = outcome.start_time, np.ones(len(workload), np.int64)
        if outcome.history is not None:
            listed = np.zeros(len(workload), np.int64)
            np.maximum.at(listed, several.row, several.number)
            open_ &= listed < outcome.history.attempts
            begun, number = outcome.history.begun_time, outcome.history.attempts
        rows: Rows = slice(None) if open_.all() else np.flatnonzero(open_)
        cpus, gpus = workload.cpus[rows], workload.gpus[rows]
        if outcome.history is not None and outcome.history.last_part is not None:
            part = outcome.history.last_part[rows]
            cpus, gpus = cpus * part, gpus * part
        rest = Attempts(
            row=np.arange(len(workload))[rows],
            number=number[rows],
            start_time=begun[rows],
            end_time=outcome.finish_time[rows],
            node=outcome.node[rows],
            device=outcome.device[rows],
            cpus=cpus,
            gpus=gpus,
            reason=np.zeros(len(cpus), np.int64),
        )
        return Attempts.joined([rest, several]) if len(several) else rest

    def waits(self) -> tuple[FloatArray, FloatArray]:
        """Return the spans in which tasks were ready and did not run, infinite ends for those that still wait.

        They may be views of the outcome's own columns.
        """
        outcome = self.outcome()
        start, end = outcome.ready_time, outcome.start_time
        if np.isnan(start).any():
            ready = ~np.isnan(start)
            start, end = start[ready], end[ready]
        if np.isnan(end).any():
            end = np.where(np.isnan(end), np.inf, end)
        several = self.attempts()
        if outcome.history is None or not len(several):
            return start, end
        order = np.lexsort((several.number, several.row))
        row, number = several.row[order], several.number[order]
        last = np.append(row[1:] != row[:-1], True)
        next_start = np.append(several.start_time[order][1:], np.nan)
        history = outcome.history
        goes_on = history.attempts[row] > number
        next_start[last] = np.where(goes_on, history.begun_time[row], np.inf)[last]
        waited = ~(last & (history.ending[row] >= 0) & ~goes_on)
        return (
            np.concatenate((start, several.end_time[order][waited])),
            np.concatenate((end, next_start[waited])),
        )


def set_up(make: Callable[[Policy], Made], policies: Sequence[Policy], *, each: Each) -> list[Made]:
    """Return what `make` makes of each policy.

    Args:
        each: how they are gone through; where a policy is the user's own they are one after the other, since nobody has
            said that its functions may run side by side.
    """
    if each is map or any(policy.order.source == YOUR_OWN for policy in policies):
        return [make(policy) for policy in policies]
    # Policies of one order share what it needs. The first of each come first, so that none waits for what another one
    # is working out.
    seen: dict[str, int] = {}
    turn = []
    for policy in policies:
        turn.append(seen.get(policy.order.name, 0))
        seen[policy.order.name] = turn[-1] + 1
    by_turn = sorted(range(len(policies)), key=turn.__getitem__)
    made = dict(zip(by_turn, each(make, [policies[number] for number in by_turn]), strict=True))
    return [made[number] for number in range(len(policies))]
