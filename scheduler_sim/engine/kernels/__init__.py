"""Compiled event loops: of a pool, a node, many nodes where each task runs once, the core where it stops, and sites."""

from dataclasses import replace

import numpy as np

from scheduler_sim.engine.clusters.demand import not_for_pool
from scheduler_sim.engine.clusters.transfers import Transfers
from scheduler_sim.engine.codes import (
    BY_LEFT,
    BY_PAST,
    BY_PLAN,
    CALLED,
    DECIDED,
    ELASTIC,
    LEARNED,
    NOT_PLANNED,
    SHARES,
    STATIC,
)
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.base import BaseKernel
from scheduler_sim.engine.kernels.cluster import state as cluster_state
from scheduler_sim.engine.kernels.core import state as core_state
from scheduler_sim.engine.kernels.site import state as site_state
from scheduler_sim.engine.kernels.stopping import state as stopping_state
from scheduler_sim.engine.policies import Policy, Scores
from scheduler_sim.engine.policies.orders.rounds import PACKED
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.stepped import refuse_steps

RECORDS = (cluster_state, core_state, stopping_state, site_state)
"""Importing these teaches Numba to read their records. That has to happen before the first kernel is compiled: what is
registered later comes behind Numba's own reading of records, which refuses the names it does not know."""


def make_kernel(problem: Problem) -> BaseKernel:
    """Return the quickest kernel that can play this workload on this cluster.

    Raises:
        InvalidPolicy: a learned order with conservative backfilling, which reserves by a score that stays what it is;
            a policy that the event core does not play where tasks may stop and go on; one that needs a site
            without one, or one that is not played on sites.
    """
    workload, cluster, policy, scores = problem.workload, problem.cluster, problem.policy, problem.scores
    late = problem.late
    if late and policy.order.goes_by and scores.not_before is not None:
        raise InvalidPolicy(
            f"{policy.order.name} settles by its estimate when a task starts at the earliest; run times cannot be "
            "predicted inside the run."
        )
    if problem.site is not None and Transfers.of(workload, cluster) is not None:
        raise InvalidPolicy("Data between nodes is not played by the rules of a site; leave the network out of it.")
    topology = cluster.topology
    if topology is not None and topology.slows_down and (problem.site is not None or scores.kind == SHARES):
        raise InvalidPolicy(
            f"{cluster.name} says that gangs run longer over several racks, which is not played "
            f"{'in rounds' if problem.site is None else 'by the rules of a site'}; leave crossing out of its topology."
        )
    _refuse_power(problem)
    if scores.kind == BY_PAST:
        return _by_past(problem)
    if scores.kind == BY_LEFT:
        return _by_left(problem)
    if problem.options.closed_loop:
        return _closed(problem)
    if problem.site is not None:
        if scores.kind == DECIDED:
            raise InvalidPolicy(f"{policy.name} decides by itself, and is not played by the rules of a site.")
        if scores.kind == CALLED:
            raise InvalidPolicy(f"{policy.name} asks a compiled function, and is not played by the rules of a site.")
        if scores.kind == BY_PLAN:
            raise InvalidPolicy(f"{policy.name} plans ahead by itself, and is not played by the rules of a site.")
        from scheduler_sim.engine.kernels.site.kernel import SiteKernel

        return SiteKernel(problem)
    if policy.order.needs_site:
        raise InvalidPolicy(
            f"{policy.order.name} is a site's own scheduler; it plays on a site, not on a cluster alone."
        )
    if scores.kind == BY_PLAN:
        from scheduler_sim.engine.kernels.decided.planned import PlanKernel

        return PlanKernel(problem)
    if scores.kind == DECIDED:
        from scheduler_sim.engine.kernels.decided.kernel import DecidedKernel

        return DecidedKernel(problem)
    interrupted = problem.stops or problem.options.interrupts or cluster.fails
    if late and interrupted:
        raise InvalidPolicy("Where tasks may stop and go on, run times cannot be predicted inside the run.")
    if scores.kind == CALLED and (late or interrupted):
        raise InvalidPolicy(
            f"{policy.name} asks a compiled function: it plays tasks that run once, with known estimates."
        )
    if (interrupted or scores.kind in (SHARES, ELASTIC)) and Transfers.of(workload, cluster) is not None:
        raise InvalidPolicy(
            f"{policy.name} may stop tasks or change their widths here, and data between nodes is played for tasks "
            "that run once; leave the network out of the cluster."
        )
    if scores.kind == SHARES:
        from scheduler_sim.engine.kernels.rounds.kernel import PackedKernel, RoundsKernel

        return PackedKernel(problem) if policy.order.name.endswith(PACKED) else RoundsKernel(problem)
    if scores.kind == ELASTIC:
        from scheduler_sim.engine.kernels.elastic.kernel import ElasticKernel

        return ElasticKernel(problem)
    if interrupted:
        from scheduler_sim.engine.kernels.core.rules import Rules, needs_nodes

        rules = Rules.of(problem)
        if needs_nodes(problem):
            from scheduler_sim.engine.kernels.stopping.kernel import StoppingKernel

            _refuse_backfilling(policy, scores, on_pool=False)
            return StoppingKernel.of(problem, rules)
        from scheduler_sim.engine.kernels.core.kernel import CoreKernel

        return CoreKernel.of(problem, rules)
    if scores.kind == LEARNED and policy.backfill.name == "conservative":
        raise InvalidPolicy("Learned orders change with the state of the cluster and play with none, list and easy.")
    on_pool = _plays_on_pool(problem) and problem.cap is None
    _refuse_backfilling(policy, scores, on_pool=on_pool)
    if late and (policy.backfill.predicts or scores.backfill is not None):
        raise InvalidPolicy(f"Where run times are predicted inside the run, easy is without parameters: {policy.name}.")
    ranked = scores.kind == STATIC and scores.slope is None
    if late and policy.order.uses_estimates and ranked:
        # No rank among all tasks can be given before anything runs: as scores that change they need none.
        problem = replace(problem, scores=replace(scores, slope=np.zeros(len(workload))))
    if on_pool:
        from scheduler_sim.engine.kernels.pool.kernel import PoolKernel

        return PoolKernel(problem)
    from scheduler_sim.engine.kernels.node.kernel import SingleNodeKernel, plays_on_single

    if not late and not cluster.sleeps and problem.cap is None and plays_on_single(problem):
        return SingleNodeKernel(problem)
    from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel

    return ClusterKernel(problem)


def _by_past(problem: Problem) -> BaseKernel:
    """Return the kernel of a score that looks at what users have done.

    Raises:
        InvalidPolicy: anything but a pool on which tasks run once, with none, list or easy.
    """
    policy, options = problem.policy, problem.options
    backfill, name = policy.backfill, policy.order.name
    interrupted = policy.preempts or options.interrupts or problem.cluster.fails
    elsewhere = problem.site is not None or problem.cap is not None or not _plays_on_pool(problem)
    if elsewhere or interrupted or options.closed_loop or problem.late:
        raise InvalidPolicy(
            f"{name} looks at what users' tasks did: it plays rigid tasks that run once on a single pool of "
            "processors, without a site, a power cap, a closed loop or run times from a stored model."
        )
    if backfill.name == "conservative" or backfill.order is not None or backfill.predictor not in (None, "last_two"):
        raise InvalidPolicy(
            f"{name} is scored at each instant: it plays with none, list, easy and easy(predict=last_two), not with "
            f"{backfill.text}."
        )
    from scheduler_sim.engine.kernels.pool.kernel import PoolKernel

    return PoolKernel(problem)


def _by_left(problem: Problem) -> BaseKernel:
    """Return the kernel of a score that looks at what runs, too.

    Raises:
        InvalidPolicy: without a way of stopping tasks, or what is not played where tasks may stop.
    """
    policy, name = problem.policy, problem.policy.order.name
    if not policy.preempts:
        raise InvalidPolicy(
            f"{name} says which running tasks are stopped: it plays with ~suspend, ~checkpoint or ~requeue."
        )
    if problem.site is not None or problem.options.closed_loop or problem.late:
        raise InvalidPolicy(
            f"{name} looks at what runs: it plays on a cluster, without a site's rules, a closed loop or run times "
            "from a stored model."
        )
    if policy.backfill.name == "conservative":
        raise InvalidPolicy("Learned orders change with the state of the cluster and play with none, list and easy.")
    from scheduler_sim.engine.kernels.core.rules import Rules
    from scheduler_sim.engine.kernels.stopping.kernel import StoppingKernel

    _refuse_backfilling(policy, problem.scores, on_pool=False)
    return StoppingKernel.of(problem, Rules.of(problem))


def _refuse_power(problem: Problem) -> None:
    """Refuse what is not played where nodes sleep, or starts keep a power cap.

    Raises:
        InvalidPolicy: the rules of a site, or a policy that decides, plans or stops tasks by itself.
    """
    cluster, policy, kind = problem.cluster, problem.policy, problem.scores.kind
    if not cluster.sleeps and problem.cap is None:
        return
    what = f"Nodes of {cluster.name} sleep" if cluster.sleeps else "Starts keep a power cap"
    if problem.site is not None:
        raise InvalidPolicy(f"{what}, which is not played by the rules of a site.")
    if policy.order.preempts or kind in (DECIDED, BY_PLAN, SHARES, ELASTIC):
        raise InvalidPolicy(f"{what}, which is not played by {policy.name}.")
    if problem.cap is not None and cluster.has_slower_steps:
        stops = problem.stops or problem.options.interrupts or cluster.fails
        refuse_steps(problem.workload, cluster, stops=stops)


def _closed(problem: Problem) -> BaseKernel:
    """Return the kernel of a closed loop before anybody waits for anything; `Simulation` sees to that.

    Raises:
        InvalidPolicy: what is not played where nobody knows when tasks will come.
    """
    policy, scores = problem.policy, problem.scores
    if problem.site is not None:
        raise InvalidPolicy("By the rules of a site tasks come as recorded; a closed loop is played on a cluster.")
    if problem.late:
        raise InvalidPolicy("Run times cannot be predicted inside the run where tasks come in a closed loop.")
    if problem.stops or problem.options.interrupts or problem.cluster.fails:
        raise InvalidPolicy("Where tasks may stop and go on they come as recorded, not in a closed loop.")
    if problem.cluster.sleeps or problem.cap is not None:
        raise InvalidPolicy(
            "Where nodes sleep or starts keep a cap on power tasks come as recorded, not in a closed loop."
        )
    if (
        scores.kind in (DECIDED, BY_PLAN, CALLED, SHARES, ELASTIC)
        or policy.order.needs_site
        or scores.not_before is not None
    ):
        raise InvalidPolicy(f"{policy.order.name} is not played in a closed loop.")
    if scores.kind == LEARNED and policy.backfill.name == "conservative":
        raise InvalidPolicy("Learned orders change with the state of the cluster and play with none, list and easy.")
    _refuse_backfilling(policy, scores, on_pool=False)
    if scores.kind == STATIC and scores.slope is None:
        # No rank among all tasks can be given before they come: as scores that change they need none.
        problem = replace(problem, scores=replace(scores, slope=np.zeros(len(problem.workload))))
    from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel

    return ClusterKernel(problem)


def _refuse_backfilling(policy: Policy, scores: Scores, *, on_pool: bool) -> None:
    """Refuse parameters of EASY that cannot be played.

    Raises:
        InvalidPolicy: an order of backfilling that changes with what runs or waits, or beside an order or a placement
            that chooses in another way; predictions beside one, off the pool, or in an order that they do not settle.
    """
    backfill, other = policy.backfill, scores.backfill
    if other is None and not backfill.predicts:
        return
    if scores.kind in (LEARNED, CALLED):
        raise InvalidPolicy(
            f"{policy.order.name} is scored at each instant, for easy without parameters, not for {backfill.text}."
        )
    if policy.placement.planned != NOT_PLANNED:
        raise InvalidPolicy(f"{policy.placement.name} walks the queue in one order: easy without parameters.")
    if other is not None and (other.kind != STATIC or other.not_before is not None):
        raise InvalidPolicy(
            f"Tasks are not backfilled by {backfill.order}, whose scores change with what runs or waits."
        )
    if backfill.predicts and backfill.order not in (None, "sjf"):
        raise InvalidPolicy(
            f"Predictions settle the order of sjf, not of {backfill.order}: easy(order=sjf,predict=...)."
        )
    if backfill.predicts and not on_pool:
        raise InvalidPolicy(
            "Run times are predicted (predict=...) on a single pool of processors for rigid tasks only."
        )


def _plays_on_pool(problem: Problem) -> bool:
    """Tell whether a single pool and rigid tasks of whole processors are all there is."""
    scores, workload = problem.scores, problem.workload
    return (
        problem.cluster.is_pool
        and scores.kind in (STATIC, LEARNED, CALLED, BY_PAST)
        and scores.not_before is None
        and not problem.cluster.sleeps
        and problem.shared.once_of("not for pool", workload, lambda: not_for_pool(workload)) is None
    )
