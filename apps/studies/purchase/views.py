"""The pages of searches for a purchase: asking for one, how far it is, what it found."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from apps.results.models import Run
from apps.studies.purchase.asking import KIND, PurchaseForm
from apps.studies.purchase.request import growing
from apps.studies.purchase.showing import frontier_chart, plays_of
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import JobStateError, job_stop
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.downloads import table_response
from scheduler_sim.display.viewing import chart_source, chart_views, control_form, reading
from scheduler_sim.web.access import refuse_without_control

SHOWN = 20
"""Searches of a run that its page lists."""


@control_form("A search needs")
def run_purchase(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for a search on a run's tasks, and list those of it."""
    run = get_object_or_404(Run.objects.select_related("workload", "site").defer("workload__audit"), pk=pk)
    form = PurchaseForm(request.POST) if request.method == "POST" else PurchaseForm()
    if request.method == "POST" and (job := form.submit(run, request.user)) is not None:
        return redirect("purchase", pk=job.pk)
    context: dict[str, Any] = {
        "run": run,
        "form": form,
        "errors": dict(form.errors),
        "groups": growing(run),
        "searches": Job.objects.about(KIND, run)[:SHOWN],
    }
    return render(request, "studies/purchase_new.html", context, status=400 if form.errors else 200)


@reading
@require_safe
def purchase(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a search: how far it is, the verdict, the frontier and every play."""
    job = _job(pk)
    if (kind := request.GET.get("format")) in ("csv", "json"):
        columns, rows = plays_of(job)
        return table_response(f"purchase-{pk}", columns, rows, kind)
    run = Run.objects.filter(pk=job.subject_id or 0).first()
    context = {
        "job": job,
        "run": run,
        "what_if": _what_if(run, job.outcome.get("best")) if run is not None else "",
        "found": job.outcome,
        "chart": frontier_chart(job),
        "source": chart_source("purchase-charts", pk),
        "plays": plays_of(job, is_shown=True),
    }
    return render(request, "studies/purchase.html", context)


@require_POST
def purchase_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """End a search; what it has found is kept."""
    refuse_without_control(request, "A search needs")
    try:
        job_stop(job=_job(pk))
    except JobStateError as error:
        messages.error(request, str(error))
    return redirect("purchase", pk=pk)


def _what_if(run: Run, best: dict[str, Any] | None) -> str:
    """Return where a change is held against the run as it was; empty where that is not possible."""
    if best is None or run.status != Run.Status.FINISHED or run.configuration.get("site_changes"):
        return ""
    changes = {"add_nodes": best["add_nodes"], "policies": best["policy"]}
    told = urlencode({name: text for name, text in changes.items() if text})
    return f"{reverse('run-what-if', args=[run.pk])}?{told}"


def _charts(_request: HttpRequest, pk: int) -> dict[str, Chart]:
    chart = frontier_chart(_job(pk))
    return {chart.key: chart}


purchase_charts, purchase_chart = chart_views("purchase-{pk}", _charts)


def _job(pk: int) -> Job:
    return get_object_or_404(Job, pk=pk, kind=KIND)
