"""Batsim's workloads (Dutot et al., JSSPP 2016), JSON: jobs with a submission time, hosts, a walltime and a profile.

`{"nb_res": N, "jobs": [{"id", "subtime", "res", "profile", "walltime"}], "profiles": {name: {"type", ...}}}`. What a
job does is its profile: `delay` lasts so long; of `parallel_homogeneous` each host computes `cpu` flop (of
`parallel_homogeneous_total` all together; of `parallel` the busiest counts), which lasts as a host's speed says;
`composed` is a sequence of others, repeated. `ptask`, `ptask_homogeneous` and `sequential_composition` are newer names.
"""

from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import Audit, shorten
from scheduler_sim.engine.traces.documents import as_double, begins_object, first_number, read_object, texts
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.workload import Labels

_DEEPEST = 50
"""Profiles that are made of others go no deeper."""

_OF_EACH = ("parallel_homogeneous", "ptask_homogeneous")
_OF_ALL = ("parallel_homogeneous_total",)
_OF_HOSTS = ("parallel", "ptask")
_SEQUENCES = ("composed", "sequential_composition")


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
    of hosts is given, is dropped and counted with its kind. Communication is left out.

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
    lengths = _Lengths(profiles, options.flops)
    rows, runtimes, unknown, talking = [], [], [], []
    for place, job in sound:
        name, hosts = str(job.get("profile", "")), first_number(job, "res")
        length = lengths.of(name, hosts)
        if length.unread:
            unknown.append((place, length.unread))
            continue
        rows.append((place, job))
        runtimes.append(length.seconds)
        if length.talks:
            talking.append(place)
    for place, kind in unknown:
        audit.drop("unread_profile", [place], [kind])
    audit.notice("communication_left_out", talking)
    walltime = np.array([first_number(job, "walltime") for _, job in rows], np.float64)
    walltime[walltime < 0] = np.nan
    size = first_number(document, "nb_res")
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
        processors=int(size) if size >= 1 and size.is_integer() else None,
    )


class _Length(NamedTuple):
    """How long a profile lasts, NaN where that is not known; why it is not; and whether it would communicate, too."""

    seconds: float
    unread: str = ""
    talks: bool = False


class _Lengths:
    """How long profiles last, each worked out once for each number of hosts: a sequence may name others many times."""

    def __init__(self, profiles: dict[str, Any], flops: float | None) -> None:
        self._profiles, self._flops = profiles, flops
        self._known: dict[tuple[str, float], _Length] = {}

    def of(self, name: str, hosts: float, depth: int = 0) -> _Length:
        """Return how long a profile lasts on so many hosts."""
        key = name, hosts
        if key not in self._known:
            # Until it is known: a sequence that holds itself has no length.
            self._known[key] = _Length(np.nan, f"profile {shorten(name)}")
            if depth <= _DEEPEST:
                self._known[key] = self._worked_out(name, hosts, depth)
        return self._known[key]

    def _worked_out(self, name: str, hosts: float, depth: int) -> _Length:
        profile = self._profiles.get(name)
        if not isinstance(profile, dict):
            return _Length(np.nan, f"profile {shorten(name)}")
        kind = str(profile.get("type", ""))
        if kind == "delay":
            return _Length(first_number(profile, "delay"))
        if kind in _SEQUENCES:
            times = first_number(profile, "repeat", "nb")
            parts = [self.of(part, hosts, depth + 1) for part in texts(profile.get("seq"))]
            return _Length(
                sum(part.seconds for part in parts) * (1.0 if np.isnan(times) else times),
                next((part.unread for part in parts if part.unread), ""),
                any(part.talks for part in parts),
            )
        work = self._work(profile, kind, hosts)
        if work is None or self._flops is None:
            return _Length(np.nan, f"type {shorten(kind)}{'' if work is None else ' without --flops'}")
        return _Length(work / self._flops, talks=sum(_numbers(profile.get("com"))) > 0)

    def _work(self, profile: dict[str, Any], kind: str, hosts: float) -> float | None:
        """Return the flop of the host that has most of them, None for a kind that does not compute."""
        amounts = _numbers(profile.get("cpu"))
        if kind in _OF_EACH or kind in _OF_HOSTS:
            return max(amounts, default=np.nan)
        if kind in _OF_ALL:
            return max(amounts, default=np.nan) / hosts
        return None


def _numbers(value: Any) -> list[float]:
    listed = value if isinstance(value, list) else [value]
    return [as_double(one) for one in listed if isinstance(one, int | float) and not isinstance(one, bool)]
