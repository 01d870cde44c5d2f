"""Pages of forecasts of starts: ask for one, and see when each job should start and why it waits."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe
from rest_framework.serializers import Serializer

from apps.tasks.errors import WorkloadError
from apps.tasks.forecast_api import AskedSerializer, forecast_take
from apps.tasks.forecasts import COLUMNS, MOST_BYTES, MOST_REPLICAS
from apps.tasks.models import ForecastTrial, Site, StartForecast, Workload
from scheduler_sim.display.downloads import table_response
from scheduler_sim.display.formatting import duration
from scheduler_sim.display.viewing import ROWS_PER_PAGE, control_form, reading
from scheduler_sim.engine import EngineError
from scheduler_sim.engine.forecasting.forecast import REPLICAS
from scheduler_sim.engine.traces.slurm_snapshots import COMMAND
from scheduler_sim.web.errors import TooLarge

Asked = TypeVar("Asked", StartForecast, ForecastTrial)

SHOWN = 500
"""So many jobs are shown; the tables to download have all of them."""

HISTORIES = 100


@dataclass(frozen=True)
class Line:
    """A job on the page: what is told of it, and its interval as parts of 100 of the time that is drawn.

    Attributes:
        job: as a forecast's document has it.
        start, earliest, latest, slurm: how long after the instant each is, in words, empty where there is none.
        left, width, middle: of the bar; None where there is none to draw.
    """

    job: Mapping[str, Any]
    start: str
    earliest: str
    latest: str
    slurm: str
    left: float | None = None
    width: float = 0.0
    middle: float = 0.0


@reading
@require_safe
def forecast_list(request: HttpRequest) -> HttpResponse:
    """Show the forecasts that were asked for, newest first."""
    rows = StartForecast.objects.select_related("site", "history").defer("queue", "result")
    page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "tasks/forecast_list.html", {"page_obj": page})


@control_form("Forecasts need")
def forecast_new(request: HttpRequest) -> HttpResponse:
    """Take a printed queue; it is forecast in a process of its own."""
    asked, errors = taken(request, AskedSerializer, forecast_take)
    if asked is not None:
        return redirect("forecast-detail", pk=asked.pk)
    context = offered(replicas=REPLICAS, most_replicas=MOST_REPLICAS, most_bytes=MOST_BYTES) | {
        "sent": request.POST,
        "errors": errors,
    }
    return render(request, "tasks/forecast_new.html", context, status=400 if errors else 200)


@reading
@require_safe
def forecast_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one forecast, or how far its making is."""
    asked = get_object_or_404(StartForecast.objects.select_related("site", "history").defer("queue"), pk=pk)
    result = asked.result
    if result is None:
        return render(request, "tasks/forecast_detail.html", {"asked": asked, "job": asked.job, "over": is_over(asked)})
    if (kind := request.GET.get("format")) in ("csv", "json"):
        rows = [[job[name] for name in COLUMNS] for job in result["jobs"]]
        return table_response(f"forecast-{pk}", COLUMNS, rows, kind)
    context = {
        "asked": asked,
        "over": True,
        "result": result,
        "at": datetime.fromisoformat(result["at"]),
        "lines": list(lines(result)),
        "more": max(len(result["jobs"]) - SHOWN, 0),
    }
    return render(request, "tasks/forecast_detail.html", context)


def taken(
    request: HttpRequest, form_of: type[Serializer], take: Callable[[Any, Any], Asked]
) -> tuple[Asked | None, dict[str, Any]]:
    """Return what a form that was sent has asked for, or what is wrong with it by field; neither where none was sent.

    Args:
        take: stores what a valid form asks for, for a user.
    """
    if request.method != "POST":
        return None, {}
    form = form_of(data={name: value for name, value in request.POST.items() if value} | request.FILES.dict())
    if not form.is_valid():
        return None, form.errors
    try:
        return take(form, request.user), {}
    except (EngineError, TooLarge) as error:
        return None, {"history" if isinstance(error, WorkloadError) else "squeue": [str(error)]}


def offered(*, replicas: int, most_replicas: int, most_bytes: int) -> dict[str, Any]:
    """Return what the forms of forecasts offer; counts of futures and sizes of files are each form's own."""
    return {
        "sites": Site.objects.newest_of_each(),
        "histories": histories(),
        "command": COMMAND,
        "replicas": replicas,
        "most_replicas": most_replicas,
        "most": most_bytes // 2**20,
    }


def histories() -> QuerySet[Workload]:
    """Return the newest workloads that tell when they began."""
    return Workload.objects.filter(audit__headers__has_key="UnixStartTime").order_by("-pk")[:HISTORIES]


def is_over(asked: StartForecast | ForecastTrial) -> bool:
    """Tell whether nothing makes it any more."""
    job = asked.job
    return job is None or not job.is_active


def lines(result: Mapping[str, Any]) -> Iterator[Line]:
    """Yield the lines of a forecast's page."""
    now = datetime.fromisoformat(result["at"])

    def since(text: str | None) -> float | None:
        return None if text is None else max((datetime.fromisoformat(text) - now).total_seconds(), 0.0)

    shown = result["jobs"][:SHOWN]
    ends = [end for job in shown if (end := since(job["latest"] or job["start"])) is not None]
    longest = max(ends, default=0.0) or 1.0
    for job in shown:
        start, early, late, slurm = (since(job[name]) for name in ("start", "earliest", "latest", "slurm_start"))
        line = Line(job=job, start=_words(start), earliest=_words(early), latest=_words(late), slurm=_words(slurm))
        if start is not None and early is not None:
            left, end = 100 * early / longest, 100 * (longest if late is None else late) / longest
            line = replace(line, left=left, width=max(end - left, 0.5), middle=100 * start / longest)
        yield line


def _words(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)
