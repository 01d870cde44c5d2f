"""One task under every policy: what it waited for, where it went, and what it would have taken elsewhere."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from apps.dashboard.instants.panel import Clock, clock_from_beginning
from apps.dashboard.schedule.alternatives import Alternative, alternatives
from apps.dashboard.schedule.around import MOST_AT_ONCE, placements_between, placements_of
from apps.dashboard.schedule.placements import Placements
from apps.dashboard.schedule.task_electricity import task_electricity
from apps.live.play.configuration import RunConfiguration
from apps.live.play.sites import host_list, node_names, played_site
from apps.live.play.task_electricity import Electricity
from apps.results.models import Attempt, GangBlock, Run, SchedulerResult
from apps.tasks.models import Task, TaskRequest
from scheduler_sim.display.formatting import duration
from scheduler_sim.engine import Cluster, parse_policy
from scheduler_sim.engine.codes import CONSERVATIVE, EASY, NOT_PLANNED
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.measuring.cautions import orders_by_estimates, plans_by_estimates
from scheduler_sim.engine.policies.order import changes_widths
from scheduler_sim.engine.workloads.estimates import Estimates

MOST_WIDTHS = 100
"""Attempts of a task that are shown under each policy."""


@dataclass(frozen=True)
class TaskOutcome:
    """What one policy made of the task.

    Attributes:
        arrival_time: as the run plays it. ready_time: arrival, or the finish of the last parent.
        passed_by: tasks that arrived later and started earlier, while it waited.
        guarded: those of them that the policy started only because that could not delay this task, by the estimates.
        ahead: the other tasks that started while it waited.
        counted_from: these counts are of what started then or later: readiness, or a later instant where more tasks
            were in the system meanwhile than are read; its start where too many were at once, infinite where it was
            not kept who was.
        completion_time: finish - arrival.
        latest_parent: number of the parent that finished last, None without parents.
        where: node and device in words.
        moves: how often it went on elsewhere at once.
        is_first: no policy finishes it sooner, and some later.
        may_wake: nodes of the cluster sleep, so that it may have waited for one to wake.
        electricity: its carbon and price; None where the run names no series.
    """

    result: SchedulerResult
    arrival_time: float
    ready_time: float
    completion_time: float
    passed_by: int
    guarded: int
    ahead: int
    counted_from: float
    latest_parent: int | None
    where: str
    moves: int
    is_first: bool
    may_wake: bool
    electricity: Electricity | None

    @property
    def waited_for(self) -> str:
        """What it waited for between its readiness and its start."""
        if self.result.wait_time <= 0:
            return "nothing: it started as soon as it was ready"
        if np.isinf(self.counted_from):
            return "not told: in so long a run it is found once it is stored who was in the system when"
        if self.counted_from >= self.result.start_time:
            return f"not told: more than {MOST_AT_ONCE:,} tasks were in the system at once"
        whole = self.counted_from <= self.ready_time
        tail = "" if whole else f" (told of its last {duration(self.result.start_time - self.counted_from)} alone)"
        if not self.ahead and not self.passed_by:
            woken = ", or nodes that had to wake" if self.may_wake else ""
            return f"what ran already{woken}; nothing else started meanwhile{tail}"
        parts = [_tasks(self.ahead, "that came before it")] if self.ahead else []
        if passed := self.passed_by - self.guarded:
            parts.append(_tasks(passed, "that came later and started earlier"))
        if self.guarded:
            parts.append(_tasks(self.guarded, "that came later and {} backfilled ahead without delaying it"))
        return ", and ".join(parts) + (" (by the estimates)" if self.guarded else "") + tail

    @property
    def stopped(self) -> str:
        """How often it was stopped and what that cost, and how it ended where it did not complete; else empty."""
        result = self.result
        said = []
        if stops := (result.attempts or 1) - 1 - self.moves:
            said.append(f"stopped {_times(stops)}, {duration(result.lost_time or 0.0)} lost")
        if self.moves:
            said.append(f"moved {_times(self.moves)}")
        if result.outcome and result.outcome != "completed":
            said.append(result.outcome.replace("_", " "))
        return "; ".join(said)


@dataclass(frozen=True)
class Width:
    """An attempt of a task whose width changes: how many devices it held, of all its attempts.

    Attributes:
        begins, ends: after the first arrival of the run, as the page writes it.
    """

    scheduler: str
    begins: str
    ends: str
    devices: float
    share: float
    reason: str


@dataclass(frozen=True)
class TaskStory:
    """A task of a run, what every policy made of it, and the other ways in which it could have been placed.

    Attributes:
        arrives_after: how long after the first task of this run, which may play arrivals denser than the workload's.
        told: of its duration to the policies of this run.
        widths: its attempts under the policies that change widths, the first `MOST_WIDTHS` of each.
        widths_left_out: further ones.
    """

    task: Task
    arrives_after: str
    told: str
    outcomes: list[TaskOutcome]
    alternatives: list[Alternative]
    widths: list[Width]
    widths_left_out: int

    @property
    def emits(self) -> bool:
        """True where its carbon is known under some policy."""
        return any(one.electricity is not None and one.electricity.carbon_kg is not None for one in self.outcomes)

    @property
    def pays(self) -> bool:
        """True where the price of its electricity is known under some policy."""
        return any(one.electricity is not None and one.electricity.electricity_usd is not None for one in self.outcomes)


def task_story(run: Run, task: Task) -> TaskStory:
    """Tell the story of one task of a run."""
    results = SchedulerResult.objects.of_keys(run, [task.pk], run.policies)
    attempts = Attempt.objects.of_keys(run, [task.pk], run.policies)
    by_name = {result.scheduler: result for result in results}
    finishes = {result.finish_time for result in by_name.values()}
    best = min(finishes) if len(finishes) > 1 else None
    parents = dict(
        Task.objects.filter(workload_id=run.workload_id, task_id__in=task.dependencies).values_list("pk", "task_id")
        if task.dependencies
        else []
    )
    moves = Counter(one.scheduler for one in attempts if one.reason == "moved")
    hosts = node_names(run)
    electricity = task_electricity(run, task, by_name.values(), attempts)
    outcomes = [
        _outcome(run, task, by_name[name], parents, best, moves[name], hosts, electricity.get(name))
        for name in run.policies
        if name in by_name
    ]
    placed = {one.result.scheduler: (_group(run, one.result.node), one.result.gpu_fraction) for one in outcomes}
    arrival = outcomes[0].arrival_time if outcomes else task.arrival_time
    clock = clock_from_beginning(run, max([arrival, *finishes]))
    widths, left_out = _widths(run, task, attempts, clock)
    return TaskStory(
        task=task,
        arrives_after=clock(arrival),
        told=told(run, task),
        outcomes=outcomes,
        alternatives=alternatives(run, task, placed),
        widths=widths,
        widths_left_out=left_out,
    )


def told(run: Run, task: Task) -> str:
    """Return what policies are told of a task's duration in a run, empty where it states none and none asks.

    That need not be what the workload states: the run's option on estimates decides.
    """
    asked = run.configuration.get("estimates", "trace")
    if asked.startswith("predicted:"):
        return "what a model predicts"
    estimates = Estimates.parse(asked)
    if estimates.drawn:
        return "a value drawn at random"
    if estimates.kind != "trace":
        return duration(estimates.factor * task.runtime)
    if task.duration_estimate is not None:
        return duration(task.duration_estimate)
    cautions = {caution["kind"] for caution in run.cautions}
    if "perfect_estimates" in cautions:
        elsewhere, tail = duration(task.runtime), ", as it runs"
    else:
        elsewhere, tail = "the largest of its queue or of all" if "unknown_estimates" in cautions else "", ""
    limits = _limits_on_site(run, task)
    if limits is None:
        return elsewhere + tail
    known = [limit for limit in limits if limit is not None]
    # Where only some of its partitions give one, what it is told depends on where it is placed.
    times = " or ".join(dict.fromkeys(map(duration, known))) if len(known) == len(limits) else ""
    plans, orders = _uses_of_estimates(run)
    if not (orders and elsewhere):
        return times and f"{times}, by its partition{'s'[: len(limits) > 1]}"
    if not plans:
        return elsewhere + tail
    return f"{times} in plans, {elsewhere} in orders" if times else f"{elsewhere} in orders"


def _uses_of_estimates(run: Run) -> tuple[bool, bool]:
    """Return whether some policy of a run plans with estimates, and whether one orders by them."""
    policies = []
    for name in run.policies:
        try:
            policies.append(parse_policy(name))
        except InvalidPolicy:
            continue  # A learned order whose model is gone.
    policies = [one for one in policies if not one.clairvoyant]
    return any(map(plans_by_estimates, policies)), any(map(orders_by_estimates, policies))


def _limits_on_site(run: Run, task: Task) -> list[float | None] | None:
    """Return what each partition of a site gives a task that states nothing; None without a site, or if none does."""
    site = None if run.site_id is None else played_site(RunConfiguration.from_json(run.configuration))
    if site is None:
        return None
    names = TaskRequest.objects.filter(task_id=task.pk).values_list("partitions", flat=True).first() or task.queue
    limits = [site.partitions[number].unstated_time for number in site.partitions_asked(names)]
    return limits if any(limit is not None for limit in limits) else None


def _widths(run: Run, task: Task, attempts: list[Attempt], clock: Clock) -> tuple[list[Width], int]:
    """Return the attempts of a task under the policies that change widths, and how many are left out."""
    names = [name for name in run.policies if changes_widths(name)]
    if not names:
        return [], 0
    of_them = [one for one in attempts if one.scheduler in names]
    shown = [one for one in of_them if one.number <= MOST_WIDTHS]
    shown.sort(key=lambda one: (names.index(one.scheduler), one.number))
    held = [one.gpus if task.gpus else one.cpus for one in shown]
    most = max(held, default=1.0)
    widths = [
        Width(
            one.scheduler,
            clock(one.start_time),
            clock(one.end_time),
            devices,
            devices / most,
            one.reason.replace("_", " "),
        )
        for one, devices in zip(shown, held, strict=True)
    ]
    return widths, len(of_them) - len(shown)


def _outcome(
    run: Run,
    task: Task,
    result: SchedulerResult,
    parents: dict[int, int],
    best: float | None,
    moves: int,
    hosts: tuple[str, ...],
    electricity: Electricity | None,
) -> TaskOutcome:
    ready, key = result.start_time - result.wait_time, np.array([task.pk])
    placed, counted_from = placements_of(run, result.scheduler, key), ready
    arrival = float(placed.arrival[0])
    if result.wait_time > 0:
        placed, counted_from = placements_between(run, result.scheduler, ready, result.start_time)
    meanwhile = (placed.start >= counted_from) & (placed.start < result.start_time) & (placed.task != task.pk)
    later = meanwhile & (placed.arrival > arrival)
    guarded = later & (placed.start >= _guarded_from(run, result.scheduler, placed, task, arrival))
    latest = None
    if parents:
        keys = np.sort(np.array(list(parents), np.int64))
        ends = SchedulerResult.objects.of_tasks(run, result.scheduler, keys, ("task_id", "finish_time"))
        if len(ends["task_id"]):
            latest = parents[int(ends["task_id"][np.argmax(ends["finish_time"])])]
    return TaskOutcome(
        result=result,
        ready_time=ready,
        arrival_time=arrival,
        completion_time=result.finish_time - arrival,
        passed_by=int(later.sum()),
        guarded=int(guarded.sum()),
        ahead=int(meanwhile.sum() - later.sum()),
        counted_from=counted_from,
        latest_parent=latest,
        where=_where(run, task, result, hosts),
        moves=moves,
        is_first=best is not None and result.finish_time == best,
        may_wake=any(group.get("sleep") for group in run.cluster["groups"]),
        electricity=electricity,
    )


def _where(run: Run, task: Task, result: SchedulerResult, hosts: tuple[str, ...]) -> str:
    """Return where a task was, in its last attempt where it had several."""
    if result.node < 0:
        return "nowhere: it left the queue before it started"
    gangs = GangBlock.objects.of_tasks(run, result.scheduler, np.array([task.pk]))
    # A task whose width changes may have been on several nodes before.
    if len(gangs) and gangs.end_time[-1] == result.finish_time:
        nodes = gangs.nodes(len(gangs) - 1)
        groups = dict.fromkeys(_group(run, node) for node in nodes.tolist())
        return f"{len(nodes):,} nodes: {host_list(nodes.tolist(), hosts)} ({', '.join(groups)})"
    node = hosts[result.node] if hosts else f"node {result.node}"
    where = f"{node} ({_group(run, result.node)})" + (f", GPU {result.device}" if result.device >= 0 else "")
    known = run.knows_gangs or not _needs_several(run, task)
    return where if known else f"{where}; of several nodes the lowest, the others were not kept"


def _needs_several(run: Run, task: Task) -> bool:
    """Tell whether no node of the cluster is large enough for a task."""
    sizes = [(group["cores"], group.get("gpus") or 0) for group in run.cluster["groups"]]
    return not any(task.cpus <= cores and task.gpus <= gpus for cores, gpus in sizes)


def _guarded_from(run: Run, scheduler: str, placed: Placements, task: Task, arrival: float) -> float:
    """Return from when on the policy let no task start ahead of this one that could delay it by the estimates.

    Under conservative backfilling in order of arrival that is from its arrival on; under EASY from when it is the head
    of the queue, which it is once all that came before it have started. Infinite where nothing is guaranteed: in other
    orders what comes later may take a place in front, a depth lifts reservations, and tasks that stop come back.
    """
    try:
        policy = parse_policy(scheduler)
    except InvalidPolicy:
        # A learned order whose model is gone.
        return np.inf
    asked = RunConfiguration.from_json(run.configuration)
    cluster = Cluster.from_json(run.cluster)
    options = asked.engine_options(cluster)
    in_turn = policy.order.name == "fcfs" and policy.placement.planned == NOT_PLANNED
    stops = policy.may_stop or options.interrupts or cluster.fails
    if not in_turn or stops or run.site_id is not None or task.dependencies:
        return np.inf
    if policy.backfill.code == CONSERVATIVE:
        has_depth = policy.backfill.value("depth") is not None or options.conservative_depth is not None
        return np.inf if has_depth else arrival
    if policy.backfill.code != EASY:
        return np.inf
    before = (placed.arrival < arrival) | ((placed.arrival == arrival) & (placed.number < task.task_id))
    return float(placed.start[before].max(initial=arrival))


def _group(run: Run, node: int) -> str:
    number = 0
    for group in run.cluster["groups"]:
        number += group["count"]
        if node < number:
            return str(group["name"])
    return "not in the cluster"


def _times(count: int) -> str:
    return f"{count:,} time{'' if count == 1 else 's'}"


def _tasks(count: int, tail: str) -> str:
    return f"{count:,} task{'' if count == 1 else 's'} {tail.format('was' if count == 1 else 'were')}"
