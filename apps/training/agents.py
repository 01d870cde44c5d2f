"""Agents that learn while they run: playing one on a workload and keeping what it learned."""

import hashlib
import json
from dataclasses import asdict

import numpy as np

from apps.results.errors import DomainError
from apps.tasks.models import Workload
from apps.tasks.stored_tasks import load_tasks
from apps.training.models import BY_GROUP, TrainedModel
from apps.training.registry import AGENT_KIND, model_store
from scheduler_sim import engine
from scheduler_sim.engine.learning.agent_curve import agent_curve
from scheduler_sim.engine.learning.by_group import by_group, groups_of
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, Policy
from scheduler_sim.engine.policies.agent import ACTIONS, CONTEXTS, AgentSettings, RewardWeights
from scheduler_sim.engine.policies.placements.rl_agent import agent_placement
from scheduler_sim.engine.workloads.workload import FloatArray


class NothingToSplit(DomainError):
    """The workload has no task for which an agent could choose a fraction."""


def agent_train(
    *,
    workload: Workload,
    cluster: engine.Cluster,
    reward: RewardWeights | None = None,
    seed: int = 0,
    activate: bool = True,
) -> TrainedModel:
    """Play an agent from scratch on a workload and store its table, with its epsilon and reward curves.

    Raises:
        NothingToSplit: no hybrid task.
        OversizedTasks: tasks that do not fit the cluster.
    """
    tasks = load_tasks(workload_id=workload.pk).workload
    if not tasks.hybrid.any():
        raise NothingToSplit(f"Workload {workload.name} has no hybrid tasks, so an agent has nothing to choose.")
    reward = reward or RewardWeights()
    settings = AgentSettings(reward=reward)
    agent = Policy(order=ORDERS["fcfs"], backfill=BACKFILLS["list"], placement=agent_placement(settings=settings))
    simulation = _played(tasks, cluster, agent, seed)
    greedy = _played(tasks, cluster, engine.parse_policy("greedy"), seed)
    state = simulation.kernel.agent
    if state is None:
        raise TypeError("This kernel has no agent.")
    last = slice(len(tasks) - max(len(tasks) // 5, 1), None)
    learned, other = (_completion_times(tasks, one)[last] for one in (simulation, greedy))
    return model_store(
        name=AGENT_KIND,
        kind=AGENT_KIND,
        artifact=json.dumps(state["values"].tolist()),
        parameters={
            "first_epsilon": settings.first_epsilon,
            "explored_tasks": settings.explored_tasks,
            "reward": asdict(reward),
            "curve": agent_curve(simulation),
        },
        features=["compute_intensity", "free cores", "free GPUs"],
        data_range={
            "workload": workload.name,
            "cluster": cluster.name,
            "rows": len(tasks),
            "sha256": hashlib.sha256(tasks.arrival_time.tobytes() + tasks.runtime.tobytes()).hexdigest(),
        },
        seed=seed,
        scores={
            "mean_jct_of_last_fifth": float(learned.mean()),
            "mean_jct_of_last_fifth_greedy": float(other.mean()),
            "contexts_seen": int((state["visits"].sum(axis=1) > 0).sum()),
            "choices_tried": float((state["visits"] > 0).sum() / (CONTEXTS * ACTIONS)),
            BY_GROUP: {
                "figure": "mean_jct",
                "against": "greedy",
                "groups": by_group(groups_of(tasks.take(np.arange(len(tasks))[last])), learned, other),
            },
        },
        activate=activate,
    )


def _played(tasks: engine.Workload, cluster: engine.Cluster, policy: engine.Policy, seed: int) -> engine.Simulation:
    simulation = engine.Simulation(workload=tasks, cluster=cluster, policy=policy, seed=seed)
    simulation.advance()
    return simulation


def _completion_times(tasks: engine.Workload, simulation: engine.Simulation) -> FloatArray:
    times: FloatArray = TaskFigures.of(tasks, simulation.outcome()).job_completion_time
    return times
