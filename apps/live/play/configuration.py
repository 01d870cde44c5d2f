"""What a run plays, as one document that is stored with it and can play it again."""

import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, Self

from django.conf import settings

from apps.training.registry import models_in_use, resolve_policy
from scheduler_sim import engine
from scheduler_sim.engine.policies.agent import RewardWeights

ON_OVERSIZE = ("fail", "drop", "clamp")
SPLIT_MODELS = ("concurrent", "sequential")
KEEP = ("results", "summary")


@dataclass(frozen=True)
class RunConfiguration:
    """Everything beside the tasks and the cluster that decides what a run computes.

    Attributes:
        policies: names as stored, in the order given.
        seed: of every random stream.
        limit: play the first so many tasks by (arrival_time, task_id); None for all.
        on_oversize: what to do with tasks that could never start on the cluster.
        estimates: `trace`, `exact`, `factor:F`, `uniform:F` or `predicted:MODEL`: what policies are told of durations.
        load_factor: arrivals so many times as dense (see `whatif.scale_load`).
        split_model: how the two sides of a split task run.
        kill_at_estimate: end a task when its estimate is used up.
        conservative_depth: how many queued tasks hold a reservation; None for all.
        warmup, cooldown: parts of the arrivals, 0 to 1, that are simulated but not scored.
        keep: `results` stores every placement, `summary` only the figures.
        agent_reward: weights of time, energy and cost in what rl_agent minimises; None for those of its stored table,
            or time alone.
        agent_from_scratch: rl_agent begins without its stored table.
        models: versions of the stored models that the policies and estimates stand for, by name.
    """

    policies: tuple[str, ...]
    seed: int = 0
    limit: int | None = None
    on_oversize: Literal["fail", "drop", "clamp"] = "fail"
    estimates: str = "trace"
    load_factor: float = 1.0
    split_model: Literal["concurrent", "sequential"] = "concurrent"
    kill_at_estimate: bool = False
    conservative_depth: int | None = None
    warmup: float = 0.0
    cooldown: float = 0.0
    keep: Literal["results", "summary"] = "results"
    agent_reward: tuple[float, float, float] | None = None
    agent_from_scratch: bool = False
    models: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the document stored with the run."""
        return {**asdict(self), "policies": list(self.policies)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read a stored document."""
        reward = document.get("agent_reward")
        return cls(
            **{
                **document,
                "policies": tuple(document["policies"]),
                "agent_reward": None if reward is None else tuple(reward),
            }
        )

    def parsed_policies(self) -> list[engine.Policy]:
        """Return the policies as the engine knows them."""
        reward = None if self.agent_reward is None else RewardWeights(*self.agent_reward)
        return [resolve_policy(name, self.models, reward=reward) for name in self.policies]

    def with_models(self) -> Self:
        """Return the configuration with the model versions that are active now."""
        models = models_in_use(self.policies, self.estimates, agent_from_scratch=self.agent_from_scratch)
        return replace(self, models=models)

    def engine_options(self) -> engine.Options:
        """Return the choices that the kernels take."""
        return engine.Options(
            kill_at_estimate=self.kill_at_estimate,
            split_model=self.split_model,
            conservative_depth=self.conservative_depth,
        )


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the commit of the checkout, marked when it was changed since; empty outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return described.stdout.strip()
