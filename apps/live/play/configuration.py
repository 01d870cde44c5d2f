"""The configuration of a run: its options, read and checked together, and the document that can play it again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any, Self

import msgspec

from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.options import InvalidOption, Option, options_of, unknown_option
from apps.live.play.run_options import RunOptions
from apps.tasks.series_services import series_references
from apps.training.registry import models_in_use, resolve_policy
from scheduler_sim import engine
from scheduler_sim.engine.clusters.failures import check_nodes, parse_failures
from scheduler_sim.engine.clusters.overheads import CHECKPOINT_RULES, Checkpoints, Overhead
from scheduler_sim.engine.measuring.metrics import check_scored_part
from scheduler_sim.engine.policies.agent import RewardWeights
from scheduler_sim.engine.policies.own import own_digests
from scheduler_sim.engine.units import SECONDS_PER_HOUR

ALWAYS_STORED = frozenset(
    (
        "policies", "seed", "limit", "on_oversize", "estimates", "load_factor", "split_model", "kill_at_estimate",
        "conservative_depth", "warmup", "cooldown", "keep", "agent_reward", "agent_from_scratch", "models",
    )
)  # fmt: skip
"""Fields that every stored document holds. The others are stored where they are not at their default, so that a run
without them has the document, and a study's run the digest, that it had before they were there."""

_NO_WHAT_IF = frozenset(
    (
        "policies", "seed", "site", "on_oversize", "warmup", "cooldown", "keep", "agent_reward", "agent_from_scratch",
        "models", "own_policies", "rate", "cores", "series", "series_zero", "series_beyond",
        "pue_by_temperature",
    )
)  # fmt: skip
"""Fields that leave what a log tells of as it was."""


class RunConfiguration(RunOptions, frozen=True, kw_only=True):
    """Everything beside the tasks and the cluster that decides what a run computes, and how fast it goes."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration of values that were read one by one, by the names of the fields.

        Raises:
            InvalidOption: values that have no meaning together.
        """
        configuration = cls(**values)
        configuration._check_together()
        return configuration

    def as_json(self) -> dict[str, Any]:
        """Return the document stored with the run."""
        values = msgspec.structs.asdict(self)
        document = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {
            name: value for name, value in document.items() if name in ALWAYS_STORED or values[name] != _DEFAULTS[name]
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a stored document; its values were checked when the run was asked for.

        Raises:
            InvalidOption: it holds a name that no option has.
        """
        for name in document:
            if name not in cls.__struct_fields__:
                raise unknown_option(name, cls.__struct_fields__)
        lists = {name: tuple(value) for name, value in document.items() if isinstance(value, list)}
        return cls(**{**document, **lists})

    @property
    def is_as_it_was(self) -> bool:
        """True where all tasks are played as the workload tells of them, under no rule that is not the default."""
        return all(getattr(self, name) == value for name, value in _DEFAULTS.items() if name not in _NO_WHAT_IF)

    def checked(self) -> Self:
        """Return the configuration with every value read anew, as one is that somebody may have changed.

        Raises:
            InvalidOption: a value that its option cannot have, or values that have no meaning together.
        """
        values = {option.stored_as: option.read(getattr(self, option.stored_as)) for option in RUN_OPTIONS}
        return self.of(values)

    def parsed_policies(self) -> list[engine.Policy]:
        """Return the policies as the engine knows them."""
        reward = None if self.agent_reward is None else RewardWeights(*self.agent_reward)
        return [resolve_policy(name, self.models, reward=reward) for name in self.policies]

    def with_models(self) -> Self:
        """Return the configuration with the model versions that are active now, and what else is named beyond doubt.

        That is series, and the files and programs of policies of one's own.
        """
        models = models_in_use(self.policies, self.estimates, agent_from_scratch=self.agent_from_scratch)
        with blaming("series"):
            series = series_references(self.series)
        own = own_digests(self.policies) or None
        return msgspec.structs.replace(self, models=models, series=series, own_policies=own)

    def engine_options(self, cluster: engine.Cluster) -> engine.Options:
        """Return the choices that the kernels take: the engine's options have the names of ours.

        What a run cannot ask for has the engine's default.

        Raises:
            InvalidOption: checkpoints by a rule that the cluster lacks the failures for, or listed failures of nodes
                that it does not have.
        """
        ours = {one.name: getattr(self, one.name) for one in fields(engine.Options) if hasattr(self, one.name)}
        listed = parse_failures(self.failure_list) if self.failure_list else ()
        with blaming("failure_list"):
            check_nodes(listed, cluster.nodes)
        read = {
            "restart_overhead": Overhead.read(self.restart_overhead),
            "checkpoints": self._checkpoints(cluster),
            "closed_loop": self.feedback != "open",
        }
        return engine.Options(**ours | read, failures=listed)

    def _checkpoints(self, cluster: engine.Cluster) -> Checkpoints | None:
        """Return the checkpoints; a rule takes the shortest mean time between failures of a node that there is."""
        costs = {"write": self.checkpoint_write, "read": self.checkpoint_read}
        if self.checkpoints not in CHECKPOINT_RULES:
            if self.checkpoints == "none":
                return None
            return Checkpoints(float(self.checkpoints), **costs, growth=self.checkpoint_growth)
        means = [one.failures.mean_hours * SECONDS_PER_HOUR for one in cluster.groups if one.failures is not None]
        with blaming("checkpoints"):
            points = Checkpoints.by_rule(self.checkpoints, mean_time=min(means, default=0.0), **costs)
        return replace(points, growth=self.checkpoint_growth)

    def _check_together(self) -> None:
        with blaming("cooldown"):
            check_scored_part(self.warmup, self.cooldown)
        if self.max_requeues and not self.kill_at_estimate:
            raise InvalidOption(
                "max_requeues needs on_limit kill: it says how often a task ended at its limit is run again.",
                "max_requeues",
            )
        if self.feedback != "open" and self.keep != "summary":
            raise InvalidOption(
                "In a closed loop tasks come when each policy lets them; only figures are kept: keep summary.",
                "feedback",
            )
        if self.feedback != "open" and self.site:
            raise InvalidOption("By the rules of a site tasks come as recorded: feedback open.", "feedback")
        for name in ("checkpoint_write", "checkpoint_read", "checkpoint_growth"):
            if self.checkpoints == "none" and getattr(self, name) != _DEFAULTS[name]:
                raise InvalidOption(f"{name} has no meaning without checkpoints.", name)


_DEFAULTS = {one.name: one.default for one in msgspec.structs.fields(RunConfiguration)}


@contextmanager
def blaming(option: str) -> Iterator[None]:
    """Refuse what the engine refuses, as a value of this option."""
    try:
        yield
    except engine.EngineError as error:
        raise InvalidOption(str(error), option) from error


RUN_OPTIONS = options_of(RunConfiguration)
"""Options that are stored with the run."""

ASKED_OPTIONS = tuple(option for option in (*RUN_OPTIONS, *options_of(ClusterChanges)) if option.about.asked_in)
"""Options that are asked for when a run starts."""


def asked_in(place: str) -> tuple[Option, ...]:
    """Return the options of a run that `place` asks for."""
    return tuple(option for option in ASKED_OPTIONS if place in option.about.asked_in)


def configured(values: Mapping[str, Any]) -> tuple[RunConfiguration, ClusterChanges]:
    """Divide values that were read one by one between the run and its cluster.

    Raises:
        InvalidOption: values that have no meaning together.
    """
    changes: Any = {name: values[name] for name in ClusterChanges.__struct_fields__ if name in values}
    rest = {name: value for name, value in values.items() if name not in changes}
    return RunConfiguration.of(rest), ClusterChanges(**changes)
