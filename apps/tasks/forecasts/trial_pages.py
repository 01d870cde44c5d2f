"""Pages of trials of forecasts: ask for one, follow it, and see how good forecasts of a site's starts are."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from apps.tasks.forecasts.pages import asking, state_of
from apps.tasks.forecasts.trial_api import MOST_BYTES, TrialAskedSerializer
from apps.tasks.forecasts.trial_charts import TABLES, lines, trial_charts
from apps.tasks.forecasts.trials import COLUMNS, INSTANTS, MOST_INSTANTS, MOST_REPLICAS, REPLICAS, trial_rows
from apps.tasks.models import ForecastTrial
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.downloads import table_response
from scheduler_sim.display.viewing import chart_source, chart_views, control_form, page_of, reading


@reading
@require_safe
def trial_list(request: HttpRequest) -> HttpResponse:
    """Show the trials that were asked for, newest first."""
    return render(request, "tasks/trial_list.html", {"page_obj": page_of(request, _rows())})


@control_form("Forecasts need")
def trial_new(request: HttpRequest) -> HttpResponse:
    """Take a site and a past; forecasts are tried in a process of its own."""
    offered = {
        "sent": request.POST or request.GET,
        "replicas": REPLICAS,
        "most_replicas": MOST_REPLICAS,
        "most": MOST_BYTES // 2**20,
        "instants": INSTANTS,
        "most_instants": MOST_INSTANTS,
    }
    return asking(request, TrialAskedSerializer, "tasks/trial_new.html", offered, then="forecast-trial")


@reading
@require_safe
def trial_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one trial, as far as it is."""
    asked = get_object_or_404(_rows(), pk=pk)
    result = asked.result
    if result is not None and (kind := request.GET.get("format")) in ("csv", "json"):
        return table_response(f"forecast-trial-{pk}", COLUMNS, list(trial_rows(result)), kind)
    context: dict[str, Any] = {"asked": asked, "result": result, **state_of(asked)}
    if result is not None and result["overall"] is not None:
        context |= {
            "overall": lines([{"name": "", **result["overall"]}])[0],
            "tables": [(title, head, lines(those)) for by, title, head in TABLES if (those := _of(result, by))],
            "charts": trial_charts(result).values(),
            "source": chart_source("forecast-trial-charts", pk),
        }
    return render(request, "tasks/trial_detail.html", context)


def _rows() -> QuerySet[ForecastTrial]:
    return ForecastTrial.objects.select_related("site", "history").defer("queues", "slurm_starts")


def _of(result: dict[str, Any], by: str) -> list[dict[str, Any]]:
    return [group for group in result["groups"] if group["by"] == by]


def _charts(_request: HttpRequest, pk: int) -> dict[str, Chart]:
    result = get_object_or_404(ForecastTrial.objects.only("result"), pk=pk).result
    return trial_charts(result or {"overall": None})


trial_charts_json, trial_chart = chart_views("forecast-trial-{pk}", _charts)
