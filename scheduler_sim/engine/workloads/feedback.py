"""Who waits for whom before submitting: tasks that come a while after an earlier one has ended, in a closed loop.

A log shows when tasks came under the scheduler of its day. Users react: they look at a result, think, and submit the
next task. In an open loop every task comes at its recorded instant, however long the one before it waits; in a closed
loop it comes its think time after that one has ended.
"""

from dataclasses import replace

import numpy as np

from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Workload

LONGEST_THINK = 20 * 60.0
"""Seconds after which a submission begins a new session, as Shmueli and Feitelson have it ("On simulation and design of
parallel-systems schedulers: are we doing the right thing?", IEEE TPDS 20(7), 2009)."""


def predecessors(workload: Workload) -> tuple[IntArray, FloatArray]:
    """Return the row after whose end each task comes, -1 for none, and the think time in seconds; shape (n,) each.

    A predecessor that is not among the tasks, or does not come before its task in their order, is none. A think time
    that is not stated is what the log shows between both; 0 where it does not, or where they overlap.
    """
    count = len(workload)
    rows, thinks = np.full(count, -1, np.int64), np.zeros(count)
    if workload.requests is None or not workload.requests.follows.any():
        return rows, thinks
    follows = workload.requests.follows
    by_id = np.argsort(workload.task_id, kind="stable")
    places = np.minimum(np.searchsorted(workload.task_id[by_id], follows), count - 1)
    found = by_id[places]
    known = (follows > 0) & (workload.task_id[found] == follows) & (found < np.arange(count))
    rows[known] = found[known]
    ended = workload.recorded_start_time[rows] + workload.runtime[rows]
    shown = np.nan_to_num(np.maximum(workload.arrival_time - ended, 0.0), nan=0.0)
    stated = workload.requests.think_time
    thinks[known] = np.where(np.isnan(stated), shown, stated)[known]
    return rows, thinks


def shown_thinks(workload: Workload) -> Requests | None:
    """Return what the tasks ask for, with the think times that are not stated as the log shows them.

    For who moves the arrivals, after which the log shows them no longer.
    """
    requests = workload.requests
    if requests is None or not requests.follows.any() or np.isnan(workload.recorded_start_time).all():
        return requests
    rows, thinks = predecessors(workload)
    shown = np.isnan(requests.think_time) & (rows >= 0) & ~np.isnan(workload.recorded_start_time[rows])
    return replace(requests, think_time=np.where(shown, thinks, requests.think_time))


def uncome(workload: Workload) -> Workload:
    """Return the workload before anybody has come, with arrays of its own to write arrivals and deadlines to."""
    return replace(workload, arrival_time=workload.arrival_time.copy(), deadline_time=workload.deadline_time.copy())


def session_requests(workload: Workload) -> Requests:
    """Return what the tasks ask for, whom they follow and the think times being those that users' sessions show.

    A task follows the one of its user's that had ended last when it came, if that was less than `LONGEST_THINK` before;
    else it begins a session and comes when it was recorded. Tasks that came while others of the user ran follow the
    same one as these, or begin a session with them: they were not waited for.

    Raises:
        InvalidWorkload: no task says who submitted it, or when one started is not known, so that nothing tells when it
            ended.
    """
    if not len(workload) or workload.user.names == ("",):
        raise InvalidWorkload("Sessions are of users, and the workload does not say who submitted its tasks.")
    ends = workload.recorded_start_time + workload.runtime
    if np.isnan(ends).any():
        raise InvalidWorkload(
            "Sessions are seen in when tasks ended, which a recorded start tells; of "
            f"{int(np.isnan(ends).sum()):,} of {len(workload):,} tasks there is none. Samples of a study and generated "
            "workloads have none: play a trace as it was recorded."
        )
    follows, thinks = np.zeros(len(workload), np.int64), np.full(len(workload), np.nan)
    order = np.argsort(workload.user.codes, kind="stable")
    users = np.split(order, np.flatnonzero(np.diff(workload.user.codes[order])) + 1)
    for mine in users:
        if workload.user.names[workload.user.codes[mine[0]]] == "":
            continue
        by_end = mine[np.argsort(ends[mine], kind="stable")]
        arrival = workload.arrival_time[mine]
        last = np.searchsorted(ends[by_end], arrival, side="right") - 1
        before = by_end[np.maximum(last, 0)]
        think = arrival - ends[before]
        # A task of no length has ended when it came, and so have those that came with it.
        held = (last >= 0) & (think < LONGEST_THINK) & (before < mine)
        follows[mine[held]] = workload.task_id[before[held]]
        thinks[mine[held]] = think[held]
    requests = workload.requests or Requests.blank(len(workload))
    return replace(requests, follows=follows, think_time=thinks)
