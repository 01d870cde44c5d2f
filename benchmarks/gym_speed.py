"""Steps a second of the Gymnasium environments: one by one, and many in one compiled call.

python -m benchmarks.gym_speed --environments 64 --steps 2000
"""

import argparse
import time
from typing import Any

import numpy as np

from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.gym import SchedulingEnv, SchedulingVectorEnv

PROCESSORS = 256


def main() -> None:
    """Play random choices and print processor seconds and steps a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2000, help="of each environment")
    asked = parser.parse_args()
    made = generate_workload("lublin", tasks=20_000, seed=1, parameters={"processors": PROCESSORS}).workload
    generator = np.random.default_rng(1)
    actions = generator.integers(0, 32, (asked.steps, asked.environments))
    one = SchedulingEnv(made, PROCESSORS)
    many = SchedulingVectorEnv(made, PROCESSORS, num_envs=asked.environments)
    _many(many, actions[:2])
    _one(one, actions[:2, 0])
    began = time.process_time()
    _tell("one by one", _one(one, actions[:, 0]), time.process_time() - began)
    began = time.process_time()
    _tell("in one call", _many(many, actions), time.process_time() - began)


def _tell(name: str, steps: int, seconds: float) -> None:
    print(f"{name}: {steps:,} steps in {seconds:.2f} processor seconds, {steps / seconds:,.0f} a second")


def _one(environment: SchedulingEnv, actions: Any) -> int:
    environment.reset(seed=1)
    for action in actions:
        if environment.step(action)[2]:
            environment.reset()
    return len(actions)


def _many(environments: SchedulingVectorEnv, actions: Any) -> int:
    environments.reset(seed=1)
    for row in actions:
        environments.step(row)
    return int(actions.size)


if __name__ == "__main__":
    main()
