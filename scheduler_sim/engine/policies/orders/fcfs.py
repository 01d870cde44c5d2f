"""First come, first served."""

from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores


def fcfs(context: ScoreContext) -> Scores:
    """Score by arrival time."""
    return Scores(base=context.workload.arrival_time)


ORDERS.register(Order(name="fcfs", formula="s", source="classic", scores=fcfs, uses_estimates=False))
