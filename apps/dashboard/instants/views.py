"""The page of the time machine, and what its script asks for."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from apps.dashboard.instants.asked import Asked, clock_span, telling_instant, usual_window
from apps.dashboard.instants.follow import Followed, followed
from apps.dashboard.instants.frames import MOST_FRAMES, Frame, frames
from apps.dashboard.instants.load import loads
from apps.dashboard.instants.panel import Clock, clock_of
from apps.dashboard.schedule.colouring import BY_TASK, CHOICES
from apps.dashboard.schedule.gantt import Window
from apps.dashboard.schedule.window import gantt_window
from apps.live.instants.instant import InstantReader
from apps.results.errors import DomainError, InvalidField
from apps.results.models import Run
from scheduler_sim.display.downloads import csv_response
from scheduler_sim.display.viewing import figures, finite_number, reading, whole_number
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.web.converters import number_text
from scheduler_sim.web.limits import costly
from scheduler_sim.web.missing import Missing

Found = TypeVar("Found")

PAGE = "dashboard/run_at.html"

PACES = (
    ("events 2", "2 events a second"),
    ("events 8", "8 events a second"),
    ("clock 10", "10 s a second"),
    ("clock 60", "1 min a second"),
    ("clock 600", "10 min a second"),
    ("clock 3600", "1 h a second"),
    ("clock 21600", "6 h a second"),
    ("clock 86400", "1 d a second"),
)
"""How fast an instant moves while the page plays: what the script reads, and what is read."""


@costly
@reading
@require_safe
def run_at(request: HttpRequest, pk: int, time: str = "") -> HttpResponse:
    """Show a run at an instant: `/runs/3/at/86400/?policy=fcfs&policy=fcfs%2Beasy`; without one, go to one."""
    run = _run(pk)
    asked = Asked.of(request, run, time or request.GET.get("time") or "0")
    span = clock_span(run)
    clock = clock_of(span)
    try:
        if not time:
            seconds = asked.time if request.GET.get("time") else telling_instant(run, asked.policies[0], span[0])
            asked.readers()
            return redirect(asked.address(seconds))
        # What is followed is looked for at other instants too.
        readers = asked.readers(alone=asked.task is None)
        (frame,) = frames(asked, readers, clock)
        stories = _stories(asked, readers, frame, clock)
    except InvalidField as error:
        raise BadRequest(str(error)) from error
    except Missing:
        raise
    except (DomainError, EngineError) as error:
        status = 503 if isinstance(error, Missing) else 409
        return render(request, PAGE, {"run": run, "refusal": str(error)}, status=status)
    context: dict[str, Any] = {
        "run": run,
        "asked": asked,
        "frame": frame,
        "stories": stories,
        "loads": loads(run, asked.policies, span),
        "window": number_text(asked.window or usual_window(run, span)),
        "ends": [clock(one) for one in span],
        "previous": asked.address(frame.previous_time),
        "next": asked.address(frame.next_time),
        "low": number_text(span[0]),
        "high": number_text(span[1]),
        "now": number_text(asked.time),
        "colours": CHOICES,
        "paces": PACES,
    }
    return render(request, PAGE, context)


@figures
def run_at_frames(request: HttpRequest, pk: int) -> HttpResponse:
    """Return instants one after another: `?from=5&policy=fcfs&step=60&count=12`; without a step from event to event."""
    run = _run(pk)
    asked = Asked.of(request, run, request.GET.get("from", ""))
    span = clock_span(run)
    step = finite_number(request.GET.get("step")) or 0.0
    most = min(max(1, whole_number(request.GET.get("count"), 1)), MOST_FRAMES)
    found = _told(lambda: list(frames(asked, asked.readers(), clock_of(span), step=step, most=most, until=span[1])))
    return JsonResponse({"frames": [one.as_json() for one in found]})


@figures
def run_at_gantt(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Return the schedule around an instant as CSV or JSON: `?from=0&to=600&policy=fcfs&colour=user`."""
    run = _run(pk)
    low, high = clock_span(run)
    ends = [finite_number(request.GET.get(name)) for name in ("from", "to")]
    begin, end = (
        min(max(bound if one is None else one, low), high) for one, bound in zip(ends, (low, high), strict=True)
    )
    scheduler = request.GET.get("policy") or run.policies[0]
    _told(lambda: InstantReader(run, scheduler))
    colour = request.GET.get("colour", BY_TASK)
    chart = gantt_window(run, scheduler, Window(start=begin, end=end, within=(low, high), colour=colour))
    if kind == "csv":
        return csv_response(f"run-{pk}-around", chart.csv_rows())
    return JsonResponse(chart.as_json())


def _stories(asked: Asked, readers: list[InstantReader], frame: Frame, clock: Clock) -> list[Followed]:
    every = [followed(asked, reader, panel, clock) for reader, panel in zip(readers, frame.panels, strict=True)]
    return [one for one in every if one is not None]


def _told(found: Callable[[], Found]) -> Found:
    """Return what is found; what cannot be is an address that means nothing, in a sentence."""
    try:
        return found()
    except Missing:
        raise
    except (DomainError, EngineError) as error:
        raise BadRequest(str(error)) from error


def _run(pk: int) -> Run:
    return get_object_or_404(Run.objects.select_related("workload").defer("workload__audit"), pk=pk)
