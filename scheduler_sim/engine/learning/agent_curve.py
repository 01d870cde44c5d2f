"""How an agent learned while a run went on."""

from itertools import pairwise

import numpy as np

from scheduler_sim.engine.simulation import Simulation

POINTS = 100


def agent_curve(simulation: Simulation) -> list[dict[str, float]]:
    """Return mean epsilon and mean reward in up to 100 pieces of equal length, in order of readiness.

    Returns:
        for each piece `tasks` (how many had been given a fraction by its end), `epsilon` and `reward`; empty where no
        agent played or none of its tasks has finished.
    """
    state = simulation.kernel.agent
    if state is None:
        return []
    rows = np.flatnonzero(~np.isnan(state["reward"]))
    rows = rows[np.argsort(simulation.outcome().ready_time[rows], kind="stable")]
    ends = np.linspace(0, len(rows), min(POINTS, len(rows)) + 1).astype(np.int64)
    return [
        {
            "tasks": int(last),
            "epsilon": float(state["epsilon"][rows[first:last]].mean()),
            "reward": float(state["reward"][rows[first:last]].mean()),
        }
        for first, last in pairwise(ends)
    ]
