"""Slurm's settings, as slurm.conf states and `scontrol show config` prints them, in the words of a site."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from scheduler_sim.engine.sites import values
from scheduler_sim.engine.sites.reading import Draft, Place
from scheduler_sim.engine.sites.site import Site


def _microseconds(text: str) -> float:
    return int(text) / 1e6


def _or_none(text: str) -> int | None:
    return int(text) or None


def _above_0(text: str) -> float:
    if not float(text) > 0:
        raise ValueError(text)
    return float(text)


PARAMETERS: Mapping[str, tuple[str, values.Reader]] = {
    "sched_interval": ("main_interval_time", float),
    "sched_min_interval": ("main_least_interval_time", _microseconds),
    "batch_sched_delay": ("submission_delay_time", float),
    "default_queue_depth": ("main_depth", int),
    "bf_interval": ("backfill_interval_time", float),
    "bf_window": ("backfill_window_time", values.minutes),
    "bf_resolution": ("backfill_resolution_time", float),
    "bf_max_job_test": ("backfill_depth", int),
    **values.each(
        _or_none,
        bf_max_job_user="backfill_depth_per_user",
        bf_max_job_part="backfill_depth_per_partition",
        bf_max_job_assoc="backfill_depth_per_account",
        bf_max_job_start="backfill_starts",
        bf_min_prio_reserve="backfill_least_priority_reserved",
    ),
    "bf_max_time": ("backfill_longest_time", float),
    "requeue_delay": ("requeue_delay_time", float),
}
"""SchedulerParameters with a value."""

SWITCHES = {
    "bf_continue": "backfill_continues",
    "kill_invalid_depend": "kill_invalid_dependency",
    "preempt_youngest_first": "preempts_youngest_first",
}
"""SchedulerParameters without one."""

UNRELATED = re.compile(
    "(accountingstor|acct|allowspec|auth|batchstart|bcast|boot|burstbuffer|cgroup|cli|comm|core|cpufreq|cred|crypto|data"
    "|debug|disableroot|eio|energy|enforcepart|epilog|ext|federation|firstjob|getenv|gpufreq|gres|group|hash|health"
    "|inactive|interactive|interconnect|job_?submit|jobacct|jobcomp|jobcontainer|jobcred|jobfile|keepalive|launch|log|mail"
    "|maxarray|maxbatch|maxdbd|maxjob|maxnode|maxstep|maxtasks|mcs|message|minjobage|mpi|multiple|next|nodefeatures|plug"
    "|prep|preserve|privatedata|proctrack|prolog|prop|reboot|resv|resume|return|route|salloc|scheduler|scron|selectjobs"
    "|sitefactor|slurm|sprio|srun|state|suspend|switch|task|tcp|tmp|track|tree|unkill|usepam|version|virtual|vsize|wait|x11"
    ").*"
)
"""Settings, in lower case, that decide nothing of who starts when."""

PRIORITY: Mapping[str, tuple[str, values.Reader]] = {
    **values.each(int, PriorityWeightAge="age_weight", PriorityWeightFairshare="fair_share_weight"),
    **values.each(int, PriorityWeightJobSize="job_size_weight", PriorityWeightPartition="partition_weight"),
    **values.each(int, PriorityWeightQOS="qos_weight", PriorityWeightAssoc="association_weight"),
    "PriorityWeightTRES": ("resource_weights", values.resources),
    "PriorityMaxAge": ("max_age_time", values.minutes),
    "PriorityFavorSmall": ("favor_small", values.yes),
    "PriorityDecayHalfLife": ("decay_half_life_time", values.minutes),
    "PriorityCalcPeriod": ("calculation_period_time", values.minutes),
    "FairShareDampeningFactor": ("damping", _above_0),
    "PriorityFlags": ("flags", values.words),
}

SCHEDULING: Mapping[str, tuple[str, values.Reader]] = {
    "OverTimeLimit": ("over_limit_time", values.minutes),
    "KillWait": ("kill_wait_time", values.seconds),
    "JobRequeue": ("requeues_jobs", values.yes),
}

_LOWER_PRIORITY = {name.lower(): entry for name, entry in PRIORITY.items()}
_LOWER_SCHEDULING = {name.lower(): entry for name, entry in SCHEDULING.items()}

CHOICES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "schedulertype": ("scheduling.backfill", {"sched/backfill": True, "sched/builtin": False}),
    "prioritytype": ("priority.kind", {"priority/basic": "basic", "priority/multifactor": "multifactor"}),
    "preempttype": (
        "preemption.kind",
        {"preempt/none": "none", "preempt/partition_prio": "partition", "preempt/qos": "qos"},
    ),
    "selecttype": (
        "placement",
        {"select/linear": "nodes", "select/cons_res": "cores", "select/cons_tres": "cores"},
    ),
}
"""Settings that choose one of several ways."""


def preempt_mode(text: str) -> str | None:
    """Return what happens to jobs that give way; GANG beside another mode says how they take turns.

    Raises:
        ValueError: an unknown word.
    """
    modes = [word for word in values.words(text.lower()) if word not in ("within", "cluster")]
    known = [mode for mode in modes if mode in ("off", "cancel", "requeue", "suspend", "gang")]
    if len(known) < len(modes):
        raise ValueError(text)
    return next((mode for mode in known if mode != "gang"), known[0] if known else None)


def _memory(text: str) -> float | None:
    return values.memory(text) or None


MEMORY: Mapping[str, tuple[str, values.Reader]] = values.each(
    _memory,
    defmempercpu="default_memory_mb_per_core",
    defmempernode="default_memory_mb_per_node",
    maxmempercpu="max_memory_mb_per_core",
    maxmempernode="max_memory_mb_per_node",
)
"""Memory of jobs, of the site and of each partition; 0 states none."""


@dataclass(frozen=True)
class Override:
    """A setting that a policy may change.

    Attributes:
        name: Slurm's.
        where: the part of a site that it sets, as `scheduling.main_depth`.
        expected: what its value must be.
        read: returns the text as it was given; raises ValueError for what is not `expected`.
    """

    name: str
    where: str
    expected: str
    read: Callable[[str], str]
    value: Callable[[str], Any]


def _override(name: str, where: str, reader: Callable[[str], Any], expected: str) -> Override:
    def read(text: str) -> str:
        value = reader(text)
        if isinstance(value, int | float) and not value >= 0:
            raise ValueError(text)
        return text

    return Override(name, where, expected, read, reader)


def _word(text: str) -> str:
    if text not in ("basic", "multifactor"):
        raise ValueError(text)
    return text


_EXPECTED: Mapping[Any, str] = {
    int: "a whole number from 0 up",
    float: "a number from 0 up",
    values.yes: "yes or no",
    values.minutes: "minutes, or days-hours:minutes:seconds",
    values.seconds: "seconds",
}

OVERRIDES: Mapping[str, Override] = {
    one.name: one
    for one in (
        *(
            _override(name, f"scheduling.{where}", reader, _EXPECTED.get(reader, "a number from 0 up"))
            for name, (where, reader) in PARAMETERS.items()
        ),
        *(_override(name, f"scheduling.{where}", values.yes, "yes or no") for name, where in SWITCHES.items()),
        *(
            _override(name, f"priority.{where}", reader, _EXPECTED.get(reader, "a value as in slurm.conf"))
            for name, (where, reader) in PRIORITY.items()
        ),
        _override("PriorityType", "priority.kind", _word, "basic or multifactor"),
        *(
            _override(name, f"scheduling.{where}", reader, _EXPECTED.get(reader, "a number from 0 up"))
            for name, (where, reader) in SCHEDULING.items()
        ),
    )
}
"""Settings by Slurm's names that `slurm(name=value,...)` may change."""


def overridden(site: Site, texts: Mapping[str, str]) -> Site:
    """Return a site with settings as `texts` says, by names of `OVERRIDES`; a value that states none leaves them."""
    for name, text in texts.items():
        room, _, field = OVERRIDES[name].where.partition(".")
        value = OVERRIDES[name].value(text)
        kept = value is None and not name.startswith("bf_max")
        if not kept:
            part = msgspec.structs.replace(getattr(site, room), **{field: value})
            site = msgspec.structs.replace(site, **{room: part})
        if name == "PriorityFlags":
            way = "classic" if "no_fair_tree" in text.lower() else "fair_tree"
            site = msgspec.structs.replace(site, priority=msgspec.structs.replace(site.priority, fair_share=way))
    return site


def apply(draft: Draft, place: Place, key: str, text: str) -> None:
    """Take one setting into the site; one that could matter and has no effect here gets a note."""
    name = key.lower()
    if name not in CHOICES and (text.lower() in ("(null)", "none", "n/a") or text.lower().endswith("/none")):
        return
    if name == "clustername":
        draft.name = text
    elif name == "schedulerparameters":
        _parameters(draft, place, text)
    elif name in CHOICES:
        where, choices = CHOICES[name]
        if text.lower() in choices:
            _set(draft, where, choices[text.lower()])
        else:
            place.note(f"{key}={text}", "has no effect here")
    elif name in _LOWER_PRIORITY:
        _set(draft, f"priority.{_LOWER_PRIORITY[name][0]}", place.read(key, text, _LOWER_PRIORITY[name][1]))
    elif name in _LOWER_SCHEDULING:
        _set(draft, f"scheduling.{_LOWER_SCHEDULING[name][0]}", place.read(key, text, _LOWER_SCHEDULING[name][1]))
    elif name == "preemptmode":
        _set(draft, "preemption.mode", place.read(key, text, preempt_mode))
    elif name == "preemptexempttime":
        _set(draft, "preemption.exempt_time", place.read(key, text, values.minutes))
    elif name == "selecttypeparameters":
        _set(draft, "is_memory_shared_out", "memory" in text.lower())
    elif name == "accountingstorageenforce":
        _set(draft, "enforces", list(values.words(text.lower())))
    elif name in MEMORY:
        _set(draft, MEMORY[name][0], place.read(key, text, MEMORY[name][1]))
    elif not UNRELATED.fullmatch(name):
        place.note(f"{key}={text}", "has no effect here")
    if name == "priorityflags":
        _set(draft, "priority.fair_share", "classic" if "no_fair_tree" in text.lower() else "fair_tree")


def _parameters(draft: Draft, place: Place, text: str) -> None:
    for word in values.words(text):
        name, _, value = word.partition("=")
        if name == "bf_interval" and value == "-1":
            _set(draft, "scheduling.backfill", False)
        elif name in PARAMETERS:
            option, reader = PARAMETERS[name]
            _set(draft, f"scheduling.{option}", place.read(name, value, reader))
        elif name in SWITCHES:
            _set(draft, f"scheduling.{SWITCHES[name]}", True)
        else:
            _set(draft, "scheduling.others", [*draft.settings.get("scheduling", {}).get("others", ()), word])
            place.note(word, "has no effect here")


def _set(draft: Draft, where: str, value: Any) -> None:
    if value is None:
        return
    *rooms, name = where.split(".")
    room = draft.settings
    for part in rooms:
        room = room.setdefault(part, {})
    room[name] = value
