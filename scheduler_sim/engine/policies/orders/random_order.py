"""A random order, drawn once: the baseline that any rule should beat."""

from scheduler_sim.engine.policies.order import ScoreContext, Scores, order


@order("random_order", formula="a seeded random number", source="baseline", uses_estimates=False)
def random_order(context: ScoreContext) -> Scores:
    """Score by a seeded random number drawn once for each task."""
    return Scores(base=context.generator.random(len(context.workload)))
