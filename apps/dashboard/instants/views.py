"""The page of the time machine, and what its script asks for."""

from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from apps.dashboard.instants.asked import Asked, clock_span, telling_instant, usual_window
from apps.dashboard.instants.load import loads
from apps.dashboard.instants.panel import clock_of, panel
from apps.live.play.instants import InstantReader
from apps.results.errors import DomainError, InvalidField
from apps.results.models import Run
from scheduler_sim.display.viewing import reading
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.web.converters import number_text
from scheduler_sim.web.limits import costly

PAGE = "dashboard/run_at.html"


@costly
@reading
@require_safe
def run_at(request: HttpRequest, pk: int, time: str = "") -> HttpResponse:
    """Show a run at an instant: `/runs/3/at/86400/?policy=fcfs&policy=fcfs%2Beasy`; without one, go to one."""
    run = _run(pk)
    asked = Asked.of(request, run, time or request.GET.get("time") or "0")
    span = clock_span(run)
    try:
        readers = [InstantReader(run, name) for name in asked.policies]
        if not time:
            seconds = asked.time if request.GET.get("time") else telling_instant(run, asked.policies[0], span[0])
            return redirect(asked.address(seconds))
        clock = clock_of(span)
        panels = [panel(reader.at(asked.time), asked, clock) for reader in readers]
    except InvalidField as error:
        raise BadRequest(str(error)) from error
    except (DomainError, EngineError) as error:
        return render(request, PAGE, {"run": run, "refusal": str(error)}, status=409)
    before = [one.previous_time for one in panels if one.previous_time is not None]
    after = [one.next_time for one in panels if one.next_time is not None]
    context: dict[str, Any] = {
        "run": run,
        "asked": asked,
        "panels": panels,
        "loads": loads(run, asked.policies, span),
        "span": span,
        "window": asked.window or usual_window(run, span),
        "clock": clock(asked.time),
        "ends": [clock(one) for one in span],
        "previous": asked.address(max(before, default=None)),
        "next": asked.address(min(after, default=None)),
        "low": number_text(span[0]),
        "high": number_text(span[1]),
        "now": number_text(asked.time),
    }
    return render(request, PAGE, context)


def _run(pk: int) -> Run:
    return get_object_or_404(Run.objects.select_related("workload").defer("workload__audit"), pk=pk)
