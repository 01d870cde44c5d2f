"""The start page, one run, and its control."""

from typing import Any, Literal

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from apps.dashboard.runs.charts import run_charts
from apps.dashboard.runs.cloning import cloned
from apps.dashboard.runs.columns import FIRST_COLUMNS, known_columns
from apps.dashboard.runs.new_run import RunForm
from apps.dashboard.runs.progress import run_progress
from apps.dashboard.runs.race_table import has_gpus, has_widths, race_charts, race_rows
from apps.dashboard.runs.replay_table import REPLAY_COLUMNS, replay_rows, replay_words
from apps.dashboard.runs.table import run_table
from apps.dashboard.schedule.colouring import BY_TASK, CHOICES
from apps.dashboard.schedule.gantt import Gantt, Window
from apps.dashboard.schedule.strips import FARTHEST, csv_rows, strips, whole_span
from apps.dashboard.schedule.window import gantt_window
from apps.live.exchange.manifest import run_manifest
from apps.live.play.configuration_words import configuration_rows, not_scored
from apps.live.play.launch import run_command, run_take_up, why_not_taken_up
from apps.live.play.races import race_goes_on
from apps.metrics.leaderboard import FIGURE_COLUMNS, leaderboard, win_matrix
from apps.metrics.models import Metric
from apps.results.errors import DomainError
from apps.results.fidelity import run_badge
from apps.results.models import Run
from apps.tasks.audit_lines import audit_lines, audit_table
from apps.tasks.models import Workload
from scheduler_sim.display.downloads import (
    asked_table,
    csv_response,
    table_response,
)
from scheduler_sim.display.policy_choices import backfill_heads, order_rows, ready_made_rows
from scheduler_sim.display.viewing import (
    chart_source,
    chart_views,
    control_form,
    figures,
    finite_number,
    reading,
    sort_key,
    whole_number,
)
from scheduler_sim.engine.clusters.presets import PRESETS
from scheduler_sim.web.access import refuse_without_control

LATEST = 6
BROKEN_OFF = (Run.Status.STOPPED, Run.Status.FAILED)
CONTROLS = {"running": ("pause", "stop"), "paused": ("resume", "stop"), "queued": ("stop",)}


@reading
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Show what is going on, what came out last, and what to do next."""
    over = Run.objects.in_sight().filter(status__in=Run.TERMINAL, study__isnull=True)
    columns = known_columns(FIRST_COLUMNS)
    latest = run_table(list(over.order_by("-pk").values_list("pk", flat=True)[:LATEST]), columns)
    newest = next((line for line in latest.lines if line.best), None)
    now = Run.objects.going_on().order_by("-pk").values_list("pk", flat=True)[:LATEST]
    context: dict[str, Any] = {
        "now": run_table(list(now), columns).lines,
        "latest": latest,
        "newest": newest,
        "workloads": Workload.objects.not_of_studies().defer("audit").order_by("-pk")[:5],
    }
    if newest:
        run = newest.run
        doubt = run_badge(run).doubt
        board = leaderboard(Metric.objects.leaderboard(run), base=run.policies[0], sort="", doubt=doubt)
        context["sentence"], context["reason"] = board.sentence, board.reason
    return render(request, "dashboard/start.html", context)


@reading
@require_safe
def run_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one run: the race while it goes on, its figures once it is over."""
    run = get_object_or_404(Run.objects.select_related("workload", "state", "site"), pk=pk)
    tables: dict[str, Any] = {
        "configuration": lambda: (("setting", "value"), configuration_rows(run)),
        "audit": lambda: audit_table(run.workload.audit),
        "fidelity": lambda: (REPLAY_COLUMNS, replay_rows(run_badge(run))),
    }
    if (table := asked_table(request, f"run-{pk}", tables)) is not None:
        return table
    state = getattr(run, "state", None)
    interrupted = state is not None and state.is_interrupted
    totals = list(Metric.objects.leaderboard(run))
    base = request.GET.get("base", "")
    if base not in run.policies:
        base = run.policies[0]
    sort = sort_key(request, dict.fromkeys(FIGURE_COLUMNS), "")
    progress = None if run.is_over else run_progress(run, state)
    badge = run_badge(run)
    context: dict[str, Any] = {
        "run": run,
        "badge": badge,
        "replay": replay_rows(badge),
        "replay_words": replay_words(badge),
        "state": state,
        "interrupted": interrupted,
        "goes_on": race_goes_on(run) if run.is_over else None,
        "why_not": why_not_taken_up(run) if interrupted or run.status in BROKEN_OFF else "",
        "seconds": (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None,
        "commands": ("pause", "resume", "stop"),
        "controls": CONTROLS.get(run.status, ()),
        "may_control": request.user.has_perm("results.control_run"),
        "progress": progress,
        "configuration": configuration_rows(run),
        "audit": audit_lines(run.workload.audit),
        "source": chart_source("run-charts", pk),
        "race_rows": race_rows(run, progress.policies if progress else []),
        "race_charts": race_charts(run),
        "has_gpus": has_gpus(run),
        "has_widths": has_widths(run),
        "not_scored": not_scored(run),
    }
    if totals:
        whole = request.GET.get("columns") == "all"
        context |= {
            "board": leaderboard(totals, base=base, sort=sort, doubt=badge.doubt, whole=whole),
            "whole": whole,
            "base": base,
            "sort": sort,
            "matrix": win_matrix(totals) if len(totals) > 1 else [],
            "names": [total.scheduler for total in totals],
            "charts": run_charts(run, totals),
            "regret": totals[0].details.get("regret", {}).get("oracle"),
            "bounds": totals[0].details.get("bounds"),
            "colours": CHOICES,
        }
    return render(request, "dashboard/run_detail.html", context)


@figures
def run_leaderboard(request: HttpRequest, pk: int, kind: str) -> HttpResponse:  # noqa: ARG001
    """Return the leaderboard, or the win matrix, of a run as CSV or JSON, in stored units."""
    run = get_object_or_404(Run, pk=pk)
    names = ("scheduler", *_metric_figures())
    return table_response(f"run-{pk}-leaderboard", names, Metric.objects.leaderboard(run).values_list(*names), kind)


@figures
def run_manifest_json(request: HttpRequest, pk: int) -> HttpResponse:  # noqa: ARG001
    """Return the document from which `runsimulation --manifest` plays the run again."""
    run = get_object_or_404(Run.objects.select_related("workload"), pk=pk)
    return JsonResponse(run_manifest(run), json_dumps_params={"indent": 2})


@figures
def run_matrix(request: HttpRequest, pk: int, kind: str) -> HttpResponse:  # noqa: ARG001
    """Return how many tasks each policy finished before each other one."""
    run = get_object_or_404(Run, pk=pk)
    totals = list(Metric.objects.leaderboard(run))
    names = [total.scheduler for total in totals]
    rows = [(total.scheduler, *(total.details.get("beats", {}).get(name) for name in names)) for total in totals]
    return table_response(f"run-{pk}-wins", ("scheduler", *names), rows, kind)


@figures
def run_gantt(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Return what the visible window of a policy's schedule shows, as CSV or JSON."""
    chart = _gantt(request, pk)
    if kind == "csv":
        return csv_response(f"run-{pk}-gantt", chart.csv_rows())
    return JsonResponse(chart.as_json())


@figures
def run_gantt_picture(request: HttpRequest, pk: int, kind: Literal["svg", "pdf"]) -> HttpResponse:
    """Return the same window as a picture for papers, as SVG or PDF."""
    from apps.dashboard.schedule.picture import gantt_picture
    from scheduler_sim.display.drawing import CONTENT_TYPES

    chart = _gantt(request, pk)
    name = f"run-{pk}-gantt-{slugify(chart.scheduler) or 'policy'}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(gantt_picture(chart, kind), content_type=CONTENT_TYPES[kind], headers=headers)


def _gantt(request: HttpRequest, pk: int) -> Gantt:
    run = get_object_or_404(Run.objects.select_related("workload"), pk=pk)
    scheduler = request.GET.get("policy", run.policies[0])
    if scheduler not in run.policies:
        raise Http404("The run does not hold this policy.")
    begin, end = (finite_number(request.GET.get(name)) for name in ("from", "to"))
    return gantt_window(run, scheduler, Window(start=begin, end=end, colour=request.GET.get("colour", BY_TASK)))


@figures
def run_series(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Return the series that a run names, between two instants of the workload's clock, as CSV or JSON."""
    run = get_object_or_404(Run.objects.select_related("workload"), pk=pk)
    ends = [finite_number(request.GET.get(name)) for name in ("from", "to")]
    begin, end = (
        bound if one is None else min(max(one, -FARTHEST), FARTHEST)
        for one, bound in zip(ends, whole_span(run), strict=True)
    )
    scheduler = request.GET.get("policy", "")
    found = strips(run, begin, end, scheduler if scheduler in run.policies else "")
    if kind == "csv":
        return csv_response(f"run-{pk}-series", csv_rows(found))
    return JsonResponse({"from": begin, "to": end, "strips": [one.as_json() for one in found]})


@control_form("Starting runs needs")
def run_new(request: HttpRequest) -> HttpResponse:
    """Show the form that starts a run, and start it."""
    form = RunForm(request.POST) if request.method == "POST" else RunForm(initial=_initial(request))
    if form.is_bound and form.is_valid():
        try:
            run = form.start(requested_by=request.user)
        except DomainError as error:
            form.add_error("name", str(error))
        else:
            return redirect("run-detail", pk=run.pk)
    chosen = set(form.chosen_policies)
    context = {
        "form": form,
        "presets": PRESETS.items(),
        "orders": order_rows(chosen),
        "ready_made": ready_made_rows(chosen),
        "backfills": backfill_heads(),
    }
    return render(request, "dashboard/run_new.html", context, status=400 if form.errors else 200)


def _initial(request: HttpRequest) -> dict[str, Any]:
    """Return what the form begins with: what the address says, beside what `clone` names was played with."""
    asked = request.GET.dict()
    if key := whole_number(asked.pop("clone", None), 0):
        return cloned(get_object_or_404(Run.objects.select_related("workload", "site"), pk=key)) | asked
    return asked


@require_POST
def run_control(request: HttpRequest, pk: int, command: str) -> HttpResponse:
    """Pause, resume, stop or take up a run and go back to it."""
    run = get_object_or_404(Run, pk=pk)
    refuse_without_control(request, "Controlling runs needs")
    try:
        if command == "take-up":
            run_take_up(run=run, requested_by=request.user)
        else:
            run_command(run=run, command=command)
    except DomainError as error:
        messages.error(request, str(error))
    return redirect("run-detail", pk=pk)


def _charts(_request: HttpRequest, pk: int) -> dict[str, Any]:
    run = get_object_or_404(Run, pk=pk)
    return run_charts(run, list(Metric.objects.leaderboard(run)))


run_charts_json, run_chart = chart_views("run-{pk}", _charts)


def _metric_figures() -> list[str]:
    left_out = ("id", "run", "scheduler", "details", "is_total")
    return [field.name for field in Metric._meta.concrete_fields if field.name not in left_out]
