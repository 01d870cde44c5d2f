"""How tasks start by their scores under none, list and easy on a pool, in plain Python: what compiled loops must equal.

Slow on purpose: the whole queue is scored and sorted at each instant, one task at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.codes import CALLED, DECIDED, STATIC
from scheduler_sim.engine.policies import BACKFILLS, PLACEMENTS, Policy, Scores
from scheduler_sim.engine.policies.compiled import Instant, WaitingTask
from scheduler_sim.engine.policies.placement import DEFAULT_PLACEMENT

Score = Callable[[int, Any], float]
"""Takes a row and a `kernels.decided.state.State`; the lowest is tried first."""


def plainly(policy: Policy, scores: Scores, cluster: Cluster) -> Policy | None:
    """Return a policy that decides as `policy` does by these scores, in plain Python; None where no rule here is its.

    Args:
        scores: of the workload that is to be played.
    """
    as_here = policy.backfill.text in ("none", "list", "easy") and policy.placement.text == DEFAULT_PLACEMENT
    settled = scores.kind in (STATIC, CALLED) and scores.not_before is None and scores.backfill is None
    one_pool = cluster.is_pool and cluster.groups[0].cpu_speed == 1.0
    if policy.preempts or not (as_here and settled and one_pool):
        return None
    score, rule = _score_by(scores, cluster), policy.backfill.name
    order = replace(
        policy.order,
        scores=lambda context: Scores.by_rule(DECIDED, context),
        decides=lambda: _Plain(score, rule),
        parameters=(),
        values=(),
    )
    return Policy(order=order, backfill=BACKFILLS["none"], placement=PLACEMENTS[DEFAULT_PLACEMENT])


def _score_by(scores: Scores, cluster: Cluster) -> Score:
    called = scores.called
    if called is None:
        slope = np.zeros(len(scores.base)) if scores.slope is None else scores.slope
        return lambda row, state: float(scores.base[row] - slope[row] * state.wait_time(row))
    function = called.compiled.of_one()

    def ask(row: int, state: Any) -> float:
        now = Instant(
            time=float(state.time),
            queued=float(len(state.queue)),
            running=float(len(state.running)),
            free_cores=float(state.free_cores[0]),
            free_gpus=0.0,
            cores=float(cluster.cores),
            gpus=0.0,
        )
        return float(function(WaitingTask(state.wait_time(row), *called.table[row].tolist()), now))

    return ask


class _Plain:
    def __init__(self, score: Score, rule: str) -> None:
        self._score, self._rule = score, rule

    def decide(self, state: Any) -> Iterator[int]:
        """Start what the rule starts; rows are in the order that settles equal scores."""
        queue = sorted(state.queue.tolist(), key=lambda row: (self._score(row, state), row))
        ends = {row: max(state.expected_end_time[row], state.time) for row in state.running}
        free, shadow, extra = state.free_cores[0], np.inf, np.inf
        is_blocked = False
        for row in queue:
            asked, end = state.cpus[row], state.time + state.estimate[row]
            if asked <= free and (end <= shadow or asked <= extra):
                free -= asked
                extra -= 0 if end <= shadow else asked
                ends[row] = end
                yield row
            elif not is_blocked and self._rule == "none":
                return
            elif not is_blocked and self._rule == "easy":
                is_blocked = True
                shadow, extra = _reserve(asked, free, state, ends)


def _reserve(asked: float, free: float, state: Any, ends: dict[int, float]) -> tuple[float, float]:
    """Return when so many processors are free by what is expected, and how many are left over then."""
    shadow = state.time
    for end, row in sorted((end, row) for row, end in ends.items()):
        if free >= asked and end > shadow:
            break
        free, shadow = free + state.cpus[row], end
    return shadow, free - asked
