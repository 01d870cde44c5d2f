"""Pages of forecasts of starts: ask for one, and see when each job should start and why it waits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe
from rest_framework.serializers import Serializer

from apps.tasks.forecasts.api import AskedSerializer, blamed
from apps.tasks.forecasts.starts import COLUMNS, MOST_BYTES, MOST_REPLICAS
from apps.tasks.models import ForecastTrial, Site, StartForecast, Workload
from scheduler_sim.display.downloads import table_response
from scheduler_sim.display.formatting import duration
from scheduler_sim.display.viewing import control_form, page_of, reading
from scheduler_sim.engine import EngineError
from scheduler_sim.engine.forecasting.forecast import REPLICAS
from scheduler_sim.engine.traces.slurm_snapshots import COMMAND
from scheduler_sim.web.errors import TooLarge

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
    return render(request, "tasks/forecast_list.html", {"page_obj": page_of(request, rows)})


@control_form("Forecasts need")
def forecast_new(request: HttpRequest) -> HttpResponse:
    """Take a printed queue; it is forecast in a process of its own."""
    offered = {"replicas": REPLICAS, "most_replicas": MOST_REPLICAS, "most": MOST_BYTES // 2**20}
    return asking(request, AskedSerializer, "tasks/forecast_new.html", offered, then="forecast-detail")


@reading
@require_safe
def forecast_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one forecast, or how far its making is."""
    asked = get_object_or_404(StartForecast.objects.select_related("site", "history").defer("queue"), pk=pk)
    result = asked.result
    if result is None:
        return render(request, "tasks/forecast_detail.html", {"asked": asked, **state_of(asked)})
    if (kind := request.GET.get("format")) in ("csv", "json"):
        rows = [[job[name] for name in COLUMNS] for job in result["jobs"]]
        return table_response(f"forecast-{pk}", COLUMNS, rows, kind)
    context = {
        "asked": asked,
        "result": result,
        "at": datetime.fromisoformat(result["at"]),
        "lines": list(lines(result)),
        "more": max(len(result["jobs"]) - SHOWN, 0),
    }
    return render(request, "tasks/forecast_detail.html", context)


def asking(
    request: HttpRequest, form_of: type[Serializer], template: str, offered: dict[str, Any], *, then: str
) -> HttpResponse:
    """Show a form of forecasts, with what is wrong with what was sent by field; what it asks for has a page, `then`.

    Args:
        offered: what the form is told beside what all of them offer: how many futures, how large files may be.
    """
    errors: dict[str, Any] = {}
    if request.method == "POST":
        form = form_of(data={name: value for name, value in request.POST.items() if value} | request.FILES.dict())
        if form.is_valid():
            try:
                return redirect(then, pk=form.save(requested_by=request.user).pk)
            except TooLarge as error:
                errors = {"squeue": [str(error)]}
            except EngineError as error:
                errors = blamed(error)
        else:
            errors = form.errors
    context = {"sent": request.POST, "sites": Site.objects.newest_of_each(), "histories": histories()}
    context |= {"command": COMMAND, "errors": errors, **offered}
    return render(request, template, context, status=400 if errors else 200)


def histories() -> QuerySet[Workload]:
    """Return the newest workloads that tell when they began."""
    return Workload.objects.filter(audit__headers__has_key="UnixStartTime").order_by("-pk")[:HISTORIES]


def state_of(asked: StartForecast | ForecastTrial) -> dict[str, Any]:
    """Return what a page tells of the making: its newest job, and whether that goes on."""
    job = asked.job
    return {"job": job, "goes_on": job is not None and job.is_active}


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
