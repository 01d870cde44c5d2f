"""One node without a limit of memory, playing tasks that hold whole GPUs: the quick way for workstations.

Which node a task takes is no question here, so that free cores and a mask of free GPUs are the whole state.
`fixed` plays policies whose fractions are settled before, `planned` those that choose by the expected
finish. Both give the schedules of the kernel of many nodes.
"""

from functools import partial

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import Demands, demands, most_pieces, possible_fractions, refuse_oversized
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.codes import FINISH, MILLI, NOT_PLANNED, ORACLE, STATIC
from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.formulas import played_runtime
from scheduler_sim.engine.kernels.base import BaseKernel, EventLoop
from scheduler_sim.engine.kernels.node.state import (
    FIELDS,
    FREE_CORES,
    FREE_GPUS,
    Bookings,
    Family,
    Needs,
    Plan,
    Releases,
    Run,
    Tasks,
)
from scheduler_sim.engine.kernels.structures.rank_set import make_rank_set, ranks
from scheduler_sim.engine.kernels.structures.releases import longest_list
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.workload import IntArray, Workload

MOST_NEEDS = 64
"""More different needs than that are quicker in the tree of the kernel of many nodes."""


def plays_on_single(problem: Problem) -> bool:
    """Tell whether this kernel can play it."""
    workload, cluster, policy, scores = problem.workload, problem.cluster, problem.policy, problem.scores
    group = cluster.groups[0]
    return (
        cluster.nodes == 1
        and group.memory_mb is None
        and not group.outages
        and scores.kind == STATIC
        and scores.slope is None
        and problem.choices.learner is None
        and problem.choices.weights is None
        and not Paces.of(workload, cluster).rated.any()
        and not bool((workload.gpus != np.floor(workload.gpus)).any())
        and (policy.placement.planned != NOT_PLANNED or policy.backfill.name in ("none", "list"))
        and (policy.placement.planned != NOT_PLANNED or _count_needs(workload) <= MOST_NEEDS)
        and not (policy.placement.planned != NOT_PLANNED and policy.placement.in_turn)
    )


def _count_needs(workload: Workload) -> int:
    """Return a bound on how many pairs of cores and GPUs the tasks can take."""
    pairs = len(np.unique(workload.cpus + 1j * workload.gpus))
    return 3 * pairs if workload.hybrid.any() else pairs


class SingleNodeKernel(BaseKernel):
    """The event loop of one node.

    Raises:
        OversizedTasks: tasks that the empty node could not start.
    """

    def __init__(self, problem: Problem) -> None:
        workload, cluster, policy, options = problem.workload, problem.cluster, problem.policy, problem.options
        asked = demands(workload, cluster)
        refuse_oversized(workload, cluster, asked)
        n = len(workload)
        self._node = np.zeros(n, np.int64)
        rank, row_of_rank = ranks(problem.scores.base)
        tasks, needs = _tasks(problem, asked, rank, row_of_rank)
        offsets, children = workload.parents.children()
        family = Family(
            arrivals=np.lexsort((np.arange(n), tasks.offered)).astype(np.int64),
            waiting_for=np.diff(workload.parents.offsets) + 1,
            child_offsets=offsets,
            children=children,
        )
        most, on_node = most_pieces(cluster, asked)
        self._run = run = _run(workload, cluster, most)
        sequential = options.split_model == "sequential"
        loop: EventLoop
        if policy.placement.planned == NOT_PLANNED:
            from scheduler_sim.engine.kernels.node.fixed import advance_fixed

            strict, in_turn = policy.backfill.name == "none", policy.placement.in_turn
            self._fraction = tasks.fraction
            loop = partial(advance_fixed, tasks, family, run, needs, strict, in_turn, sequential)
        else:
            from scheduler_sim.engine.kernels.node.planned import advance_planned

            plan = _plan(n, most, longest_list(on_node) - 1, row_of_rank)
            self._fraction = plan.fraction
            backfill, planned = policy.backfill.code, policy.placement.planned
            loop = partial(advance_planned, tasks, family, run, plan, backfill, planned, sequential)
        super().__init__(counts=run.counts, clock=run.clock, advance=loop)

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        return Outcome(
            ready_time=self._run.ready,
            start_time=self._run.start,
            finish_time=self._run.finish,
            node=self._node,
            device=self._run.device,
            gpu_fraction=self._fraction,
            completion_order=self._run.order[: self.finished],
        )


def _tasks(problem: Problem, asked: Demands, rank: IntArray, row_of_rank: IntArray) -> tuple[Tasks, Needs]:
    workload = problem.workload
    estimate = workload.duration_estimate
    runtime = played_runtime(workload, kill_at_estimate=problem.options.kill_at_estimate)
    offered = workload.arrival_time
    if problem.scores.not_before is not None:
        offered = np.maximum(offered, problem.scores.not_before)
    fraction = possible_fractions(
        problem.choices.fraction,
        workload.hybrid,
        workload.gpus > 0,
        asked.cpu_usable,
        asked.gpu_usable,
        asked.both_usable,
    )
    cores = np.where(workload.hybrid & (fraction == 1.0), 0, asked.cpu)
    gpus = np.where(workload.hybrid & (fraction == 0.0), 0, asked.gpu // MILLI)
    pairs, kind, counts = np.unique(np.stack((cores, gpus), axis=1), axis=0, return_inverse=True, return_counts=True)
    tasks = Tasks(
        offered=offered,
        runtime=runtime,
        estimate=runtime if problem.policy.placement.planned == ORACLE else estimate,
        intensity=workload.compute_intensity,
        memory_mb=workload.memory_mb,
        fraction=fraction,
        cores=asked.cpu,
        gpus=asked.gpu,
        kind=kind.reshape(-1).astype(np.int64),
        rank=rank,
        hybrid=workload.hybrid,
        on_gpu=workload.gpus > 0,
        usable=asked.cpu_usable + 2 * asked.gpu_usable + 4 * asked.both_usable,
    )
    needs = Needs(
        cores=np.ascontiguousarray(pairs[:, 0]),
        gpus=np.ascontiguousarray(pairs[:, 1]),
        first=np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64),
        size=np.zeros(len(pairs), np.int64),
        heap=np.empty(len(workload), np.int64),
        row_of_rank=row_of_rank,
    )
    return tasks, needs


def _run(workload: Workload, cluster: Cluster, most: int) -> Run:
    n, group = len(workload), cluster.groups[0]
    counts = np.zeros(FIELDS, np.int64)
    counts[FREE_CORES] = group.cores * MILLI
    counts[FREE_GPUS] = np.array([(1 << group.gpus) - 1], np.uint64).view(np.int64)[0]
    return Run(
        counts=counts,
        clock=np.full(2, workload.arrival_time[0] if n else 0.0),
        ready=workload.arrival_time.copy(),
        start=np.full(n, np.nan),
        finish=np.full(n, np.nan),
        device=np.full(n, -1),
        held=np.zeros(n, np.int64),
        gone=np.full(n, FINISH),
        order=np.zeros(n, np.int64),
        event_times=np.zeros(2 * most),
        event_codes=np.zeros(2 * most, np.int64),
        speeds=np.array([group.cpu_speed, group.gpu_speed, group.bandwidth_mb_per_second]),
        gpus=group.gpus,
    )


def _plan(n: int, most: int, length: int, row_of_rank: IntArray) -> Plan:
    words, starts = make_rank_set(n)
    return Plan(
        words=words,
        starts=starts,
        row_of_rank=row_of_rank,
        fraction=np.full(n, np.nan),
        held_cores=np.zeros(n, np.int64),
        began=np.zeros(n, np.int64),
        bookings=Bookings(
            rank=np.empty(n, np.int64),
            begin=np.empty(n),
            fraction=np.empty(n),
            cpu_time=np.empty(n),
            gpu_time=np.empty(n),
            latest=np.array([np.inf, -np.inf, -np.inf]),
        ),
        planned_cores=_releases(length),
        planned_gpus=_releases(length),
        running_cores=_releases(most),
        running_gpus=_releases(most),
    )


def _releases(length: int) -> Releases:
    return Releases(np.zeros(length), np.zeros(length, np.int64), np.zeros(length, np.int64))
