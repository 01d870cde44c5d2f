"""The options of a run, one line each, and the document that is stored with it and can play it again."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, Self

import msgspec

from apps.live.play.kinds import (
    Count,
    Depth,
    EstimatesText,
    Factor,
    Part,
    Seed,
    Weight,
    read_changes,
    read_estimates,
    read_model,
    read_policies,
    read_weights,
)
from apps.live.play.options import COMMAND, SITE, About, InvalidOption, Option, options_of, unknown_option
from apps.training.registry import models_in_use, resolve_policy
from scheduler_sim import engine
from scheduler_sim.engine.generators import GENERATORS
from scheduler_sim.engine.metrics import check_scored_part
from scheduler_sim.engine.policies.agent import RewardWeights
from scheduler_sim.engine.whatif import add_nodes, drop_nodes

PLAYED, SIMULATED, WHAT_IF, PACE, ENDLESS = (
    "what is played",
    "how it is simulated",
    "what if",
    "how fast",
    "a race without end",
)

ALWAYS_STORED = frozenset(
    (
        "policies", "seed", "limit", "on_oversize", "estimates", "load_factor", "split_model", "kill_at_estimate",
        "conservative_depth", "warmup", "cooldown", "keep", "agent_reward", "agent_from_scratch", "models",
    )
)  # fmt: skip
"""Fields that every stored document holds. The others are stored where they are not at their default, so that a run
without them has the document, and a study's run the digest, that it had before they were there."""


class RunConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything beside the tasks and the cluster that decides what a run computes, and how fast it goes.

    Each field is an option: what it is called, may be and does, and who asks for it, stands in its line alone.
    """

    policies: Annotated[
        tuple[str, ...],
        About(
            "Policies",
            "order[+backfill][@placement], with commas between them",
            PLAYED,
            metavar="P,P,...",
            asked_in=(COMMAND, SITE),
            check=read_policies,
            rule="a list of names",
        ),
    ]
    seed: Annotated[
        Seed,
        About(
            "Seed",
            "of random orders, placements and estimates; the same seed gives the same rows",
            PLAYED,
            metavar="N",
            asked_in=(COMMAND, SITE),
            basic=True,
        ),
    ] = 0
    limit: Annotated[
        Count | None,
        About(
            "Tasks played",
            "the first so many tasks by arrival, then number",
            PLAYED,
            unit="tasks",
            metavar="N",
            basic=True,
            words={None: "all"},
        ),
    ] = None
    on_oversize: Annotated[
        Literal["fail", "drop", "clamp"],
        About(
            "Tasks that can never fit",
            "what becomes of tasks larger than the cluster",
            SIMULATED,
            basic=True,
            words={"fail": "refuse the run", "drop": "left out", "clamp": "cut to the cluster"},
        ),
    ] = "fail"
    estimates: Annotated[
        EstimatesText,
        About(
            "Estimates that policies are told",
            "what policies are told of durations: trace, exact, factor:F, uniform:F or predicted:MODEL",
            SIMULATED,
            metavar="KIND",
            basic=True,
            check=read_estimates,
            asked_in=(COMMAND, SITE),
            rule="trace, exact, factor:F, uniform:F or predicted:MODEL",
            words={"trace": "as the workload states them", "exact": "the true run times"},
            suggestions={
                "trace": "as the workload states them",
                "exact": "the true run times",
                "factor:2": "twice the true run times",
                "uniform:5": "one to five times the true run times, drawn at random",
            },
        ),
    ] = "trace"
    load_factor: Annotated[
        Factor,
        About(
            "Arrivals",
            "arrivals so many times as dense as in the workload",
            WHAT_IF,
            metavar="F",
            asked_as="scale_load",
            subject="The load factor",
            asked_in=(COMMAND, SITE),
            words={1.0: "as in the workload"},
            said="{:g} times as dense as in the workload",
        ),
    ] = 1.0
    split_model: Annotated[
        Literal["concurrent", "sequential"],
        About(
            "The two sides of a split task run",
            "how the two sides of tasks split between CPU and GPU run",
            SIMULATED,
            basic=True,
            words={"concurrent": "at the same time", "sequential": "one after the other"},
        ),
    ] = "concurrent"
    kill_at_estimate: Annotated[
        bool,
        About(
            "Tasks end when their estimate is used up",
            "end tasks whose estimate is used up, as batch systems do at a time limit",
            SIMULATED,
        ),
    ] = False
    conservative_depth: Annotated[
        Depth | None,
        About(
            "Reservations of conservative backfilling",
            "conservative backfilling reserves for the first so many queued tasks only",
            SIMULATED,
            unit="tasks",
            metavar="N",
            words={None: "for every queued task"},
        ),
    ] = None
    warmup: Annotated[
        Part,
        About(
            "First arrivals not scored",
            "part of the arrivals at the beginning that is played and not scored",
            SIMULATED,
            unit="part of all",
            metavar="PART",
            words={0.0: "none"},
            said="{:.0%}",
        ),
    ] = 0.0
    cooldown: Annotated[
        Part,
        About(
            "Last arrivals not scored",
            "part of the arrivals at the end that is played and not scored",
            SIMULATED,
            unit="part of all",
            metavar="PART",
            words={0.0: "none"},
            said="{:.0%}",
        ),
    ] = 0.0
    keep: Annotated[
        Literal["results", "summary"],
        About(
            "Stored",
            "store every placement, or only the figures",
            SIMULATED,
            basic=True,
            words={"results": "every placement", "summary": "the figures only"},
        ),
    ] = "results"
    agent_reward: Annotated[
        tuple[Weight, Weight, Weight] | None,
        About(
            "The agent minimises",
            "weights of time, energy and cost in what rl_agent minimises, as 1,0.5,0",
            SIMULATED,
            metavar="T,E,C",
            check=read_weights,
            words={None: "what the stored agent does, or time alone"},
        ),
    ] = None
    agent_from_scratch: Annotated[
        bool,
        About(
            "The agent begins without its stored table",
            "begin rl_agent without its stored table: it learns within this run alone",
            SIMULATED,
        ),
    ] = False
    models: Annotated[
        Mapping[str, int],
        About(
            "Stored models in use",
            "versions of the stored models that policies and estimates stand for, by name",
            asked_in=(),
        ),
    ] = msgspec.field(default_factory=dict)
    rate: Annotated[
        Factor | None,
        About(
            "Pace",
            "slow the race down to so many arrivals a second",
            PACE,
            unit="arrivals a second",
            metavar="TASKS_PER_SECOND",
            asked_in=(COMMAND, SITE),
            words={None: "as fast as it goes"},
            said="{:g} arrivals a second",
        ),
    ] = None

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
        defaults = {one.name: one.default for one in msgspec.structs.fields(self)}
        return {
            name: value for name, value in document.items() if name in ALWAYS_STORED or values[name] != defaults[name]
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
        """Return the configuration with the model versions that are active now."""
        models = models_in_use(self.policies, self.estimates, agent_from_scratch=self.agent_from_scratch)
        return msgspec.structs.replace(self, models=models)

    def engine_options(self) -> engine.Options:
        """Return the choices that the kernels take: the engine's options have the names of ours.

        What a run cannot ask for has the engine's default.
        """
        ours = [one.name for one in fields(engine.Options) if hasattr(self, one.name)]
        return engine.Options(**{name: getattr(self, name) for name in ours})

    def _check_together(self) -> None:
        try:
            check_scored_part(self.warmup, self.cooldown)
        except engine.EngineError as error:
            raise InvalidOption(str(error), "cooldown") from error


class ClusterChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a run changes of the cluster that it names; the changed cluster is stored, not the changes."""

    add_nodes: Annotated[
        str | None,
        About(
            "More nodes",
            "N nodes more in a group, as GROUP=N; of a pool, whose group is called processors, N processors more",
            WHAT_IF,
            metavar="GROUP=N",
            asked_in=(COMMAND, SITE),
            check=read_changes,
            words={None: "none"},
            rule="GROUP=N, several with commas between them",
        ),
    ] = None
    drop_nodes: Annotated[
        str | None,
        About(
            "Fewer nodes",
            "N nodes fewer in a group, as GROUP=N; of a pool N processors fewer",
            WHAT_IF,
            metavar="GROUP=N",
            asked_in=(COMMAND, SITE),
            check=read_changes,
            words={None: "none"},
            rule="GROUP=N, several with commas between them",
        ),
    ] = None

    def apply(self, cluster: engine.Cluster) -> engine.Cluster:
        """Return the changed cluster.

        Raises:
            InvalidCluster: a group that it does not have, or more nodes fewer than there are.
        """
        return self.shrunk(self.grown(cluster))

    def grown(self, cluster: engine.Cluster) -> engine.Cluster:
        """Return the cluster with what is added."""
        return add_nodes(cluster, self.add_nodes) if self.add_nodes else cluster

    def shrunk(self, cluster: engine.Cluster) -> engine.Cluster:
        """Return the cluster without what is dropped."""
        return drop_nodes(cluster, self.drop_nodes) if self.drop_nodes else cluster


class RaceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a race without end has beside the options of its rounds."""

    model: Annotated[
        str,
        About(
            "Generator",
            "of the tasks",
            ENDLESS,
            metavar="MODEL",
            asked_in=(COMMAND,),
            check=read_model,
            rule=f"one of {', '.join(sorted(GENERATORS))}",
        ),
    ] = "mixed"
    round_tasks: Annotated[
        Count,
        About("Tasks in a round", "tasks in a round", ENDLESS, "tasks", "N", asked_in=(COMMAND,)),
    ] = 1000
    retrain_interval: Annotated[
        Seed,
        About(
            "Retraining",
            "fit hybrid_ml anew in the background after N labelled tasks; needs the policy oracle (0: never)",
            ENDLESS,
            "tasks",
            "N",
            asked_in=(COMMAND,),
        ),
    ] = 0
    retrain_window: Annotated[
        Count,
        About(
            "Rows fitted to",
            "the newest N rows that it is fitted to; rounds stay as long as some of their rows may be among them",
            ENDLESS,
            "rows",
            "N",
            asked_in=(COMMAND,),
        ),
    ] = 20_000


RUN_OPTIONS = options_of(RunConfiguration)
"""Options that are stored with the run."""

ASKED_OPTIONS = tuple(option for option in (*RUN_OPTIONS, *options_of(ClusterChanges)) if option.about.asked_in)
"""Options that are asked for when a run starts."""

RACE_OPTIONS = options_of(RaceOptions)


def asked_in(place: str) -> tuple[Option, ...]:
    """Return the options of a run that `place` asks for."""
    return tuple(option for option in ASKED_OPTIONS if place in option.about.asked_in)


def configured(values: Mapping[str, Any]) -> tuple[RunConfiguration, ClusterChanges]:
    """Divide values that were read one by one between the run and its cluster.

    Raises:
        InvalidOption: values that have no meaning together.
    """
    changes = {name: values[name] for name in ClusterChanges.__struct_fields__ if name in values}
    rest = {name: value for name, value in values.items() if name not in changes}
    return RunConfiguration.of(rest), ClusterChanges(**changes)
