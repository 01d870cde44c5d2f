"""How a policy and a run's options become the numbers that the event core plays by, and what it refuses."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.clusters.away import failure_stream, longest_run, refuse_hopeless
from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.failures import FailureStream
from scheduler_sim.engine.codes import (
    ATTAINED,
    CONSERVATIVE,
    EASY,
    NOT_PLANNED,
    REMAINING,
    REMAINING_AREA,
    STATIC,
    TURNS,
)
from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.core import state
from scheduler_sim.engine.policies import Policy, Scores
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

DISCIPLINES = {
    STATIC: state.SCORE,
    REMAINING: state.SRTF,
    REMAINING_AREA: state.SRSF,
    ATTAINED: state.LAS,
    TURNS: state.RR,
}

COSTS = {"none": state.RUN_ON, "suspend": state.KEEP, "checkpoint": state.TO_CHECKPOINT, "requeue": state.FROM_START}


@dataclass(frozen=True)
class Rules:
    """How the core plays.

    Attributes:
        discipline, cost, where, on_limit: codes of `state`. backfill: a code of `codes`.
        pausing: what a task keeps that stops at a time of its own, a code of `state` as `cost`.
        in_place: who runs on does not move to other nodes.
        charge_first: the first start pays the overhead too.
        overhead: seconds of each task's starts, shape (n,); None for none.
        limits: attained service that ends each queue of las. promotion: see `las`, infinity for never.
        quantum: seconds of a turn of rr.
        max_requeues: how often a task that used up its estimate runs again. max_failures: None for any number.
        to_end: who failed or is run again counts as arriving anew. by_arrival: the score is the arrival.
        interval: seconds of work between checkpoints, None for none; write, read, growth: of them.
        depth: how many waiting tasks conservative backfilling plans.
        failures: of nodes; None for none.
    """

    discipline: int = state.SCORE
    backfill: int = 0
    cost: int = state.RUN_ON
    pausing: int = state.KEEP
    where: int = state.POOL
    in_place: bool = True
    charge_first: bool = False
    overhead: FloatArray | None = None
    limits: tuple[float, ...] = (3250.0, 7200.0)
    promotion: float = np.inf
    quantum: float = 60.0
    on_limit: int = state.ON_RUN
    max_requeues: int = 0
    max_failures: int | None = None
    to_end: bool = False
    by_arrival: bool = False
    interval: float | None = None
    write: float = 0.0
    read: float = 0.0
    growth: float = 1.0
    depth: int = 2**62
    failures: FailureStream | None = None

    @property
    def stops(self) -> bool:
        """True where waiting tasks may stop running ones."""
        return self.cost != state.RUN_ON

    @property
    def checkpoints(self) -> FloatArray:
        """The vector of checkpoints that compiled code reads."""
        return np.array([np.inf if self.interval is None else self.interval, self.write, self.growth], np.float64)

    def settings(self, size: int, room: int) -> IntArray:
        """Return a vector of `size` settings with those of all kernels in it; `room`: how far the buffer may fill."""
        settings = np.zeros(size, np.int64)
        settings[state.COST], settings[state.ROOM] = self.cost, room
        settings[state.ON_LIMIT], settings[state.MOST_REQUEUES] = self.on_limit, self.max_requeues
        settings[state.MOST_FAILURES] = 2**62 if self.max_failures is None else self.max_failures
        settings[state.TO_END], settings[state.BY_ARRIVAL] = self.to_end, self.by_arrival
        settings[state.CHARGE_FIRST] = self.charge_first
        return settings

    @classmethod
    def of(cls, problem: Problem) -> "Rules":
        """Read the rules of a simulation.

        Raises:
            InvalidParameter: a listed failure of a node that there is not.
            InvalidPolicy: a policy that is not played where tasks stop, or one that could never make progress.
        """
        workload, cluster, policy = problem.workload, problem.cluster, problem.policy
        scores, options = problem.scores, problem.options
        _refuse(cluster, workload, policy, options)
        order, points = policy.order, options.checkpoints
        begin = float(workload.arrival_time[0]) if len(workload) else 0.0
        part = order if order.preempts else policy.preemption
        overhead = options.restart_overhead
        if part.having("restart_overhead") and part.value("restart_overhead") is not None:
            overhead = part.value("restart_overhead")
        size = np.where(workload.gpus > 0, workload.gpus, workload.cpus)
        rules = cls(
            discipline=DISCIPLINES.get(scores.kind, state.SCORE),
            backfill=policy.backfill.code,
            where=_where(workload, cluster, scores),
            cost=state.KEEP if order.preempts else COSTS[policy.preemption.name],
            pausing=COSTS[order.value("stops")] if order.stops else state.KEEP,
            in_place=not order.having("in_place") or bool(order.value("in_place")),
            charge_first=order.having("charge_first") and bool(order.value("charge_first")),
            overhead=overhead.seconds(size),
            limits=order.value("limits") if order.having("limits") else (),
            promotion=np.inf if not order.having("promote") else order.value("promote") or np.inf,
            quantum=order.value("quantum") if order.having("quantum") else np.inf,
            on_limit=(state.ON_REQUEUE if options.max_requeues else state.ON_KILL)
            if options.kill_at_estimate
            else state.ON_RUN,
            max_requeues=options.max_requeues,
            max_failures=options.max_failures,
            to_end=options.requeue_at == "end",
            by_arrival=bool(np.array_equal(scores.base, workload.arrival_time)),
            interval=None if points is None else points.interval,
            write=0.0 if points is None else points.write,
            read=0.0 if points is None else points.read,
            growth=1.0 if points is None else points.growth,
            depth=len(workload) if options.conservative_depth is None else options.conservative_depth,
            failures=failure_stream(begin, cluster, options.failures, problem.seed),
        )
        _refuse_standstill(rules, policy, size)
        _refuse_hopeless(rules, workload, cluster)
        return rules


def _refuse_hopeless(rules: Rules, workload: Workload, cluster: Cluster) -> None:
    """Refuse failures so frequent that a task would practically never end."""
    if not cluster.fails or not len(workload) or rules.max_failures is not None:
        return
    longest = longest_run(workload, cluster)
    if rules.interval is not None:
        longest = min(longest, rules.interval + rules.write + rules.read)
    refuse_hopeless(cluster, longest, "Write checkpoints, or say max_failures.")


def _where(workload: Workload, cluster: Cluster, scores: Scores) -> int:
    """Return what a task takes; las counts what is free in the whole cluster, the others look for places on nodes."""
    if plays_on_pool(workload, cluster):
        return state.POOL
    return state.SPREAD if scores.kind == ATTAINED else state.NODES


WHY = "with preemption, requeues, failures or checkpoints"


def needs_nodes(problem: Problem) -> bool:
    """Tell whether a simulation is left to `kernels.stopping`: all placements and backfills, on any nodes."""
    workload, cluster, policy, scores = problem.workload, problem.cluster, problem.policy, problem.scores
    if scores.kind not in DISCIPLINES or scores.backfill is not None or scores.openings is not None:
        return True
    if policy.backfill.code == CONSERVATIVE and not policy.preempts:
        return True
    if cluster.sleeps or problem.cap is not None:
        return True
    if any(not outage.kill for group in cluster.groups for outage in group.outages):
        return True
    if workload.hybrid.any():
        return True
    if plays_on_pool(workload, cluster):
        # Where a task goes is no question there, but placements that plan pass others in their own way.
        return policy.placement.planned != NOT_PLANNED and workload.parents.count > 0
    return (
        len(cluster.groups) > 1
        or cluster.topology is not None
        or policy.backfill.code in (EASY, CONSERVATIVE)
        or policy.placement.name != "first_fit"
        or bool((workload.gpus != np.floor(workload.gpus)).any())
    )


def _refuse(cluster: Cluster, workload: Workload, policy: Policy, options: Options) -> None:
    way = policy.order.value("stops") if policy.order.stops else policy.preemption.name
    if way == "checkpoint" and options.checkpoints is None:
        what = "stops=checkpoint" if policy.order.stops else "~checkpoint"
        raise InvalidPolicy(f"{what} goes on from the last checkpoint; the run must say how often one is written.")
    if policy.backfill.predicts:
        raise InvalidPolicy(f"EASY reserves by the estimates {WHY}, not as {policy.backfill.text} says.")
    limited = any(group.memory_mb is not None for group in cluster.groups)
    if way == "suspend" and limited and workload.memory_mb.any():
        other = "stops=checkpoint" if policy.order.stops else "~checkpoint or ~requeue"
        raise InvalidPolicy(f"A suspended task keeps its memory, which is not played; use {other}.")


def plays_on_pool(workload: Workload, cluster: Cluster) -> bool:
    """Tell whether tasks of whole processors on one node without GPUs and limits of memory are all there is."""
    (group, *others) = cluster.groups
    alone = not others and group.count == 1 and group.gpus == 0 and group.memory_mb is None
    whole = not workload.gpus.any() and bool((workload.cpus == np.floor(workload.cpus)).all())
    return alone and whole


def _refuse_standstill(rules: Rules, policy: Policy, size: FloatArray) -> None:
    """Refuse a preemption under which a task may pay the overhead for ever and never work."""
    if not len(size) or rules.overhead is None:
        return
    longest = rules.overhead + rules.read
    if rules.discipline == state.RR and (longest >= rules.quantum).any():
        raise InvalidPolicy(
            f"{policy.name}: a start costs {longest.max():g} s and a turn lasts {rules.quantum:g} s, so that tasks "
            f"would make no progress."
        )
    if rules.discipline == state.LAS and rules.promotion < np.inf and (longest >= rules.limits[0] / size).any():
        raise InvalidPolicy(
            f"{policy.name}: a start costs {longest.max():g} s, no less than the first queue gives the largest task, "
            f"so that a promoted task would make no progress."
        )
