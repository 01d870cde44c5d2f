"""What the site holds of a word or a number: runs, workloads, policies, users and accounts, jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import Max

from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Run
from apps.tasks.models import Task, Workload
from scheduler_sim.engine.policies import READY_MADE
from scheduler_sim.engine.policies.order import ORDERS

MOST = 20
"""So many of each kind are told."""

LOOKED_AT = 50
"""Users and jobs are looked for in the newest run, with its placements, of so many workloads."""

_PEOPLE = (GroupMetric.GroupedBy.USER, GroupMetric.GroupedBy.GROUP)


class Person(NamedTuple):
    """A user or an account of a workload, and the newest run that tells how it fares."""

    run: Run
    what: str
    name: str
    query: str


class Job(NamedTuple):
    """A task of a workload by its number, and the newest run that placed it."""

    run: Run
    number: int
    external_id: str


@dataclass(frozen=True)
class Found:
    """What was found; `run_count` is of all runs, of which the newest are told."""

    runs: Sequence[Run]
    run_count: int
    workloads: Sequence[Workload]
    policies: Sequence[str]
    people: Sequence[Person]
    jobs: Sequence[Job]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not any((self.runs, self.workloads, self.policies, self.people, self.jobs))


def search(text: str) -> Found:
    """Look for a text, or for a number of a run or of a job; by look-ups of keys and short lists alone."""
    runs = Run.objects.in_sight().matching(text).order_by("-pk")
    newest = _newest_runs()
    return Found(
        runs=list(runs.select_related("workload").only("name", "status", "workload__name", "policies")[:MOST]),
        run_count=runs.count(),
        workloads=list(Workload.objects.filter(name__icontains=text).only("name", "task_count").order_by("-pk")[:MOST]),
        policies=_policies(text),
        people=_people(text, newest),
        jobs=_jobs(text, newest),
    )


def _newest_runs() -> dict[int, Run]:
    """Return the newest finished run of each workload by its key, of those whose placements are stored."""
    finished = Run.objects.finished().in_sight().filter(rows_written__gt=0)
    keys = finished.order_by().values("workload").annotate(newest=Max("pk")).order_by("-newest")
    keys = keys.values_list("newest", flat=True)[:LOOKED_AT]
    runs = Run.objects.select_related("workload").only("name", "workload__name", "policies").in_bulk(list(keys))
    return {run.pk: run for run in sorted(runs.values(), key=lambda run: -run.pk)}


def _policies(text: str) -> list[str]:
    played = Metric.objects.totals().filter(scheduler__icontains=text).order_by("scheduler")
    registered = [*(order.name for order in ORDERS), *READY_MADE]
    names = [name for name in registered if text.lower() in name]
    return sorted({*names, *played.values_list("scheduler", flat=True).distinct()[:MOST]})[:MOST]


def _people(text: str, newest: dict[int, Run]) -> list[Person]:
    groups: Any = GroupMetric.objects.filter(run__in=newest, grouped_by__in=_PEOPLE, merged_count=0)
    groups = groups.filter(name__icontains=text).exclude(name="").order_by("-run_id", "grouped_by", "name")
    found = groups.values_list("run_id", "grouped_by", "name").distinct()[:MOST]
    return [
        Person(
            newest[key],
            GroupMetric.GroupedBy(by).label,
            name,
            urlencode({"by": by, "name": name, "policy": newest[key].policies[0]}),
        )
        for key, by, name in found
    ]


def _jobs(text: str, newest: dict[int, Run]) -> list[Job]:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        return []
    of_workload = {run.workload_id: run for run in newest.values()}
    # Served by the unique key of workload and number.
    tasks = Task.objects.filter(workload__in=of_workload, task_id=int(text)).order_by("-workload_id")[:MOST]
    return [Job(of_workload[task.workload_id], task.task_id, task.external_id) for task in tasks]
