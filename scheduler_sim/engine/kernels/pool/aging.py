"""The event loop of orders whose scores change with the wait: none, list and easy."""

import numpy as np

from scheduler_sim.engine.codes import EASY, NONE, QUEUED, RUNNING
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.pool.instants import goes_on
from scheduler_sim.engine.kernels.pool.loop import arrive, arrives_by, begin, ends_by, release
from scheduler_sim.engine.kernels.pool.state import EXTRA, FREE, HEAD, Run, Tasks
from scheduler_sim.engine.kernels.structures import kinetic_tree
from scheduler_sim.engine.kernels.structures.kinetic_tree import KineticTree
from scheduler_sim.engine.kernels.structures.planned_ends import add_end, drop_end, shadow
from scheduler_sim.engine.kernels.structures.sorted_queue import EVERYTHING


@kernel
def advance_aging(backfill: int, tasks: Tasks, run: Run, tree: KineticTree, until: float, max_events: int) -> None:
    """Play whole instants up to `until` or until `max_events` events were applied."""
    arrival, _, expected, cpus, _, _ = tasks
    counts, clock, start, _, _, end_times, _ = run
    leaf_of, nodes, masks, floors, spread, stack, plan = tree
    easy = backfill == EASY
    events = 0
    while events < max_events and goes_on(arrival, counts, end_times, until, clock):
        now = clock[0]
        while True:
            # See `ranked`: what did not pass the same head before does not pass it now.
            same = counts[HEAD] >= 0 and (not easy or plan.shadow[0] >= now)
            while ends_by(now, counts, end_times):
                row = release(now, tasks, run)
                if easy:
                    drop_end(start[row] + expected[row], row, counts[RUNNING] + 1, plan)
                events += 1
                same = False
            newest = -1
            arrivals = 0
            while arrives_by(now, arrival, counts):
                newest = leaf_of[arrive(counts)]
                kinetic_tree.enter(now, newest, nodes, masks, floors, spread)
                arrivals += 1
            events += arrivals
            same = same and arrivals <= 1
            if not same:
                counts[HEAD] = -1
            blocked = False
            while counts[QUEUED] > 0 and nodes[0, kinetic_tree.CPUS] <= counts[FREE]:
                if blocked and same:
                    leaf = -1
                    if newest >= 0 and kinetic_tree.may_start(
                        now, newest, counts[FREE], plan.shadow[0], counts[EXTRA], nodes
                    ):
                        leaf = newest
                    newest = -1
                elif blocked:
                    leaf = kinetic_tree.find(
                        now, counts[FREE], plan.shadow[0], counts[EXTRA], nodes, masks, stack, spread
                    )
                else:
                    row = kinetic_tree.head_of(now, nodes, masks, floors, spread)
                    leaf = leaf_of[row]
                    blocked = cpus[row] > counts[FREE]
                    same = same and blocked and row == counts[HEAD]
                    if blocked and backfill == NONE:
                        break
                    if blocked and not same:
                        counts[HEAD] = row
                        plan.shadow[0], counts[EXTRA] = np.inf, EVERYTHING
                        if easy:
                            plan.shadow[0], counts[EXTRA] = shadow(
                                now, counts[FREE], cpus[row], cpus, counts[RUNNING], plan
                            )
                    if blocked:
                        continue
                    counts[HEAD] = -1
                if leaf < 0:
                    break
                row = int(nodes[leaf, kinetic_tree.ROW])
                if easy:
                    end = now + expected[row]
                    if blocked and end > plan.shadow[0]:
                        counts[EXTRA] -= cpus[row]
                    add_end(end, row, counts[RUNNING], plan)
                kinetic_tree.leave(now, leaf, nodes, masks, floors, spread)
                begin(now, row, tasks, run)
            if not ends_by(now, counts, end_times):
                break
