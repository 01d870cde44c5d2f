"""Batsim's workloads (Dutot et al., JSSPP 2016), JSON: jobs with a submission time, hosts, a walltime and a profile.

`{"nb_res": N, "jobs": [{"id", "subtime", "res", "profile", "walltime"}], "profiles": {name: {"type", ...}}}`. What a
job does is its profile: `delay` lasts so long; of `parallel_homogeneous` each host computes `cpu` flop (of
`parallel_homogeneous_total` all together; of `parallel` the busiest counts, and without `cpu` none computes), which
lasts as a host's speed says; `composed` is a sequence of others, repeated. Newer names are `ptask`,
`ptask_homogeneous` and `sequential_composition`, and from 5.0 on those of Batsim's classes, as `DelayProfile`;
`generation_strategy` tells whether an amount is of each host or of all together.
"""

import contextlib
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import Audit, shorten
from scheduler_sim.engine.traces.documents import as_double, begins_object, first_number, read_object, texts
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.workloads.workload import LARGEST_INTEGER, Labels

_OF_ALL = "parallel_homogeneous_total"
_OF_EACH = frozenset(("parallel", "ptask"))
_COMPUTING = frozenset(("parallel_homogeneous", "ptask_homogeneous", _OF_ALL)) | _OF_EACH
_SEQUENCES = ("composed", "sequential_composition")
_OF_CLASS = {
    "DelayProfile": "delay",
    "ParallelTaskProfile": "parallel",
    "ParallelTaskHomogeneousProfile": "parallel_homogeneous",
    "SequentialCompositionProfile": "composed",
}
"""Kinds by the names of their classes, which Batsim's files have from 5.0 on."""


def recognises(head: list[str]) -> bool:
    """Tell an object with jobs that have a submission time, or with a number of resources."""
    return begins_object(head, "subtime", "nb_res")


@reads(
    "batsim",
    description="Batsim's workloads (JSON); --flops for profiles that compute",
    recognises=recognises,
    options=frozenset({"flops"}),
)
def read(source: Source, options: ReadOptions, audit: Audit) -> Reading:
    """Parse a workload; line numbers in the audit are positions in its list of jobs, from 1.

    A walltime is the estimate. A job whose profile is of a kind that has no meaning here, or computes where no speed
    of hosts is given, is dropped and counted with its kind, and so is one that is a part of itself. Communication is
    left out.

    Raises:
        InvalidTrace: no such JSON, no lists of jobs and profiles, or a speed that is not above 0.
    """
    if options.flops is not None and not 0 < options.flops < np.inf:
        raise InvalidTrace(f"--flops is {options.flops:g}, not a number above 0.")
    document = read_object(source)
    jobs, profiles = document.get("jobs"), document.get("profiles")
    if not isinstance(jobs, list) or not isinstance(profiles, dict):
        raise InvalidTrace(f"{source.name} must hold a list of jobs and their profiles by name.")
    audit.read = len(jobs)
    sound = [(place, job) for place, job in enumerate(jobs, 1) if isinstance(job, dict)]
    audit.drop("broken_line", [place for place, job in enumerate(jobs, 1) if not isinstance(job, dict)])
    lengths = _lengths(profiles, options.flops)
    rows, runtimes, unknown, talking = [], [], [], []
    for place, job in sound:
        name, hosts = str(job.get("profile", "")), first_number(job, "res")
        length = lengths.get(name) or _unknown(name)
        if length.unread:
            unknown.append((place, length.unread))
            continue
        rows.append((place, job))
        runtimes.append(length.on(hosts))
        if length.talks:
            talking.append(place)
    for place, kind in unknown:
        audit.drop("unread_profile", [place], [kind])
    audit.notice("communication_left_out", talking)
    walltime = np.array([first_number(job, "walltime") for _, job in rows], np.float64)
    walltime[walltime < 0] = np.nan
    size = first_number(document, "nb_res")
    has_size = 1 <= size <= LARGEST_INTEGER and size.is_integer()
    audit.notice("unreadable_header", [1] if "nb_res" in document and not has_size else [], [f"nb_res {size:g}"])
    return Reading(
        tasks=RawTasks(
            where=np.array([place for place, _ in rows], np.int64),
            arrival_time=np.array([first_number(job, "subtime") for _, job in rows], np.float64),
            runtime=np.array(runtimes, np.float64),
            duration_estimate=walltime,
            cpus=np.array([first_number(job, "res") for _, job in rows], np.float64),
            group=Labels.from_texts([str(job.get("profile", "")) for _, job in rows]),
            user=Labels.from_texts([str(job.get("user", "")) for _, job in rows]),
            external_id=np.array([str(job.get("id", "")) for _, job in rows], object),
        ),
        processors=int(size) if has_size else None,
    )


class _Length(NamedTuple):
    """How long a profile lasts; why that is not known; and whether it would communicate, too.

    Attributes:
        seconds: on any number of hosts, NaN where that is not known.
        shared: seconds that one host would take and several share evenly, which come on top.
    """

    seconds: float
    shared: float = 0.0
    unread: str = ""
    talks: bool = False

    def on(self, hosts: float) -> float:
        """Return the seconds on so many hosts, NaN where there is none to share the work."""
        if self.shared == 0:
            return self.seconds
        return self.seconds + self.shared / hosts if hosts > 0 else np.nan


def _unknown(name: str) -> _Length:
    return _Length(np.nan, unread=f"profile {shorten(name)}")


def _lengths(profiles: dict[str, Any], flops: float | None) -> dict[str, _Length]:
    """Return how long profiles last, each worked out once, after its parts.

    Left out are those that hold themselves, or hold a profile that does.
    """
    order = TopologicalSorter({name: {*_parts(profile)} for name, profile in profiles.items()})
    with contextlib.suppress(CycleError):
        # It still gives all that no cycle is a part of.
        order.prepare()
    found: dict[str, _Length] = {}
    while ready := order.get_ready():
        found.update({name: _length(name, profiles.get(name), found, flops) for name in ready})
        order.done(*ready)
    return found


def _kind(profile: Any) -> str:
    if not isinstance(profile, dict):
        return ""
    kind = str(profile.get("type", ""))
    kind = _OF_CLASS.get(kind, kind)
    is_spread = "spread" in str(profile.get("generation_strategy", "")).casefold()
    return _OF_ALL if is_spread and kind in ("parallel_homogeneous", "ptask_homogeneous") else kind


def _parts(profile: Any) -> list[str]:
    return texts(profile.get("seq")) if _kind(profile) in _SEQUENCES else []


def _length(name: str, profile: Any, known: dict[str, _Length], flops: float | None) -> _Length:
    if not isinstance(profile, dict):
        return _unknown(name)
    kind = _kind(profile)
    if kind == "delay":
        return _Length(first_number(profile, "delay"))
    if kind in _SEQUENCES:
        repeat = first_number(profile, "repeat", "nb")
        times = 1.0 if np.isnan(repeat) else repeat
        parts = [known[part] for part in _parts(profile)]
        return _Length(
            sum(part.seconds for part in parts) * times,
            sum(part.shared for part in parts) * times,
            next((part.unread for part in parts if part.unread), ""),
            any(part.talks for part in parts),
        )
    if kind not in _COMPUTING or flops is None:
        written = shorten(str(profile.get("type", "")))
        return _Length(np.nan, unread=f"type {written}{' without --flops' if kind in _COMPUTING else ''}")
    # Of the host that has most to do; a list of amounts may be left out where there is nothing to compute.
    without = 0 if kind in _OF_EACH else None
    seconds = max(_numbers(profile.get("cpu", without)), default=np.nan) / flops
    talks = sum(_numbers(profile.get("com"))) > 0
    return _Length(0.0, seconds, talks=talks) if kind == _OF_ALL else _Length(seconds, talks=talks)


def _numbers(value: Any) -> list[float]:
    listed = value if isinstance(value, list) else [value]
    return [as_double(one) for one in listed if isinstance(one, int | float) and not isinstance(one, bool)]
