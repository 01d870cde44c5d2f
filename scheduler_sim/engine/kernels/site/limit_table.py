"""The limits of a site as counters, and which of them bind each entry."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.demand import KIB_PER_MB
from scheduler_sim.engine.kernels.site.asks import Asks
from scheduler_sim.engine.kernels.site.people import ancestry
from scheduler_sim.engine.kernels.site.reasons import CODES
from scheduler_sim.engine.kernels.site.state import COUNTED, CPU, GPU, MEMORY, NODE
from scheduler_sim.engine.sites import Account, Site
from scheduler_sim.engine.workload import IntArray, Workload

UNLIMITED = 2**62

RESOURCES = {"cpu": CPU, "node": NODE, "mem": MEMORY, "gres/gpu": GPU}
UNITS = {CPU: MILLI, NODE: 1, MEMORY: KIB_PER_MB, GPU: 1}
"""What limits name, and how much one of it counts."""

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

JOBS_BIT = 1 << COUNTED
"""Of a mask of what is checked: the number of jobs; a resource has the bit of its number."""

SUBMITTED_BIT = 2 << COUNTED
"""The number of jobs that have come and not ended."""


@dataclass(frozen=True, eq=False)
class LimitTable:
    """Counters, and the sets of them that bind entries.

    Attributes:
        entry_set: shape (entries,), the set of each.
        first, counters, checks: the counters of set i are `counters[first[i]:first[i + 1]]`, in the order of their
            check; `checks` says what of each is checked for the set, which counts in all of it.
        most_jobs, jobs_word, most_submitted, submitted_word: shape (c,). most, words: shape (c * COUNTED,). charges:
            shape (c,), 0 for one that holds of each task alone.
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


class _Counters:
    """Collects the distinct counters."""

    def __init__(self) -> None:
        self.number: dict[tuple[str, ...], int | None] = {}
        self.rows: list[tuple[int, int, list[int], str]] = []

    def number_of(
        self, kind: str, key: tuple[str, ...], jobs: int | None, submitted: int | None, resources: dict[str, float]
    ) -> int | None:
        """Return the number of a counter, None for one that limits nothing."""
        name = (kind, *key)
        if name not in self.number:
            most = [UNLIMITED] * COUNTED
            for resource, amount in resources.items():
                place = RESOURCES.get(resource.lower())
                if place is not None:
                    most[place] = int(amount * UNITS[place])
            limits_nothing = jobs is None and submitted is None and min(most) == UNLIMITED
            self.number[name] = None if limits_nothing else len(self.rows)
            if not limits_nothing:
                counts = [UNLIMITED if number is None else number for number in (jobs, submitted)]
                self.rows.append((counts[0], counts[1], most, kind))
        return self.number[name]


class _Set:
    """The counters that bind some entries, in the order of their check; what was stated before is not checked again."""

    def __init__(self, counters: _Counters) -> None:
        self.counters = counters
        self.found: list[tuple[int, int]] = []
        self.stated: set[tuple[str, str]] = set()

    def add(
        self,
        kind: str,
        key: tuple[str, ...],
        field: str,
        jobs: int | None,
        resources: dict[str, float],
        *,
        submitted: int | None = None,
        overrides: bool = True,
    ) -> None:
        """Add a counter; with `overrides` what it states is not checked for the same `field` of those behind it."""
        number = self.counters.number_of(kind, key, jobs, submitted, resources)
        if number is None:
            return
        checks = 0
        said = set()
        for count, word, bit in ((jobs, "jobs", JOBS_BIT), (submitted, "submitted", SUBMITTED_BIT)):
            if count is not None and (field, word) not in self.stated:
                checks |= bit
                said.add((field, word))
        for resource in resources:
            place = RESOURCES.get(resource.lower())
            if place is not None and (field, resource.lower()) not in self.stated:
                checks |= 1 << place
                said.add((field, resource.lower()))
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
    kinds = [kind for *_, kind in counters.rows]
    return LimitTable(
        entry_set=entry_set,
        first=np.concatenate(([0], np.cumsum([len(one) for one in sets]))).astype(np.int64),
        counters=np.array([number for one in sets for number, _ in one], np.int64),
        checks=np.array([checks for one in sets for _, checks in one], np.int64),
        most_jobs=np.array([jobs for jobs, _, _, _ in counters.rows], np.int64),
        jobs_word=np.array([CODES[_WORDS[kind][0]] for kind in kinds], np.int64),
        most_submitted=np.array([submitted for _, submitted, _, _ in counters.rows], np.int64),
        submitted_word=np.array([CODES[_REFUSED.get(kind, "None")] for kind in kinds], np.int64),
        most=np.array([most for _, _, most, _ in counters.rows], np.int64).ravel(),
        words=np.array([[CODES[word] for word in _WORDS[kind][1:]] for kind in kinds], np.int64).ravel(),
        charges=np.array([not kind.endswith("job") for kind in kinds], np.int64),
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
        bound.add("qos", (name,), "all", limits.all_jobs, limits.all_resources, submitted=limits.all_submitted)
        bound.add("qos job", (name,), "job", None, limits.job_resources)
        bound.add(
            "qos account",
            (name, account),
            "account",
            limits.account_jobs,
            limits.account_resources,
            submitted=limits.account_submitted,
        )
        bound.add(
            "qos user",
            (name, user),
            "user",
            limits.user_jobs,
            limits.user_resources,
            submitted=limits.user_submitted,
        )
    listed = {(one.name, one.user): one for one in site.accounts if not one.partition}
    chain = ancestry(listed, account, user)
    for level, one in enumerate(chain):
        limits = one.limits
        bound.add(
            "account",
            (one.name, one.user),
            "all",
            limits.all_jobs,
            limits.all_resources,
            submitted=limits.all_submitted,
            overrides=False,
        )
        bound.add("account job", (one.name, one.user), "job", None, limits.job_resources)
        if level == 0:
            _bind_own(bound, chain, account, user)
    return bound.found


def _bind_own(bound: _Set, chain: list[Account], account: str, user: str) -> None:
    """Add how many jobs a user may have in an account, by the nearest that says it; a QOS that says it of users or of
    accounts stands for it."""

    def nearest(field: str, word: str) -> int | None:
        if ("account", word) in bound.stated:
            return None
        stated = (getattr(one.limits, field) for one in chain)
        return next((most for most in stated if most is not None), None)

    jobs, submitted = nearest("user_jobs", "jobs"), nearest("user_submitted", "submitted")
    bound.add("own", (account, user), "user", jobs, {}, submitted=submitted)
