"""Pages of trials of forecasts: ask for one, follow it, and see how good forecasts of a site's starts are."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from apps.tasks.forecast_pages import is_over, offered, taken
from apps.tasks.forecast_trials import COLUMNS, INSTANTS, MOST_INSTANTS, MOST_REPLICAS, REPLICAS, trial_rows
from apps.tasks.models import ForecastTrial
from apps.tasks.trial_api import MOST_BYTES, TrialAskedSerializer, trial_take
from apps.tasks.trial_charts import TABLES, lines, trial_charts
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.downloads import table_response
from scheduler_sim.display.viewing import ROWS_PER_PAGE, chart_source, chart_views, control_form, reading


@reading
@require_safe
def trial_list(request: HttpRequest) -> HttpResponse:
    """Show the trials that were asked for, newest first."""
    rows = ForecastTrial.objects.select_related("site", "history").defer("queues", "slurm_starts")
    page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "tasks/trial_list.html", {"page_obj": page})


@control_form("Forecasts need")
def trial_new(request: HttpRequest) -> HttpResponse:
    """Take a site and a past; forecasts are tried in a process of its own."""
    asked, errors = taken(request, TrialAskedSerializer, trial_take)
    if asked is not None:
        return redirect("forecast-trial", pk=asked.pk)
    context = offered(replicas=REPLICAS, most_replicas=MOST_REPLICAS, most_bytes=MOST_BYTES) | {
        "sent": request.POST or request.GET,
        "errors": errors,
        "instants": INSTANTS,
        "most_instants": MOST_INSTANTS,
    }
    return render(request, "tasks/trial_new.html", context, status=400 if errors else 200)


@reading
@require_safe
def trial_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one trial, as far as it is."""
    rows = ForecastTrial.objects.select_related("site", "history").defer("queues", "slurm_starts")
    asked = get_object_or_404(rows, pk=pk)
    result = asked.result
    if result is not None and (kind := request.GET.get("format")) in ("csv", "json"):
        return table_response(f"forecast-trial-{pk}", COLUMNS, list(trial_rows(result)), kind)
    context: dict[str, Any] = {"asked": asked, "job": asked.job, "over": is_over(asked), "result": result}
    if result is not None and result["overall"] is not None:
        context |= {
            "overall": lines([{"name": "", **result["overall"]}])[0],
            "tables": [(title, head, lines(those)) for by, title, head in TABLES if (those := _of(result, by))],
            "charts": trial_charts(result).values(),
            "source": chart_source("forecast-trial-charts", pk),
        }
    return render(request, "tasks/trial_detail.html", context)


def _of(result: dict[str, Any], by: str) -> list[dict[str, Any]]:
    return [group for group in result["groups"] if group["by"] == by]


def _charts(_request: HttpRequest, pk: int) -> dict[str, Chart]:
    result = get_object_or_404(ForecastTrial.objects.only("result"), pk=pk).result
    return trial_charts(result or {"overall": None})


trial_charts_json, trial_chart = chart_views("forecast-trial-{pk}", _charts)
