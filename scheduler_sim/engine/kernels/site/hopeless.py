"""What keeps a task from ever starting on a site: what it asks for, and limits that are too small for it alone.

Also a reservation that it names and fits in at none of its times.
"""

import numpy as np

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.kernels.site.asks import Asks
from scheduler_sim.engine.kernels.site.limit_table import (
    AHEAD,
    JOBS_BIT,
    RESOURCES,
    SUBMITTED_BIT,
    UNITS,
    USED,
    LimitTable,
    limit_table,
)
from scheduler_sim.engine.kernels.site.people import ancestry
from scheduler_sim.engine.kernels.site.reasons import CODES, NO_REASON
from scheduler_sim.engine.kernels.site.state import COUNTED, CPU, GPU, MEMORY, METERED, NODE
from scheduler_sim.engine.sites import Limits, Site
from scheduler_sim.engine.sites.parts import INACCURACY
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload

_WALL = {"qos": "QOSMaxWallDurationPerJobLimit", "account": "AssocMaxWallDurationPerJobLimit"}
_LEAST = {"qos": "QOSMinCpuNotSatisfied", "account": "AssocMinCpuNotSatisfied"}
_EACH_NODE = {"qos": "QOSMaxCpuPerNode", "account": "AssocMaxCpuPerNode"}


def never_reasons(workload: Workload, site: Site, asked: Asks) -> IntArray:
    """Return why each task can never start, 0 for one that can, shape (n,)."""
    entry_task = np.repeat(np.arange(len(workload)), np.diff(asked.first))
    if not len(entry_task):
        return asked.reason.copy()
    why = _over_limits(workload, site, asked, entry_task)
    for others in (_over_job_limits(site, asked, entry_task), _outside(site, asked)):
        why = np.where(why == NO_REASON, others, why)
    possible = np.zeros(len(workload), bool)
    possible[entry_task[why == NO_REASON]] = True
    reason = asked.reason.copy()
    # Of several partitions the first says why.
    np.put(reason, entry_task[::-1], np.where(possible[entry_task[::-1]], NO_REASON, why[::-1]))
    return reason


def _amounts(asked: Asks) -> IntArray:
    """Return what each entry takes at least of what limits count, shape (entries, COUNTED)."""
    kinds = asked.kinds[asked.kind]
    amounts = np.zeros((len(kinds), COUNTED), np.int64)
    grains = kinds["units"] * kinds["size"]
    amounts[:, CPU] = grains * kinds["grain"]
    amounts[:, NODE] = kinds["least"]
    amounts[:, MEMORY] = kinds["least"] * kinds["each_memory"] + grains * kinds["memory"]
    amounts[:, GPU] = kinds["least"] * kinds["each_gpus"] + grains * kinds["gpu"]
    return amounts


def _over_limits(workload: Workload, site: Site, asked: Asks, entry_task: IntArray) -> IntArray:
    """Return which counter is too small for each entry alone, shape (entries,)."""
    table = limit_table(workload, site, asked, entry_task)
    amounts = _amounts(asked)
    why = np.zeros(len(entry_task), np.int64)
    most, words = table.most.reshape(-1, COUNTED), table.words.reshape(-1, COUNTED)
    for number in range(len(table.first) - 1):
        rows = np.flatnonzero(table.entry_set == number)
        span = slice(table.first[number], table.first[number + 1])
        for counter, checks in zip(table.counters[span].tolist(), table.checks[span].tolist(), strict=True):
            for most_jobs, bit, word in (
                (table.most_jobs, JOBS_BIT, table.jobs_word),
                (table.most_submitted, SUBMITTED_BIT, table.submitted_word),
            ):
                if most_jobs[counter] == 0 and checks & bit:
                    why[rows] = np.where(why[rows] == NO_REASON, word[counter], why[rows])
            for resource in range(COUNTED):
                if not checks >> resource & 1:
                    continue
                over = (amounts[rows, resource] > most[counter, resource]) & (why[rows] == NO_REASON)
                why[rows[over]] = words[counter, resource]
            lasting = _over_lasting(table, counter, checks, amounts[rows], asked.limit[rows], "safe" in site.enforces)
            why[rows] = np.where(why[rows] == NO_REASON, lasting, why[rows])
    return why


def _over_lasting(
    table: LimitTable, counter: int, checks: int, amounts: IntArray, limit: FloatArray, is_safe: bool
) -> IntArray:
    """Return which limit on use each of some entries breaks by its own limit of time, shape (entries,).

    What has been used must be less than may be; on a site that is safe, and of what runs, what may be used yet counts.
    """
    minutes = np.column_stack([amounts / np.array(list(UNITS.values())), np.ones(len(amounts))]) * limit[:, None] / 60
    why = np.zeros(len(amounts), np.int64)
    for first, size, mosts, words in (
        (USED, METERED, table.most_used, table.used_words),
        (AHEAD, COUNTED, table.most_ahead, table.ahead_words),
    ):
        for resource in range(size):
            most = mosts[counter * size + resource]
            if not checks >> first + resource & 1:
                continue
            over = (minutes[:, resource] > most) & (is_safe or first == AHEAD)
            over |= (first == USED) & (most <= 0) & (minutes[:, resource] > 0)
            why[over & (why == NO_REASON)] = words[counter * size + resource]
    return why


def _outside(site: Site, asked: Asks) -> IntArray:
    """Return why each entry fits in no time of the reservation that its task names, by its nodes or its limit."""
    part, within = asked.kinds["part"][asked.kind], asked.within[asked.kind]
    longest = np.array([np.inf if one.max_time is None else one.max_time for one in site.partitions], np.float64)
    # A task of no known limit is stopped by Slurm when its partition's is over.
    is_short = np.minimum(asked.limit, longest[part]) > within + INACCURACY
    why = np.where(within < 0, CODES["BadConstraints"], CODES["Reservation"])
    return np.where(is_short | (within < 0), why, NO_REASON)


def _over_job_limits(site: Site, asked: Asks, entry_task: IntArray) -> IntArray:
    """Return which limit of time, of a node or from below keeps each entry out.

    What the partition's QOS says the job's does not, and what either says no account does. What a user's entry of an
    account does not say, the account above says, the nearest first.
    """
    why = np.zeros(len(entry_task), np.int64)
    if not {"limits", "safe"} & set(site.enforces):
        return why
    asks_for = _Asking(asked, why)
    part = asked.kinds["part"][asked.kind]
    for one in site.qos:
        asks_for.hold_to(np.array([has.qos == one.name for has in site.partitions], bool)[part], "qos", one.limits)
    for index, one in enumerate(site.qos):
        asks_for.hold_to(asked.people.qos[entry_task] == index, "qos", one.limits)
    listed = {(one.name, one.user): one for one in site.accounts if not one.partition}
    association = asked.people.association[entry_task]
    for number, (name, user, *_) in enumerate(asked.people.tree.names):
        if user and (association == number).any():
            for account in ancestry(listed, name, user):
                asks_for.hold_to(association == number, "account", account.limits)
    return why


class _Asking:
    """Holds entries to limits on one job, of which those that come first stand for the same ones behind them."""

    def __init__(self, asked: Asks, why: IntArray) -> None:
        self.why, self.limit, self.amounts = why, asked.limit, _amounts(asked)
        kinds = asked.kinds[asked.kind]
        of_processes = np.maximum(kinds["per_node"], 1) * kinds["size"] * MILLI
        self.each_cpu = np.where(kinds["most"] == 1, self.amounts[:, CPU], of_processes)
        self.stated: dict[str, BoolArray] = {}

    def hold_to(self, inside: BoolArray, kind: str, limits: Limits) -> None:
        """Write down which entries `inside` a set of limits break one."""
        if limits.job_time is not None:
            self._hold(inside, "time", self.limit > limits.job_time, _WALL[kind])
        for name, least in limits.job_least_resources.items():
            if (place := RESOURCES.get(name.lower())) is not None:
                self._hold(inside, f"least {place}", self.amounts[:, place] < least * UNITS[place], _LEAST[kind])
        if "cpu" in limits.job_node_resources:
            self._hold(inside, "node", self.each_cpu > limits.job_node_resources["cpu"] * MILLI, _EACH_NODE[kind])

    def _hold(self, inside: BoolArray, what: str, over: BoolArray, word: str) -> None:
        stated = self.stated.setdefault(what, np.zeros(len(self.why), bool))
        self.why[inside & ~stated & over & (self.why == NO_REASON)] = CODES[word]
        stated |= inside
