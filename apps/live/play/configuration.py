"""The options of a run, one line each, and the document that is stored with it and can play it again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from typing import Annotated, Any, Literal, Self

import msgspec

from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.kinds import (
    CHECKPOINTS_RULE,
    ELECTRICITY,
    OVERHEAD_RULE,
    PACE,
    PLAYED,
    SIMULATED,
    STOPPED,
    WHAT_IF,
    CheckpointsText,
    Cores,
    Count,
    Depth,
    EstimatesText,
    Factor,
    Growth,
    ListText,
    OverheadText,
    Part,
    PueCurveText,
    Seconds,
    Seed,
    SeriesText,
    SeriesZeroText,
    SiteText,
    Times,
    Weight,
    read_checkpoints,
    read_estimates,
    read_failure_list,
    read_overhead,
    read_policies,
    read_pue_curve,
    read_series_zero,
    read_weights,
)
from apps.live.play.options import COMMAND, SITE, About, InvalidOption, Option, options_of, unknown_option
from apps.tasks.series_services import series_references
from apps.training.registry import models_in_use, resolve_policy
from scheduler_sim import engine
from scheduler_sim.engine.clusters.failures import check_nodes, parse_failures
from scheduler_sim.engine.clusters.overheads import CHECKPOINT_RULES, Checkpoints, Overhead
from scheduler_sim.engine.measuring.metrics import check_scored_part
from scheduler_sim.engine.policies.agent import RewardWeights
from scheduler_sim.engine.policies.own import own_digests
from scheduler_sim.engine.series import PueCurve
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


_unscored = partial(About, section=SIMULATED, unit="part of all", metavar="PART", words={0.0: "none"}, said="{:.0%}")
"""Of options that leave arrivals out of the figures."""

_cost = partial(About, section=STOPPED, unit="seconds", metavar="SECONDS", words={0.0: "free"}, said="{:g} s")
"""Of options that say what a checkpoint costs."""

_stored = partial(About, asked_in=())
"""Of what is found out and stored, and nobody asks for."""


class RunConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything beside the tasks and the cluster that decides what a run computes, and how fast it goes.

    Each field is an option: what it is called, may be and does, and who asks for it, stands in its line alone.
    """

    policies: Annotated[
        tuple[str, ...],
        About(
            "Policies",
            "order[+backfill][@placement][~preemption], with commas between them",
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
    site: Annotated[
        SiteText | None,
        About(
            "Site",
            "the stored site whose partitions, limits and reservations bind all tasks, in place of a cluster: its name "
            "for the newest version, or NAME@VERSION",
            PLAYED,
            metavar="NAME[@VERSION]",
            asked_in=(COMMAND, SITE),
            basic=True,
            words={None: "none, a cluster without rules"},
        ),
    ] = None
    begin_time: Annotated[
        Seconds | None,
        About(
            "Where the replay begins",
            "seconds on the workload's clock: what had ended by then is left out, and what waited then arrives then",
            PLAYED,
            unit="seconds",
            metavar="SECONDS",
            words={None: "with the first submission"},
            said="at {:g} s",
        ),
    ] = None
    already_running: Annotated[
        Literal["hold", "queue"],
        About(
            "Tasks that ran already",
            "tasks that the trace says ran when the replay begins: they hold nodes from their recorded start, before "
            "anything else, or wait as any other",
            PLAYED,
            words={"hold": "hold nodes from their recorded start", "queue": "wait as any other"},
        ),
    ] = "hold"
    feedback: Annotated[
        Literal["open", "trace", "users"],
        About(
            "Who waits for results",
            "open: tasks come when they were recorded; trace: after those they follow, by the workload's think times; "
            "users: after those that sessions of their users show",
            PLAYED,
            words={
                "open": "nobody: tasks come when they were recorded",
                "trace": "users, as the workload says",
                "users": "users, as their sessions show",
            },
        ),
    ] = "open"
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
            "what policies are told of durations: trace, exact, factor:F, uniform:F, tsafrir or predicted:MODEL",
            SIMULATED,
            metavar="KIND",
            basic=True,
            check=read_estimates,
            asked_in=(COMMAND, SITE),
            rule="trace, exact, factor:F, uniform:F, tsafrir, tsafrir:S or predicted:MODEL",
            words={"trace": "as the workload states them", "exact": "the true run times"},
            suggestions={
                "trace": "as the workload states them",
                "exact": "the true run times",
                "factor:2": "twice the true run times",
                "uniform:5": "one to five times the true run times, drawn at random",
                "tsafrir": "few round values, as users state them",
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
            "When its estimate is used up",
            "whether a task whose estimate is used up runs on, or is ended as batch systems do at a time limit",
            STOPPED,
            asked_as="on_limit",
            also=("kill_at_estimate",),
            spelled={"run": False, "kill": True},
            words={"run": "a task runs on", "kill": "a task is ended"},
        ),
    ] = False
    max_requeues: Annotated[
        Times,
        About(
            "Runs again after its limit",
            "with on_limit kill: how often a task that used up its estimate is run again before it is ended",
            STOPPED,
            unit="times",
            metavar="N",
            words={0: "never"},
        ),
    ] = 0
    requeue_at: Annotated[
        Literal["old", "end"],
        About(
            "An interrupted task waits",
            "where a task that failed, or is run again after its limit, waits: at its old place, or as if it had "
            "arrived anew",
            STOPPED,
            words={"old": "at its old place", "end": "as if it had arrived anew"},
        ),
    ] = "old"
    max_failures: Annotated[
        Count | None,
        About(
            "Failures that end a task",
            "a task that failed so often is ended",
            STOPPED,
            unit="failures",
            metavar="N",
            words={None: "no number"},
        ),
    ] = None
    restart_overhead: Annotated[
        OverheadText,
        About(
            "Overhead of a restart",
            "seconds that each start after the first holds devices without progress; by GPUs held, processors where "
            "none, as 1:7/8:30/60; a policy's own parameter goes before",
            STOPPED,
            unit="seconds",
            metavar="SECONDS",
            check=read_overhead,
            rule=OVERHEAD_RULE,
            words={"0": "none"},
            said="{} s",
        ),
    ] = "0"
    checkpoints: Annotated[
        CheckpointsText,
        About(
            "Checkpoints",
            "seconds of work after which a task writes one; young and daly take the interval from the mean time "
            "between failures of one node and the cost of writing",
            STOPPED,
            unit="seconds",
            metavar="SECONDS|young|daly",
            check=read_checkpoints,
            rule=CHECKPOINTS_RULE,
            words={"none": "none", "young": "as often as Young (1974) says", "daly": "as often as Daly (2006) says"},
            said="every {} s of work",
        ),
    ] = "none"
    checkpoint_write: Annotated[
        Seconds,
        _cost("Writing a checkpoint", "seconds that writing one takes"),
    ] = 0.0
    checkpoint_read: Annotated[
        Seconds,
        _cost("Going on from a checkpoint", "seconds that going on from one takes at each start"),
    ] = 0.0
    checkpoint_growth: Annotated[
        Growth,
        About(
            "Growth of the interval",
            "each interval of an attempt is so many times the one before",
            STOPPED,
            "times",
            "F",
            words={1.0: "none"},
            said="{:g} times",
        ),
    ] = 1.0
    failure_list: Annotated[
        ListText,
        About(
            "Listed failures",
            "csv with the columns time, duration (seconds), and node or share of all nodes; stored with the run",
            STOPPED,
            metavar="FILE",
            is_file=True,
            check=read_failure_list,
            rule="a csv text of at most 1,000,000 characters",
            words={"": "none"},
        ),
    ] = ""
    series: Annotated[
        SeriesText,
        About(
            "Series",
            "stored series of carbon intensity, price, pue, temperature and power cap, one of a kind, with commas "
            "between them; of other kinds, those that the cluster names",
            ELECTRICITY,
            metavar="NAME[,NAME...]",
            words={"": "none"},
            said=lambda names: names.replace(",", ", "),
        ),
    ] = ""
    series_zero: Annotated[
        SeriesZeroText,
        About(
            "When the workload's clock begins in the series",
            "a date and a time, UTC where no zone is named, or begin for the beginning of each series; what the "
            "workload's file says where not given",
            ELECTRICITY,
            metavar="DATETIME|begin",
            check=read_series_zero,
            rule="a date and a time, such as 2022-01-01T00:00:00, or begin",
            words={"": "as the workload's file says", "begin": "at the beginning of each series"},
        ),
    ] = ""
    series_beyond: Annotated[
        Literal["refuse", "hold", "repeat"],
        About(
            "Beyond a series",
            "what holds where a series is shorter than the run: refuse it, hold its first and last value, or repeat it",
            ELECTRICITY,
            words={"refuse": "refused", "hold": "the first and the last value hold", "repeat": "it is repeated"},
        ),
    ] = "refuse"
    pue_by_temperature: Annotated[
        PueCurveText,
        About(
            "PUE by temperature",
            "what the PUE is by a series of temperature: degrees Celsius:PUE, linear between points and level beyond",
            ELECTRICITY,
            metavar="C:PUE/C:PUE...",
            check=read_pue_curve,
            rule="degrees Celsius:PUE, several with / between them, such as 10:1.1/25:1.3/35:1.5",
            words={"": "as the cluster says"},
            said=lambda curve: PueCurve.read(curve).in_words(),
        ),
    ] = ""
    hold_cap: Annotated[
        bool,
        About(
            "Hold the power cap",
            "no task starts that would make the devices draw more than the series of the power cap allows; else what "
            "is drawn beyond it is only counted",
            ELECTRICITY,
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
        _unscored("First arrivals not scored", "part of the arrivals at the beginning that is played and not scored"),
    ] = 0.0
    cooldown: Annotated[
        Part,
        _unscored("Last arrivals not scored", "part of the arrivals at the end that is played and not scored"),
    ] = 0.0
    keep: Annotated[
        Literal["results", "summary", "parquet"],
        About(
            "Stored",
            "store every placement, in the database or in Parquet files, or only the figures",
            SIMULATED,
            basic=True,
            words={
                "results": "every placement",
                "summary": "the figures only",
                "parquet": "every placement, in files",
            },
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
        _stored(
            "Stored models in use",
            "versions of the stored models that policies and estimates stand for, by name",
            said="{} v{}",
        ),
    ] = msgspec.field(default_factory=dict)
    own_policies: Annotated[
        Mapping[str, str] | None,
        _stored(
            "Policies of one's own",
            "the SHA-256 of the files or programs that policies of one's own come from, by name",
            said="{} {:.16}",
        ),
    ] = None
    site_changes: Annotated[
        Mapping[str, str] | None,
        _stored(
            "Changes of the site",
            "what is changed of the site's version, by the names of the options that ask for it",
            said="{} {}",
        ),
    ] = None
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
    cores: Annotated[
        Cores | None,
        About(
            "Cores",
            "so many policies are played at a time; the rows are the same with any number",
            PACE,
            unit="cores",
            metavar="N",
            asked_in=(COMMAND, SITE),
            words={None: "all that there are"},
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
