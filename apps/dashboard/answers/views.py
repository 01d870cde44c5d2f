"""The pages of who wins and who loses."""

from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from apps.dashboard.answers.group_tasks import group_tasks, task_lines
from apps.metrics.groups import (
    EXPORT,
    SORTS,
    OverviewLine,
    best_beside,
    described,
    grouped_by_of,
    overview,
    policy_groups,
)
from apps.metrics.models import GroupMetric
from apps.results.models import Run
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.downloads import asked_table, table_response
from scheduler_sim.display.formatting import listing, scale_of
from scheduler_sim.display.viewing import chart_source, chart_views, page_of, reading, sort_key
from scheduler_sim.web.limits import costly

TASK_COLUMNS = ("task_id", "runtime", "cpus", "gpus", "wait_time", "base_wait_time", "difference")

MOST_EXPORTED = 10_000
"""Tasks that the csv of a group holds; `exportdata results` has all of them."""


@reading
@require_safe
def run_groups(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the groups of one kind under one policy, losers first: `?by=user&policy=sjf%2Beasy`."""
    run = _run(pk)
    kinds = grouped_by_of(run)
    if not kinds:
        return render(request, "dashboard/run_groups.html", {"run": run})
    by, scheduler = _chosen(request, run, kinds)
    every = policy_groups(run, by)
    groups, base = every[scheduler], run.policies[0]
    if "table" not in request.GET and (kind := request.GET.get("format")) in ("csv", "json"):
        rows = ([getattr(row.group, name) for name in EXPORT] for row in groups.rows)
        return table_response(f"run-{pk}-groups-{by}-{scheduler}", EXPORT, rows, kind)
    summary = overview(every, base)
    if (
        table := asked_table(request, f"run-{pk}-groups-{by}", {"policies": lambda: (OverviewLine._fields, summary)})
    ) is not None:
        return table
    sort = sort_key(request, dict.fromkeys(SORTS), "-difference")
    page = page_of(request, groups.sorted_by(sort))
    whole = request.GET.get("columns") == "all"
    folded = [] if whole else groups.folded(sort)
    columns = groups.columns(base, folded)
    context: dict[str, Any] = {
        "run": run,
        "kinds": [(value, GroupMetric.GroupedBy(value).label) for value in kinds],
        "by": by,
        "by_label": GroupMetric.GroupedBy(by).label,
        "policies": run.policies,
        "scheduler": scheduler,
        "base": base,
        "sentences": groups.sentences(base),
        "columns": columns,
        "folded": folded,
        "whole": whole,
        "rows": [(row, [(row.value(column.name), column.scale) for column in columns]) for row in page.object_list],
        "difference_scale": groups.differences(),
        "page_obj": page,
        "sort": sort,
        "summary": summary,
        "chart": groups.chart(base),
        "source": chart_source("run-groups-charts", pk),
        "suffix": _suffix(by, scheduler),
    }
    return render(request, "dashboard/run_groups.html", context)


@costly
@reading
@require_safe
def run_group_tasks(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the tasks of one group under one policy beside the base: `?by=user&name=alice&policy=sjf%2Beasy`."""
    run = _run(pk)
    by, scheduler = _chosen(request, run, grouped_by_of(run))
    stored = GroupMetric.objects.of_run(run, by, scheduler)
    which = {"merged_count__gt": 0} if request.GET.get("others") else {"merged_count": 0, "name": _name(request)}
    group = get_object_or_404(stored, **which)
    rows = group_tasks(run, group)
    if (kind := request.GET.get("format")) in ("csv", "json"):
        lines = task_lines(run, rows[:MOST_EXPORTED])
        name = f"run-{pk}-{by}-{'others' if group.merged_count else group.name}-{scheduler}"
        return table_response(name, TASK_COLUMNS, [tuple(vars(line).values()) for line in lines], kind)
    page = page_of(request, rows)
    lines = task_lines(run, page.object_list)
    context = {
        "run": run,
        "group": group,
        "described": described(group),
        "scheduler": scheduler,
        "base": run.policies[0],
        "back": _suffix(by, scheduler),
        "lines": lines,
        "page_obj": page,
        "waits": scale_of("seconds", [wait for line in lines for wait in (line.wait_time, line.base_wait_time)]),
        "differences": scale_of("seconds", [line.difference for line in lines]),
        "runtimes": scale_of("seconds", [line.runtime for line in lines]),
    }
    return render(request, "dashboard/run_group_tasks.html", context)


def _run(pk: int) -> Run:
    return get_object_or_404(Run.objects.select_related("workload").defer("cluster", "workload__audit"), pk=pk)


def _name(request: HttpRequest) -> str:
    return request.GET.get("name", "").replace("\0", "")


def _chosen(request: HttpRequest, run: Run, kinds: list[str]) -> tuple[str, str]:
    """Return by what the groups are told apart, and the policy: by default the best one beside the base.

    Raises:
        BadRequest: the address names what the run does not hold.
    """
    by = request.GET.get("by") or next(iter(kinds), "")
    if by not in kinds:
        raise BadRequest(f"The tasks of this run are told apart by {listing(kinds) or 'nothing'}, not by {by[:50]!r}.")
    scheduler = request.GET.get("policy") or best_beside(run)
    if scheduler not in run.policies:
        raise BadRequest(f"This run does not hold the policy {scheduler[:100]!r}; it holds {listing(run.policies)}.")
    return by, scheduler


def _suffix(by: str, scheduler: str) -> str:
    return urlencode({"by": by, "policy": scheduler})


def _charts(request: HttpRequest, pk: int) -> dict[str, Chart]:
    run = _run(pk)
    by, scheduler = _chosen(request, run, grouped_by_of(run))
    chart = policy_groups(run, by)[scheduler].chart(run.policies[0])
    return {chart.key: chart}


run_groups_charts, run_groups_chart = chart_views("run-{pk}", _charts)
