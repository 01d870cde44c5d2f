"""Why tasks wait on a site at one instant: in Slurm's words, from the kernel itself, which plays again up to there."""

import numpy as np

from scheduler_sim.engine.instant.decision import Decision, Decisions, NotExplained
from scheduler_sim.engine.instant.standing import Schedule, standing
from scheduler_sim.engine.simulation import Simulation

VERDICTS = {"Resources": "resources", "Priority": "priority", "None": "unseen"}
"""The verdict that goes with a reason; all others are limits and rules of the site."""

IN_TURN = "The order in which a site tries tasks is not stored; each has the reason that the scheduler gives it."


def site_decisions(schedule: Schedule, simulation: Simulation, time: float) -> Decisions:
    """Return what was decided at `time`, and the reason that each waiting task has then.

    Args:
        schedule: all tasks that waited or ran at `time`.
        simulation: the same run on its site, all tasks of it, not played beyond `time`.

    Raises:
        NotExplained: played again, other tasks have started by then than are stored.
    """
    # Here rather than above: most of what looks at instants plays nothing, and would wait for the kernel.
    from scheduler_sim.engine.kernels.site.kernel import SiteKernel
    from scheduler_sim.engine.kernels.site.reasons import WORDS

    kernel = simulation.kernel
    if not isinstance(kernel, SiteKernel):
        raise NotExplained("Where run times are predicted inside the run, the reasons of a site are not explained.")
    simulation.advance(until_time=time)
    numbers = simulation.workload.task_id
    order = np.argsort(numbers)
    place = order[np.searchsorted(numbers[order], schedule.workload.task_id)]
    begun, stored = simulation.outcome().start_time[place], schedule.outcome.start_time
    if not np.array_equal(np.where(begun <= time, begun, np.inf), np.where(stored <= time, stored, np.inf)):
        raise NotExplained(
            f"Played again, {schedule.policy.name} has started other tasks by {time:.12g} than are stored; its step "
            "there is not explained."
        )
    stands = standing(schedule, time, on_site=True)
    found = [
        Decision(row, np.nan, "started" if stored[row] == time else "resumed", None)
        for row in stands.running[stands.since == time].tolist()
    ]
    codes = kernel.reasons()[place]
    for row in stands.waiting.tolist():
        word = WORDS[codes[row]]
        found.append(Decision(row, np.nan, VERDICTS.get(word, "limit"), None, reason=word))
    return Decisions(time, tuple(found), note=IN_TURN)
