"""First come, first served."""

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("fcfs", formula="s", source="classic", uses_estimates=False)
def fcfs(context: ScoreContext) -> Scores:
    """Score by arrival time."""
    return Scores(base=context.workload.arrival_time)
