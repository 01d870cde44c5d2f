"""Steps a second of the Gymnasium environments: one by one, and many in one compiled call.

python -m benchmarks.gym_speed --environments 64 --steps 2000
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from scheduler_sim.engine import gym
from scheduler_sim.engine.clusters.cluster import Cluster, NodeGroup
from scheduler_sim.engine.generators import generate_workload

PROCESSORS = 256

NODES = Cluster(
    name="two kinds",
    groups=(NodeGroup(name="wide", count=8, cores=256), NodeGroup(name="fast", count=8, cores=256, cpu_speed=2.0)),
)


def main() -> None:
    """Play random valid choices and print processor seconds and steps a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2000, help="of each environment")
    asked = parser.parse_args()
    made = generate_workload("lublin", tasks=20_000, seed=1, parameters={"processors": PROCESSORS}).workload
    many = asked.environments
    _tell("queue", gym.SchedulingEnv(made, PROCESSORS), _one, asked.steps)
    _tell("queue", gym.SchedulingVectorEnv(made, PROCESSORS, num_envs=many), _many, asked.steps)
    _tell("placement", gym.PlacementEnv(made, NODES), _one, asked.steps)
    _tell("placement", gym.PlacementVectorEnv(made, NODES, num_envs=many), _many, asked.steps)
    _tell("preemption", gym.PreemptionEnv(made, PROCESSORS), _one, asked.steps)
    _tell("preemption", gym.PreemptionVectorEnv(made, PROCESSORS, num_envs=many), _many, asked.steps)


def _tell(name: str, environment: Any, play: Callable[[Any, int], tuple[int, float]], steps: int) -> None:
    play(environment, 2)
    taken, seconds = play(environment, steps)
    how = "in one call" if play is _many else "one by one"
    print(f"{name}, {how}: {taken:,} steps in {seconds:.2f} processor seconds, {taken / seconds:,.0f} a second")


def _one(environment: Any, steps: int) -> tuple[int, float]:
    """Return the steps, and the processor seconds without those of whoever chooses."""
    generator, seconds = np.random.default_rng(1), 0.0
    environment.reset(seed=1)
    for _ in range(steps):
        action = generator.choice(np.flatnonzero(environment.action_masks()))
        began = time.process_time()
        if environment.step(action)[2]:
            environment.reset()
        seconds += time.process_time() - began
    return steps, seconds


def _many(environments: Any, steps: int) -> tuple[int, float]:
    generator, seconds = np.random.default_rng(1), 0.0
    environments.reset(seed=1)
    for _ in range(steps):
        masks = environments.action_masks()
        actions = (generator.random(masks.shape) * masks).argmax(1)
        began = time.process_time()
        environments.step(actions)
        seconds += time.process_time() - began
    return steps * environments.num_envs, seconds


if __name__ == "__main__":
    main()
