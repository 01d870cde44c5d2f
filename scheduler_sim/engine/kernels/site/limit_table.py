"""The limits of a site as counters, and which of them bind each entry."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from scheduler_sim.engine.clusters.demand import KIB_PER_MB
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.kernels.site.asks import Asks
from scheduler_sim.engine.kernels.site.people import ancestry
from scheduler_sim.engine.kernels.site.reasons import CODES
from scheduler_sim.engine.kernels.site.state import COUNTED, CPU, GPU, MEMORY, METERED, NODE, WALL
from scheduler_sim.engine.sites import Account, Limits, Site
from scheduler_sim.engine.units import SECONDS_PER_MINUTE
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

UNLIMITED = 2**62

RESOURCES = {"cpu": CPU, "node": NODE, "mem": MEMORY, "gres/gpu": GPU}
UNITS = {CPU: MILLI, NODE: 1, MEMORY: KIB_PER_MB, GPU: 1}
"""What limits name, and how much one of it counts."""

_METERED = {**RESOURCES, "wall": WALL}
"""What limits on use name; `wall` is how long all together may have run."""

_WORDS = {
    "qos": ("QOSGrpJobsLimit", "QOSGrpCpuLimit", "QOSGrpNodeLimit", "QOSGrpMemLimit", "QOSGrpGRES"),
    "qos job": ("None", "QOSMaxCpuPerJobLimit", "QOSMaxNodePerJobLimit", "QOSMaxMemoryPerJob", "QOSMaxGRESPerJob"),
    "qos account": (
        "MaxJobsPerAccount", "MaxCpuPerAccount", "MaxNodePerAccount", "MaxMemoryPerAccount", "MaxGRESPerAccount",
    ),
    "qos user": (
        "QOSMaxJobsPerUserLimit", "QOSMaxCpuPerUserLimit", "QOSMaxNodePerUserLimit", "QOSMaxMemoryPerUser",
        "QOSMaxGRESPerUser",
    ),
    "account": ("AssocGrpJobsLimit", "AssocGrpCpuLimit", "AssocGrpNodeLimit", "AssocGrpMemLimit", "AssocGrpGRES"),
    "account job": (
        "None", "AssocMaxCpuPerJobLimit", "AssocMaxNodePerJobLimit", "AssocMaxMemPerJob", "AssocMaxGRESPerJob",
    ),
    "own": ("AssocMaxJobsLimit", "None", "None", "None", "None"),
}  # fmt: skip
"""Why a task waits whose counter is full: for its jobs, and for each resource."""

_REFUSED = {
    "qos": "QOSGrpSubmitJobsLimit",
    "qos account": "MaxSubmitJobsPerAccount",
    "qos user": "QOSMaxSubmitJobPerUserLimit",
    "account": "AssocGrpSubmitJobsLimit",
    "own": "AssocMaxSubmitJobLimit",
}
"""Why a task is refused when it comes, since as many have come and not ended as may."""

_USED = {
    "qos": (
        "QOSGrpCPUMinutesLimit", "QOSGrpNodeMinutes", "QOSGrpMemoryMinutes", "QOSGrpGRESMinutes", "QOSGrpWallLimit",
    ),
    "account": (
        "AssocGrpCPUMinutesLimit", "AssocGrpNodeMinutes", "AssocGrpMemMinutes", "AssocGrpGRESMinutes",
        "AssocGrpWallLimit",
    ),
}  # fmt: skip
"""Why a task waits since as much has been used as may, or, where that is asked for, might be."""

_AHEAD = {
    "qos": (
        "QOSGrpCPURunMinutesLimit", "QOSGrpNodeRunMinutes", "QOSGrpMemoryRunMinutes", "QOSGrpGRESRunMinutes",
    ),
    "account": (
        "AssocGrpCPURunMinutesLimit", "AssocGrpNodeRunMinutes", "AssocGrpMemRunMinutes", "AssocGrpGRESRunMinutes",
    ),
    "qos job": (
        "QOSMaxCpuMinutesPerJobLimit", "QOSMaxNodeMinutesPerJob", "QOSMaxMemoryMinutesPerJob",
        "QOSMaxGRESMinutesPerJob",
    ),
    "account job": (
        "AssocMaxCpuMinutesPerJobLimit", "AssocMaxNodeMinutesPerJob", "AssocMaxMemMinutesPerJob",
        "AssocMaxGRESMinutesPerJob",
    ),
}  # fmt: skip
"""Why a task waits since it, and what runs, might use more yet than may be."""

JOBS_BIT = 1 << COUNTED
"""Of a mask of what is checked: the number of jobs; a resource has the bit of its number."""

SUBMITTED_BIT = 2 << COUNTED
"""The number of jobs that have come and not ended."""

USED, AHEAD = 8, 16
"""Where the bits begin of what has been used, and of what may be used yet."""

USED_BITS, AHEAD_BITS = ((1 << METERED) - 1) << USED, ((1 << COUNTED) - 1) << AHEAD
WALL_BIT = 1 << USED + WALL


@dataclass(frozen=True)
class _Most:
    """What a counter allows; None and {} limit nothing.

    Attributes:
        jobs, submitted: that run; that have come and not ended.
        resources: of what runs.
        used: resource-seconds that may have been used, and `wall` seconds. ahead: resource-seconds that what runs may
            use yet.
    """

    jobs: int | None = None
    submitted: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)
    ahead: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of_all(cls, limits: Limits) -> "_Most":
        """Return what all tasks together may have that some limits bind."""
        wall = {} if limits.all_time is None else {"wall": limits.all_time}
        return cls(
            jobs=limits.all_jobs,
            submitted=limits.all_submitted,
            resources=limits.all_resources,
            used={**limits.all_resource_seconds, **wall},
            ahead=limits.all_running_resource_seconds,
        )

    @classmethod
    def of_job(cls, limits: Limits) -> "_Most":
        """Return what each task may have that some limits bind."""
        return cls(resources=limits.job_resources, ahead=limits.job_resource_seconds)

    def stated(self) -> Iterator[tuple[str, int]]:
        """Yield what is limited, as a word and a bit."""
        for word, count, bit in (("jobs", self.jobs, JOBS_BIT), ("submitted", self.submitted, SUBMITTED_BIT)):
            if count is not None:
                yield word, bit
        for amounts, places, first in (
            (self.resources, RESOURCES, 0),
            (self.used, _METERED, USED),
            (self.ahead, RESOURCES, AHEAD),
        ):
            for resource in amounts:
                if (place := places.get(resource.lower())) is not None:
                    yield f"{resource.lower()} {first}", 1 << first + place


@dataclass(frozen=True, eq=False)
class LimitTable:
    """Counters, and the sets of them that bind entries.

    Attributes:
        entry_set: shape (entries,), the set of each.
        first, counters, checks: the counters of set i are `counters[first[i]:first[i + 1]]`, in the order of their
            check; `checks` says what of each is checked for the set, which counts in all of it.
        most_jobs, jobs_word, most_submitted, submitted_word: shape (c,). most, words: shape (c * COUNTED,). charges:
            shape (c,), 0 for one that holds of each task alone.
        most_used, used_words: shape (c * METERED,), minutes. most_ahead, ahead_words: shape (c * COUNTED,), minutes.
        decays: shape (c,), 0 where what was used counts for ever. stops: shape (c,), 0 where what runs goes on though
            as much was used as may.
    """

    entry_set: IntArray
    first: IntArray
    counters: IntArray
    checks: IntArray
    most_jobs: IntArray
    jobs_word: IntArray
    most_submitted: IntArray
    submitted_word: IntArray
    most: IntArray
    words: IntArray
    charges: IntArray
    most_used: FloatArray
    used_words: IntArray
    most_ahead: FloatArray
    ahead_words: IntArray
    decays: IntArray
    stops: IntArray


class _Counters:
    """Collects the distinct counters."""

    def __init__(self) -> None:
        self.number: dict[tuple[str, ...], int | None] = {}
        self.rows: list[tuple[str, tuple[str, ...], _Most]] = []

    def number_of(self, kind: str, key: tuple[str, ...], most: _Most) -> int | None:
        """Return the number of a counter, None for one that limits nothing."""
        name = (kind, *key)
        if name not in self.number:
            limits_something = any(most.stated())
            self.number[name] = len(self.rows) if limits_something else None
            if limits_something:
                self.rows.append((kind, key, most))
        return self.number[name]

    def amounts(self, of: Callable[[_Most], Mapping[str, float]], places: Mapping[str, int], size: int) -> FloatArray:
        """Return one figure of each resource of every counter, infinity for no limit, shape (c * size,)."""
        found = np.full((len(self.rows), size), np.inf)
        for row, (_, _, most) in enumerate(self.rows):
            for resource, amount in of(most).items():
                if (place := places.get(resource.lower())) is not None:
                    found[row, place] = amount
        return found.ravel()

    def words(self, by_kind: Mapping[str, tuple[str, ...]], size: int) -> IntArray:
        """Return the reasons of every counter, shape (c * size,)."""
        none = ("None",) * size
        texts = [by_kind.get(kind, none) for kind, _, _ in self.rows]
        return np.array([[CODES[word] for word in one] for one in texts], np.int64).ravel()


class _Set:
    """The counters that bind some entries, in the order of their check; what was stated before is not checked again."""

    def __init__(self, counters: _Counters) -> None:
        self.counters = counters
        self.found: list[tuple[int, int]] = []
        self.stated: set[tuple[str, str]] = set()

    def add(self, kind: str, key: tuple[str, ...], field: str, most: _Most, *, overrides: bool = True) -> None:
        """Add a counter; with `overrides` what it states is not checked for the same `field` of those behind it."""
        number = self.counters.number_of(kind, key, most)
        if number is None:
            return
        checks = 0
        said = set()
        for word, bit in most.stated():
            if (field, word) not in self.stated:
                checks |= bit
                said.add((field, word))
        if overrides:
            self.stated |= said
        self.found.append((number, checks))


def limit_table(workload: Workload, site: Site, asked: Asks, entry_task: IntArray) -> LimitTable:
    """Return the limits that a site holds tasks to; none where its `enforces` names neither limits nor safe."""
    counters = _Counters()
    entry_set = np.zeros(len(entry_task), np.int64)
    sets: list[list[tuple[int, int]]] = [[]]
    if {"limits", "safe"} & set(site.enforces) and len(entry_task):
        part = asked.kinds["part"][asked.kind]
        people = asked.people
        keys = np.column_stack(
            [part, people.qos[entry_task], people.account.codes[entry_task], workload.user.codes[entry_task]]
        )
        distinct, entry_set = np.unique(keys, axis=0, return_inverse=True)
        entry_set = entry_set.reshape(-1).astype(np.int64)
        sets = [
            _bind(site, counters, number, qos, people.account.names[account], workload.user.names[user])
            for number, qos, account, user in distinct.tolist()
        ]
    kinds = [kind for kind, _, _ in counters.rows]
    most = counters.amounts(lambda one: one.resources, RESOURCES, COUNTED)
    undecayed = {one.name for one in site.qos if "nodecay" in {flag.lower() for flag in one.flags}}

    def counts(number: Callable[[_Most], int | None]) -> IntArray:
        stated = [number(one) for _, _, one in counters.rows]
        return np.array([UNLIMITED if one is None else one for one in stated], np.int64)

    return LimitTable(
        entry_set=entry_set,
        first=np.concatenate(([0], np.cumsum([len(one) for one in sets]))).astype(np.int64),
        counters=np.array([number for one in sets for number, _ in one], np.int64),
        checks=np.array([checks for one in sets for _, checks in one], np.int64),
        most_jobs=counts(lambda one: one.jobs),
        jobs_word=np.array([CODES[_WORDS[kind][0]] for kind in kinds], np.int64),
        most_submitted=counts(lambda one: one.submitted),
        submitted_word=np.array([CODES[_REFUSED.get(kind, "None")] for kind in kinds], np.int64),
        most=np.fmin(most * np.tile(list(UNITS.values()), len(kinds)), UNLIMITED).astype(np.int64),
        words=counters.words({kind: words[1:] for kind, words in _WORDS.items()}, COUNTED),
        charges=np.array([not kind.endswith("job") for kind in kinds], np.int64),
        most_used=counters.amounts(lambda one: one.used, _METERED, METERED) / SECONDS_PER_MINUTE,
        used_words=counters.words(_USED, METERED),
        most_ahead=counters.amounts(lambda one: one.ahead, RESOURCES, COUNTED) / SECONDS_PER_MINUTE,
        ahead_words=counters.words(_AHEAD, COUNTED),
        decays=np.array([not (kind == "qos" and key[0] in undecayed) for kind, key, _ in counters.rows], np.int64),
        # Slurm asks the root whether a job may start, and not whether it may go on.
        stops=np.array([not (kind == "account" and key == ("root", "")) for kind, key, _ in counters.rows], np.int64),
    )


def _bind(site: Site, counters: _Counters, part: int, qos: int, account: str, user: str) -> list[tuple[int, int]]:
    """Return the counters of the tasks of a user in a partition and QOS, and what of each is checked.

    What the partition's QOS limits the job's does not, and what either limits no account does; accounts limit at every
    level, of one job and of one user the nearest.
    """
    bound = _Set(counters)
    by_name = {one.name: one for one in site.qos}
    names = [site.partitions[part].qos] if site.partitions[part].qos in by_name else []
    if qos >= 0 and site.qos[qos].name not in names:
        names.append(site.qos[qos].name)
    for name in names:
        limits = by_name[name].limits
        bound.add("qos", (name,), "all", _Most.of_all(limits))
        bound.add("qos job", (name,), "job", _Most.of_job(limits))
        of_account = _Most(limits.account_jobs, limits.account_submitted, limits.account_resources)
        bound.add("qos account", (name, account), "account", of_account)
        of_user = _Most(limits.user_jobs, limits.user_submitted, limits.user_resources)
        bound.add("qos user", (name, user), "user", of_user)
    listed = {(one.name, one.user): one for one in site.accounts if not one.partition}
    chain = ancestry(listed, account, user)
    for level, one in enumerate(chain):
        key = (one.name, one.user)
        bound.add("account", key, "all", _Most.of_all(one.limits), overrides=False)
        bound.add("account job", key, "job", _Most.of_job(one.limits))
        if level == 0:
            _bind_own(bound, chain, account, user)
    return bound.found


def _bind_own(bound: _Set, chain: list[Account], account: str, user: str) -> None:
    """Add how many jobs a user may have in an account, by the nearest that says it; a QOS that says it of users or of
    accounts stands for it."""

    def nearest(name: str) -> int | None:
        stated = (getattr(one.limits, name) for one in chain)
        return next((most for most in stated if most is not None), None)

    bound.stated |= {("user", word) for field, word in bound.stated if field == "account"}
    bound.add("own", (account, user), "user", _Most(nearest("user_jobs"), nearest("user_submitted")))
