"""What a run may be asked for: each option one annotated line, from which all that asks for it is derived."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

import msgspec

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
from apps.live.play.options import COMMAND, SITE, About
from scheduler_sim.engine.series import PueCurve

_counted = partial(About, metavar="N")
"""Of numbers of something, its `unit`."""

_shared = partial(About, asked_in=(COMMAND, SITE))
"""Of what all runs of a study share, or what its grid goes through: a study names it elsewhere."""

_unscored = partial(About, section=SIMULATED, unit="part of all", metavar="PART", words={0.0: "none"}, said="{:.0%}")
"""Of options that leave arrivals out of the figures."""

_cost = partial(About, section=STOPPED, unit="seconds", metavar="SECONDS", words={0.0: "free"}, said="{:g} s")
"""Of options that say what a checkpoint costs."""

_stored = partial(About, asked_in=())
"""Of what is found out and stored, and nobody asks for."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run: what each is called, may be and does, and who asks for it, stands in its line alone."""

    policies: Annotated[
        tuple[str, ...],
        _shared(
            "Policies",
            "order[+backfill][@placement][~preemption], with commas between them",
            PLAYED,
            metavar="P,P,...",
            check=read_policies,
            rule="a list of names",
        ),
    ]
    seed: Annotated[
        Seed,
        _shared(
            "Seed",
            "of random orders, placements and estimates; the same seed gives the same rows",
            PLAYED,
            metavar="N",
            basic=True,
        ),
    ] = 0
    limit: Annotated[
        Count | None,
        _counted(
            "Tasks played",
            "the first so many tasks by arrival, then number",
            PLAYED,
            unit="tasks",
            basic=True,
            words={None: "all"},
        ),
    ] = None
    site: Annotated[
        SiteText | None,
        _shared(
            "Site",
            "the stored site whose partitions, limits and reservations bind all tasks, in place of a cluster: its name "
            "for the newest version, or NAME@VERSION",
            PLAYED,
            metavar="NAME[@VERSION]",
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
        _shared(
            "Estimates that policies are told",
            "what policies are told of durations: trace, exact, factor:F, uniform:F, tsafrir or predicted:MODEL",
            SIMULATED,
            metavar="KIND",
            basic=True,
            check=read_estimates,
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
        _shared(
            "Arrivals",
            "arrivals so many times as dense as in the workload",
            WHAT_IF,
            metavar="F",
            asked_as="scale_load",
            subject="The load factor",
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
        _counted(
            "Runs again after its limit",
            "with on_limit kill: how often a task that used up its estimate is run again before it is ended",
            STOPPED,
            unit="times",
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
        _counted(
            "Failures that end a task",
            "a task that failed so often is ended",
            STOPPED,
            unit="failures",
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
        _counted(
            "Reservations of conservative backfilling",
            "conservative backfilling reserves for the first so many queued tasks only",
            SIMULATED,
            unit="tasks",
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
        _shared(
            "Pace",
            "slow the race down to so many arrivals a second",
            PACE,
            unit="arrivals a second",
            metavar="TASKS_PER_SECOND",
            words={None: "as fast as it goes"},
            said="{:g} arrivals a second",
        ),
    ] = None
    cores: Annotated[
        Cores | None,
        _shared(
            "Cores",
            "so many policies are played at a time; the rows are the same with any number",
            PACE,
            unit="cores",
            metavar="N",
            words={None: "all that there are"},
        ),
    ] = None
