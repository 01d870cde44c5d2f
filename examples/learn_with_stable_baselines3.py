"""Learn which task starts next with MaskablePPO of sb3-contrib, and judge it as every learned policy is judged.

    pip install gymnasium stable-baselines3 sb3-contrib
    python examples/learn_with_stable_baselines3.py ../shared/traces/lublin_256.swf --processors 256

The first half of the trace is learned from, in varied sequences; of the second half 20 sequences of 1,024 jobs are
played, by what was learned and by every order that was not, without backfilling. The network is that of RLScheduler
(Zhang et al., SC 2020): the same small one rates each visible task, so that it does not matter where a task stands.
"""

import argparse
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.gym import SchedulingEnv, learned_queue
from scheduler_sim.engine.learning.evaluation import held_out_windows, paired_interval, window_means, yardsticks
from scheduler_sim.engine.learning.sampling import Parts, Variation
from scheduler_sim.engine.policies import ORDERS
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workloads.workload import FloatArray

VISIBLE = 32
ENVIRONMENTS = 32


class RatesEachTask(nn.Module):  # type: ignore[misc]
    """Rates every visible task by what is seen of it and of the pool; a second network estimates what is to come."""

    def __init__(self, visible: int, seen: int) -> None:
        super().__init__()
        self.visible = visible
        self.latent_dim_pi, self.latent_dim_vf = visible, 64
        self.rate = nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
        self.value = nn.Sequential(nn.Linear(seen, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())

    def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rates of all tasks, and what the value is made of."""
        return self.forward_actor(seen), self.forward_critic(seen)

    def forward_actor(self, seen: torch.Tensor) -> torch.Tensor:
        """Return a rate for each visible task, shape (batch, visible)."""
        of_tasks = seen[:, :-2].reshape(len(seen), self.visible, 5)
        of_pool = seen[:, None, -2:].expand(-1, self.visible, -1)
        return self.rate(torch.cat([of_tasks, of_pool], dim=2)).squeeze(2)

    def forward_critic(self, seen: torch.Tensor) -> torch.Tensor:
        """Return what the value is made of."""
        return self.value(seen)


class RatingPolicy(MaskableActorCriticPolicy):  # type: ignore[misc]
    """Chooses among the visible tasks by their rates."""

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = RatesEachTask(VISIBLE, self.features_dim)

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        # The rates are the logits.
        self.action_net = nn.Identity()


def learn(parts: Parts, processors: int, *, steps: int, length: int, seed: int) -> MaskablePPO:
    """Learn from the first half of a trace."""

    def environment() -> SchedulingEnv:
        return SchedulingEnv(parts.both, processors, length=length, visible=VISIBLE, variation=Variation())

    model = MaskablePPO(
        RatingPolicy,
        make_vec_env(environment, n_envs=ENVIRONMENTS, seed=seed),
        n_steps=length,
        batch_size=2048,
        n_epochs=10,
        gamma=1.0,
        gae_lambda=0.97,
        learning_rate=3e-3,
        seed=seed,
        device="cpu",
        verbose=1,
    )
    return model.learn(steps)


def judge(model: MaskablePPO, name: str, windows: list[Any], processors: int) -> FloatArray:
    """Return the mean bounded slowdown of each held-out sequence under what was learned."""

    def choose(seen: FloatArray, valid: np.ndarray) -> int:
        with torch.no_grad():
            rates = model.policy.mlp_extractor.forward_actor(torch.as_tensor(seen[None], dtype=torch.float32))[0]
        return int(np.where(valid, rates.numpy(), -np.inf).argmax())

    learned_queue(name, choose, visible=VISIBLE)
    return window_means(ORDERS[name], "none", windows, pool(processors))


def main() -> None:
    """Learn with some seeds, judge, and print the differences to the best order that was not learned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--processors", type=int, required=True)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--length", type=int, default=256, help="tasks of a sequence to learn from")
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    parts = Parts.of(read_trace(asked.trace).workload, length=1024)
    windows = held_out_windows(parts.test, 20, 1024)
    others = {}
    for one in yardsticks():
        with suppress(InvalidPolicy):  # Some play on sites, or in rounds, alone.
            others[one.name] = window_means(one, "none", windows, pool(asked.processors))
    best = min(others, key=lambda name: others[name].mean())
    ranked = sorted(others, key=lambda name: others[name].mean())
    print(", ".join(f"{name} {others[name].mean():,.4g}" for name in ranked))
    for seed in range(asked.seeds):
        began = time.process_time()
        model = learn(parts, asked.processors, steps=asked.steps, length=asked.length, seed=seed)
        seconds = time.process_time() - began
        found = judge(model, f"ppo_{seed}", windows, asked.processors)
        difference = found - others[best]
        low, high = paired_interval(difference, np.random.default_rng(0), blocks=5)
        print(
            f"seed {seed}: {found.mean():.2f}, {found.mean() / others[best].mean() - 1:+.1%} of {best}, 95% by blocks "
            f"{low:+.1f} to {high:+.1f}, lower in {(difference < 0).sum()} of {len(found)}; {seconds:.0f} s to learn",
            flush=True,
        )


if __name__ == "__main__":
    main()
