"""A random fraction on a random node."""

from scheduler_sim.engine.codes import RANDOM_NODE
from scheduler_sim.engine.policies.placement import ChoiceContext, Choices, placement


@placement(
    "random",
    RANDOM_NODE,
    rule="A seeded draw a task: the gpu_fraction of split tasks, and the node among those that fit.",
    source="baseline",
)
def random(context: ChoiceContext) -> Choices:
    """Draw a fraction and a node for each task, whatever the order of events."""
    draws = context.generator.random((2, len(context.workload)))
    return Choices(fraction=draws[0], draw=draws[1])
