"""One pool of processors playing rigid tasks without dependencies."""

from functools import partial
from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import check_pool
from scheduler_sim.engine.codes import BY_PAST, CALLED, CONSERVATIVE, LEARNED, NONE
from scheduler_sim.engine.contract import News, Options, Outcome
from scheduler_sim.engine.formulas import played_runtime
from scheduler_sim.engine.kernels.base import BaseKernel, EventLoop, guarded
from scheduler_sim.engine.kernels.calling import make_call
from scheduler_sim.engine.kernels.pool.aging import advance_aging
from scheduler_sim.engine.kernels.pool.conservative import Plan, advance_conservative, make_asked, make_plan
from scheduler_sim.engine.kernels.pool.followed import follow
from scheduler_sim.engine.kernels.pool.learned import learned_loop
from scheduler_sim.engine.kernels.pool.ranked import advance_ranked
from scheduler_sim.engine.kernels.pool.reordered import advance_reordered, make_predictions
from scheduler_sim.engine.kernels.pool.state import FIELDS, FREE, HEAD, UNSORTED, Run, Tasks
from scheduler_sim.engine.kernels.pool.strict import advance_strictly
from scheduler_sim.engine.kernels.structures.kinetic_tree import KineticTree, make_kinetic_tree, told_of
from scheduler_sim.engine.kernels.structures.rank_set import ranks
from scheduler_sim.engine.kernels.structures.sorted_queue import make_sorted_queue
from scheduler_sim.engine.numerics.ordering import order_of
from scheduler_sim.engine.policies import Policy, Scores
from scheduler_sim.engine.policies.past_scoring import make_past, numbered
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload


class _Settled(NamedTuple):
    """What is the same under every policy, shape (n,) each; the last three are what every outcome says of each task."""

    duration: FloatArray
    expected: FloatArray
    cpus: IntArray
    node: IntArray
    device: IntArray
    gpu_fraction: FloatArray

    @classmethod
    def of(cls, workload: Workload, cluster: Cluster, options: Options) -> "_Settled":
        """Work it out; errors as of `PoolKernel`."""
        check_pool(workload, cluster.cores)
        n, speed = len(workload), cluster.groups[0].cpu_speed
        return cls(
            duration=played_runtime(workload, kill_at_estimate=options.kill_at_estimate) / speed,
            expected=workload.duration_estimate / speed,
            cpus=workload.cpus.astype(np.int64),
            node=np.zeros(n, np.int64),
            device=np.full(n, -1),
            gpu_fraction=np.zeros(n),
        )


class PoolKernel(BaseKernel):
    """The event loop of a pool; picks the queue structure that suits the order and the backfill.

    Raises:
        InvalidWorkload: tasks that need GPUs, fractions of a processor, parents, or more processors than there are.
    """

    def __init__(self, problem: Problem) -> None:
        workload, cluster, policy = problem.workload, problem.cluster, problem.policy
        scores, options, late = problem.scores, problem.options, problem.late
        n = len(workload)
        processors = cluster.cores
        self._speed = cluster.groups[0].cpu_speed
        name = ("pool", processors, self._speed, options.kill_at_estimate)
        settled = problem.shared.once_of(name, workload, lambda: _Settled.of(workload, cluster, options))
        self._shared = problem.shared
        self._tasks = Tasks(
            arrival=workload.arrival_time,
            duration=settled.duration.copy() if late else settled.duration,
            # What is predicted while it plays is written here.
            expected=settled.expected.copy() if late or policy.backfill.predicts else settled.expected,
            cpus=settled.cpus,
            base=scores.base.copy() if late else scores.base,
            slope=self._no_slope(workload, late=late) if scores.slope is None else scores.slope,
        )
        self._features = scores.features
        self._call = make_call(scores.called, cores=processors, gpus=0)
        self._trees: list[KineticTree] = []  # One at most; what it is told late makes another tuple of the same arrays.
        self._plan: Plan | None = None
        most_running = min(n, processors)
        self._run = Run(
            counts=np.zeros(FIELDS, np.int64),
            clock=np.full(2, workload.arrival_time[0] if n else 0.0),
            start=np.full(n, np.nan),
            finish=np.full(n, np.nan),
            order=np.empty(n, np.int64),
            end_times=np.zeros(most_running),
            end_rows=np.zeros(most_running, np.int64),
        )
        self._run.counts[FREE] = processors
        self._placed = settled
        self._run.counts[HEAD] = -1
        self._static = scores.slope is None or not (late or scores.slope.any())
        if scores.kind == BY_PAST:
            loop = self._inform(workload, policy, scores, processors)
        elif scores.backfill is not None or policy.backfill.predicts:
            loop = self._reorder(workload, policy, scores)
        else:
            loop = self._choose(policy.backfill.code, n, processors, options, scores)
        super().__init__(counts=self._run.counts, clock=self._run.clock, advance=guarded(problem, loop))

    def _no_slope(self, workload: Workload, *, late: bool) -> FloatArray:
        """Return the slopes of scores without any; each kernel its own where it is told of them while it plays."""
        make = partial(np.zeros, len(workload))
        return make() if late else self._shared.once_of("no slope", workload, make)

    def _choose(self, backfill: int, n: int, processors: int, options: Options, scores: Scores) -> EventLoop:
        tasks, run = self._tasks, self._run
        if scores.kind in (LEARNED, CALLED) and backfill != CONSERVATIVE:
            return learned_loop(backfill, processors, tasks, run, scores, self._call)
        if backfill == CONSERVATIVE:
            self._plan = plan = make_plan(tasks.cpus, processors)
            depth = max(n, 1) if options.conservative_depth is None else options.conservative_depth
            asked = make_asked(n, self._call) if scores.kind == CALLED else None
            return partial(advance_conservative, depth, tasks, run, plan, asked)
        if self._static and backfill == NONE:
            rank_of, row_at, queue = self._ranks()
            return partial(advance_strictly, tasks, run, rank_of, row_at, queue)
        if self._static:
            rank_of, _ = self._shared.once_of("ranks", tasks.base, partial(ranks, tasks.base))
            sorted_queue = make_sorted_queue(rank_of, len(run.end_rows))
            return partial(advance_ranked, backfill, tasks, run, sorted_queue)
        self._trees = [self._tree(tasks.base, tasks.slope, by_cpus=backfill != NONE)]
        return partial(_age, backfill, tasks, run, self._trees)

    def _tree(self, base: FloatArray, slope: FloatArray, *, by_cpus: bool) -> KineticTree:
        return make_kinetic_tree(
            base=base,
            slope=slope,
            by_slope=self._shared.once_of("by slope", slope, partial(order_of, slope)),
            arrival=self._tasks.arrival,
            cpus=self._tasks.cpus,
            expected=self._tasks.expected,
            by_cpus=by_cpus,
            most_running=len(self._run.end_rows),
        )

    def _reorder(self, workload: Workload, policy: Policy, scores: Scores) -> EventLoop:
        """Return the loop of EASY that backfills in an order of its own, or by predictions."""
        tasks, run, backfill = self._tasks, self._run, policy.backfill
        by_length = backfill.predicts and backfill.order is not None
        other = scores if scores.backfill is None else scores.backfill
        predictions = make_predictions(workload, tasks.expected, predict=backfill.predictor, by_length=by_length)
        base = predictions.estimate if by_length else other.base
        slope = np.zeros(len(base)) if other.slope is None else other.slope
        queue, others = self._tree(tasks.base, tasks.slope, by_cpus=False), self._tree(base, slope, by_cpus=True)
        return partial(advance_reordered, tasks, run, queue, others, predictions)

    def _inform(self, workload: Workload, policy: Policy, scores: Scores, processors: int) -> EventLoop:
        """Return the loop of a score that looks at what users have done."""
        tasks, backfill = self._tasks, policy.backfill
        predictions = make_predictions(workload, tasks.expected, predict=backfill.predictor, by_length=False)
        past = make_past(*self._shared.once_of("users and kinds", workload, partial(numbered, workload)))
        followed = follow(past, predictions)
        return learned_loop(backfill.code, processors, tasks, self._run, scores, self._call, followed)

    def _ranks(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return the ranks of rows, the rows of ranks and room for a queue; empty where ranks are rows."""
        base = self._tasks.base
        if (base[1:] >= base[:-1]).all():
            nothing = np.empty(0, np.int64)
            return nothing, nothing, nothing
        rank_of, row_at = self._shared.once_of("ranks", base, partial(ranks, base))
        return rank_of, row_at, np.empty(len(base), np.int64)

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Apply whole instants up to and including `until_time`, and stop after at least `max_events` events."""
        before = self.finished
        super().advance(until_time=until_time, max_events=max_events)
        if self._run.counts[UNSORTED]:
            # No instant is cut in two: what finished before did so earlier.
            finished = self._run.order[before : self.finished]
            finished[:] = finished[np.lexsort((finished, self._run.finish[finished]))]
            self._run.counts[UNSORTED] = 0

    def tell(self, news: News) -> None:
        """Take what became known of tasks that are about to arrive."""
        rows, tasks = news.rows, self._tasks
        tasks.expected[rows] = news.estimate / self._speed
        tasks.duration[rows] = news.runtime / self._speed
        if news.base is not None:
            tasks.base[rows] = news.base
        if news.slope is not None:
            tasks.slope[rows] = news.slope
        if news.features is not None and self._features is not None:
            self._features[rows] = news.features
        self._trees[:] = [told_of(tree, rows, tasks.base, tasks.slope, tasks.expected) for tree in self._trees]

    def reservations(self) -> FloatArray:
        """Return when tasks that wait are to start under conservative backfilling, shape (n,), NaN for none."""
        return np.full(len(self._tasks.arrival), np.nan) if self._plan is None else self._plan.reservation.copy()

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        return Outcome(
            ready_time=self._tasks.arrival,
            start_time=self._run.start,
            finish_time=self._run.finish,
            node=self._placed.node,
            device=self._placed.device,
            gpu_fraction=self._placed.gpu_fraction,
            completion_order=self._run.order[: self.finished],
        )


def _age(backfill: int, tasks: Tasks, run: Run, trees: list[KineticTree], until: float, events: int) -> None:
    # Not a method: the kernel would hold itself, and its memory until the collector comes by.
    for tree in trees:
        advance_aging(backfill, tasks, run, tree, until, events)
