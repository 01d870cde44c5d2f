"""An agent that learns the GPU fraction while it runs."""

from dataclasses import replace
from functools import partial

import numpy as np

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.agent import AGENT_SETTINGS, AgentSettings, Learner, no_values
from scheduler_sim.engine.policies.placement import PLACEMENTS, ChoiceContext, Choices, Placement, placement
from scheduler_sim.engine.workloads.workload import FloatArray


def agent_placement(
    *,
    values: FloatArray | None = None,
    settings: AgentSettings | None = None,
    model_version: int | None = None,
) -> Placement:
    """Return the placement of an agent that starts from `values`, or from scratch."""
    choices = partial(learning, values=values, settings=settings)
    return replace(PLACEMENTS["rl_agent"], choices=choices, model_version=model_version)


@placement(
    "rl_agent",
    FIRST_FIT,
    rule="An epsilon-greedy agent chooses the gpu_fraction (0, 0.1 .. 1) and learns from each task's finish.",
    source="contextual bandit: Sutton & Barto, Reinforcement Learning, 2018, chapter 2",
    in_turn=True,
    uses_estimates=True,
)
def learning(
    context: ChoiceContext, *, values: FloatArray | None = None, settings: AgentSettings | None = None
) -> Choices:
    """Leave fractions to an agent that starts from `values`, or from scratch."""
    chosen = settings or AgentSettings()
    vector = np.zeros(AGENT_SETTINGS)
    vector[:] = (
        chosen.first_epsilon,
        chosen.explored_tasks,
        chosen.slowest_step,
        *chosen.reward.by_device(context.cluster.groups[0]),
    )
    return Choices(
        fraction=context.workload.compute_intensity,
        learner=Learner(
            settings=vector,
            draws=context.generator.random((len(context.workload), 2)),
            values=no_values() if values is None else values,
        ),
    )
