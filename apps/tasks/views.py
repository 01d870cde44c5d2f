"""Pages of workloads, the definitions of the figures, and the switch of colours."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from apps.tasks.api import UploadSerializer
from apps.tasks.audit_lines import audit_lines, audit_table, request_lines, request_table
from apps.tasks.errors import WorkloadError
from apps.tasks.managers import WORKLOAD_FIGURES
from apps.tasks.models import Workload, WorkloadImport
from apps.tasks.uploads import upload_accept
from apps.tasks.workload_charts import portrait
from scheduler_sim.background.models import Job
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.context import THEMES
from scheduler_sim.display.downloads import asked_table, table_response
from scheduler_sim.display.viewing import (
    chart_source,
    chart_views,
    control_form,
    ordered,
    page_of,
    reading,
    sort_key,
)
from scheduler_sim.engine.measuring.figures import FIGURES
from scheduler_sim.engine.traces import COLUMNS, FORMATS
from scheduler_sim.engine.traces.units import COUNT, MEMORY, TIME

WORKLOAD_COLUMNS = {
    "name": "name",
    "source": "source",
    "tasks": "task_count",
    "span": "span",
    "load": "offered_load",
    "created": "created_at",
}
WORKLOAD_EXPORT = (
    "id",
    "name",
    "source",
    *WORKLOAD_FIGURES,
    "created_at",
)

FIGURE_EXPORT = ("name", "label", "definition", "unit", "better")


@reading
@require_safe
def workload_list(request: HttpRequest) -> HttpResponse:
    """Show all workloads, searched and sorted as the address says."""
    sort = sort_key(request, WORKLOAD_COLUMNS, "-created")
    query = request.GET.get("q", "").replace("\0", "").strip()
    listed = Workload.objects.for_list(query)
    # Those of studies, which may be thousands, only where they are asked for.
    asked = query or request.GET.get("studies")
    workloads = ordered(listed if asked else listed.not_of_studies(), sort, WORKLOAD_COLUMNS)
    if (kind := request.GET.get("format")) in ("csv", "json"):
        return table_response("workloads", WORKLOAD_EXPORT, workloads.values_list(*WORKLOAD_EXPORT), kind)
    page = page_of(request, workloads)
    return render(request, "tasks/workload_list.html", {"page_obj": page, "query": query, "sort": sort})


@reading
@require_safe
def workload_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one workload: its audit, its arrivals, sizes, run times, users and dependencies."""
    workload = get_object_or_404(Workload, pk=pk)
    tables = {
        "audit": lambda: audit_table(workload.audit),
        "requests": lambda: request_table(workload.audit),
    }
    if (table := asked_table(request, f"workload-{pk}", tables)) is not None:
        return table
    found = portrait(workload)
    context: dict[str, Any] = {
        "workload": workload,
        "portrait": found,
        "charts": found.charts.values(),
        "source": chart_source("workload-charts", pk),
        "span": workload.last_arrival_time - workload.first_arrival_time,
        "runs": workload.runs.order_by("-pk")[:10],
        "audit": audit_lines(workload.audit),
        "requests": request_lines(workload.audit),
        "parameters": {
            name: ("yes" if value else "no") if isinstance(value, bool) else value
            for name, value in workload.generator_parameters.items()
        },
    }
    if (name := workload.audit.get("fitted_to")) and (base := Workload.objects.filter(name=name).first()):
        # The parameters hold the digest of its tasks.
        context["parameters"].pop("fitted_to", None)
        context["base"] = base
    return render(request, "tasks/workload_detail.html", context)


@control_form("Uploading needs")
def workload_upload(request: HttpRequest) -> HttpResponse:
    """Take a trace file; it is read in a process of its own."""
    errors: Any = {}
    if request.method == "POST":
        form = UploadSerializer(data=request.POST.dict() | request.FILES.dict())
        if not form.is_valid():
            errors = form.errors
        elif form.validated_data["file"].size > settings.UPLOAD_MAX_BYTES:
            errors = {"file": [f"A file may hold {settings.UPLOAD_MAX_BYTES // 2**20} MiB."]}
        else:
            sent = dict(form.validated_data)
            try:
                job = upload_accept(upload=sent.pop("file"), **sent, requested_by=request.user)
            except WorkloadError as error:
                errors = {"file": [str(error)]}
            else:
                return redirect("workload-import", pk=job.pk)
    context = {
        "formats": FORMATS.values(),
        "columns": COLUMNS,
        "units": {"time": TIME, "memory": MEMORY, "cores and GPUs": COUNT},
        "sent": request.POST,
        "errors": errors,
        "most": settings.UPLOAD_MAX_BYTES // 2**20,
        "imports": WorkloadImport.objects.select_related("workload").order_by("-pk")[:10],
    }
    return render(request, "tasks/workload_upload.html", context, status=400 if errors else 200)


@reading
@require_safe
def workload_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far the reading of an upload is."""
    job = get_object_or_404(WorkloadImport.objects.select_related("workload"), pk=pk)
    over = job.status in (WorkloadImport.Status.FINISHED, WorkloadImport.Status.FAILED)
    waiting = Job.objects.filter(status=Job.Status.QUEUED).latest_about("import", job)
    words = waiting.words if waiting is not None else job.progress or "reading"
    return render(request, "tasks/workload_import.html", {"job": job, "over": over, "words": words})


@reading
@require_safe
def help_metrics(request: HttpRequest) -> HttpResponse:
    """Define every figure."""
    if (kind := request.GET.get("format")) in ("csv", "json"):
        rows = [[getattr(figure, column) for column in FIGURE_EXPORT] for figure in FIGURES.values()]
        return table_response("figures", FIGURE_EXPORT, rows, kind)
    return render(request, "help/metrics.html", {"figures": FIGURES.values()})


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the chosen colours in a cookie and go back."""
    back = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        back = "/"
    response = redirect(back)
    chosen = request.POST.get("theme", "")
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=365 * 24 * 3600, samesite="Lax")
    else:
        response.delete_cookie("theme")
    return response


def _charts(_request: HttpRequest, pk: int) -> Mapping[str, Chart]:
    return portrait(get_object_or_404(Workload, pk=pk)).charts


workload_charts, workload_chart = chart_views("workload-{pk}", _charts)
