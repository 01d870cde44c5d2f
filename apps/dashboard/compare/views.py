"""The pages that set things side by side: runs, and one task under every policy."""

from collections.abc import Callable, Mapping
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from apps.dashboard.compare.comparison import MOST_RUNS, Comparison
from apps.dashboard.compare.paper import comparison_paper, difference_rows
from apps.dashboard.instants.asked import way_back
from apps.dashboard.schedule.task_story import task_story
from apps.results.fidelity import run_badges
from apps.results.models import Run
from apps.studies.paper.response import paper_response
from apps.tasks.models import Task
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.downloads import Table, asked_table, table_response
from scheduler_sim.display.viewing import chart_views, figures, reading, whole_number
from scheduler_sim.web.limits import costly

STORY_COLUMNS = (
    "scheduler",
    "ready_time",
    "start_time",
    "finish_time",
    "wait_time",
    "actual_time",
    "node",
    "device",
    "gpu_fraction",
)
WIDTH_COLUMNS = ("scheduler", "from", "to", "devices", "share", "then")
WAY_COLUMNS = ("group", "gpu_fraction", "seconds", "energy_joules", "cost_usd", "chosen_by")


@costly
@reading
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Compare runs: `?runs=1,2&base=sjf&versus=2:fcfs`."""
    wanted = _wanted(request)
    runs = _runs(wanted)
    if not runs:
        newest = Run.objects.finished().in_sight().defer("configuration", "cluster")[:20]
        return render(request, "dashboard/compare_choose.html", {"asked": wanted, "newest": newest})
    comparison = Comparison(runs, base=request.GET.get("base", ""), versus=request.GET.get("versus", ""))
    differences = comparison.differences()
    if "table" not in request.GET and (kind := request.GET.get("format")) in ("csv", "json"):
        head, *rows = difference_rows(differences)
        return table_response("comparison", [str(name) for name in head], rows, kind)
    configuration = comparison.configuration()
    columns = ("setting", *(f"run {run.pk}" for run in runs), "differs")
    tables = {"configuration": lambda: (columns, [(key, *values, differs) for key, values, differs in configuration])}
    if (table := asked_table(request, "comparison", tables)) is not None:
        return table
    query, badges = request.GET.urlencode(), run_badges(runs)
    context: dict[str, Any] = {
        "comparison": comparison,
        "marked": [(run, badges[run.pk]) for run in runs],
        "missing": sorted(set(wanted) - {run.pk for run in runs}),
        "differences": differences,
        "charts": comparison.charts(differences).values(),
        "contestants": [(one.key, comparison.label(one)) for one in comparison.contestants],
        "told_base": comparison.told_base(),
        "scales": comparison.scales(differences),
        "base_label": comparison.label(comparison.base),
        "differing": [(name, values) for name, values, differs in configuration if differs],
        "shared": [(name, values) for name, values, differs in configuration if not differs],
        "query": query,
        "runs_text": ",".join(str(run.pk) for run in runs),
    }
    return render(request, "dashboard/compare.html", context)


@costly
@reading
@require_safe
def run_task(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """Show one task under every policy of a run, side by side."""
    run = get_object_or_404(Run.objects.select_related("workload"), pk=pk)
    task = get_object_or_404(Task.objects.select_related("request"), workload_id=run.workload_id, task_id=number)
    story = task_story(run, task)
    if "table" not in request.GET and (kind := request.GET.get("format")) in ("csv", "json"):
        rows = [
            (one.result.scheduler, one.ready_time, *(getattr(one.result, name) for name in STORY_COLUMNS[2:]))
            for one in story.outcomes
        ]
        return table_response(f"run-{pk}-task-{number}", STORY_COLUMNS, rows, kind)
    ways = [tuple(vars(way).values()) for way in story.alternatives]
    tables: dict[str, Callable[[], Table]] = {
        "alternatives": lambda: (WAY_COLUMNS, ways),
        "widths": lambda: (WIDTH_COLUMNS, [tuple(vars(width).values()) for width in story.widths]),
    }
    if (table := asked_table(request, f"run-{pk}-task-{number}", tables)) is not None:
        return table
    context = {"run": run, "task": task, "story": story, "back": way_back(request, run)}
    return render(request, "dashboard/run_task.html", context)


@reading
@require_safe
def run_task_choose(request: HttpRequest, pk: int) -> HttpResponse:
    """Go to the task whose number was typed."""
    number = whole_number(request.GET.get("number", "").strip(), -1, most=2**53)
    if number < 0:
        raise Http404("A task's number is a whole number.")
    return redirect("run-task", pk=pk, number=number)


def _wanted(request: HttpRequest) -> list[int]:
    """Return the runs' numbers, from `runs=1,2` or `runs=1&runs=2`, without repetitions."""
    texts = ",".join(request.GET.getlist("runs")).split(",")
    return list(dict.fromkeys(number for text in texts if (number := whole_number(text.strip(), 0))))[:MOST_RUNS]


def _runs(wanted: list[int]) -> list[Run]:
    found = Run.objects.select_related("workload", "site").in_bulk(wanted)
    return [found[number] for number in wanted if number in found]


def _comparison(request: HttpRequest) -> Comparison:
    runs = _runs(_wanted(request))
    if not runs:
        raise Http404("None of these runs exists.")
    return Comparison(runs, base=request.GET.get("base", ""), versus=request.GET.get("versus", ""))


def _charts(request: HttpRequest) -> Mapping[str, Chart]:
    comparison = _comparison(request)
    return comparison.charts(comparison.differences())


@figures
def compare_paper(request: HttpRequest) -> HttpResponse:
    """Return what a paper shows of the comparison as a zip archive: `?runs=1,2&width=double`."""
    return paper_response("comparison", lambda: comparison_paper(_comparison(request)), request)


compare_charts, compare_chart = chart_views("compare", _charts)
