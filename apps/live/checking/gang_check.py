"""Whether what a run stored of tasks on several nodes goes with its placements and with the nodes that there are."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from apps.live.play.preparation import Prepared
from apps.results.models import GangBlock, Run
from scheduler_sim.engine.contract import Attempts
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.measuring.overbooked import WORDS, overbooked
from scheduler_sim.engine.stored_schedule import StoredSchedule


def gang_faults(run: Run, prepared: Prepared, schedules: Mapping[str, StoredSchedule]) -> Iterator[str]:
    """Yield a sentence for each policy under which tasks held what their placements deny, or more than a node has.

    Of a split task, one side of which ends before the other, nothing is counted; neither are cores where a policy
    shares out GPUs alone, or where a site lets several tasks share one or may suspend tasks.
    """
    rows = np.argsort(prepared.task_keys)
    keys = prepared.task_keys[rows]
    for scheduler, schedule in schedules.items():
        stored = Gangs.joined([block.gangs for block in GangBlock.objects.of_policy(run, scheduler)])
        place = np.minimum(np.searchsorted(keys, stored.task), len(keys) - 1)
        if not np.array_equal(keys[place], stored.task):
            yield f"Under {scheduler} nodes are held by tasks that the run does not play."
            continue
        gangs, spans = replace(stored, task=rows[place]), schedule.spans()
        if gangs.last_node >= prepared.cluster.nodes or not _agree(spans, gangs):
            yield f"The nodes that tasks on several held under {scheduler} are not those that its placements tell of."
            continue
        whole = spans[~prepared.workload.hybrid[spans.row]]
        found = overbooked(prepared.cluster, whole, gangs, resources=_dealt(schedule))
        if found is not None:
            yield (
                f"Under {scheduler} node {found.node} holds {found.held:g} {found.resource} at {found.time:.12g} s, "
                f"and has {found.there:g}."
            )


def _agree(spans: Attempts, gangs: Gangs) -> bool:
    """Tell whether whoever held several nodes ran then, on the lowest of them."""
    order = np.lexsort((spans.start_time, spans.row))
    row, start, end = spans.row[order], spans.start_time[order], spans.end_time[order]
    # The last span of a task that began by then; many tasks have one.
    keys = np.searchsorted(row, gangs.task, side="left")
    last = np.searchsorted(row, gangs.task, side="right") - 1
    if (last < keys).any():
        return False
    place = keys.copy()
    while True:
        goes_on = (place < last) & (end[place] < gangs.end_time)
        if not goes_on.any():
            break
        place[goes_on] += 1
    within = (start[place] <= gangs.start_time) & (end[place] >= gangs.end_time)
    lowest = gangs.ranges["node"][gangs.offsets[:-1]].astype(np.int64)
    return bool(within.all() and (spans.node[order][place] == lowest).all())


def _dealt(schedule: StoredSchedule) -> tuple[str, ...]:
    """Return what the policy deals out node by node; nothing where several jobs may share a GPU."""
    order, site = schedule.policy.order, schedule.site
    if order.shares_gpus:
        return ()
    shares_gpus = order.resizes
    shares_cores = site is not None and (
        site.preemption.kind != "none" or any(one.oversubscribe > 1 for one in site.partitions)
    )
    return tuple(name for name in WORDS if name == "gpus" or not (shares_gpus or shares_cores))
