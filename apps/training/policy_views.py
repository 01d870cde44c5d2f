"""The page of one policy: its rule and source, its results across runs, and how it learned if it did."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.metrics.models import Metric
from apps.metrics.policy_pages import distance_chart, parts_of, ready_made, standings
from apps.training.model_charts import model_charts, significant
from apps.training.models import TrainedModel
from apps.training.registry import models_in_use
from apps.training.under_way import under_way
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.downloads import asked_table
from scheduler_sim.display.viewing import chart_source, chart_views, reading
from scheduler_sim.engine import parse_policy
from scheduler_sim.engine.errors import InvalidPolicy

STANDING_COLUMNS = ("run", "workload", "place", "policies", "mean_bounded_slowdown", "best", "of_the_best")
DRAWN_PARAMETERS = ("curve", "feature_importance")
"""Parameters that have charts of their own."""


@reading
@require_safe
def policy_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Show one policy."""
    try:
        policy = parse_policy(name)
    except InvalidPolicy as error:
        # A stored policy that is registered no more still has its results.
        if not Metric.objects.totals().filter(scheduler=name).exists():
            raise Http404(str(error)) from None
        policy = None
    scheduler = policy.name if policy else name
    found = standings(scheduler)
    rows = [
        (
            one.total.run.name,
            one.total.run.workload.name,
            one.rank,
            one.policies,
            one.total.mean_bounded_slowdown,
            one.best.scheduler,
            one.best.mean_bounded_slowdown,
        )
        for one in found
    ]
    if (table := asked_table(request, "policy", {"results": lambda: (STANDING_COLUMNS, rows)})) is not None:
        return table
    models = _models(scheduler)
    context = {
        "scheduler": scheduler,
        "policy": policy,
        "parts": parts_of(policy) if policy else [],
        "stands_for": dict(ready_made()).get(scheduler),
        "standings": found,
        "distance": distance_chart(scheduler, found),
        "charts": model_charts(models).values(),
        "learned": [(model, _parameters(model)) for model in models if model.active],
        "source": chart_source("policy-charts", scheduler),
    }
    if names := models_in_use([scheduler], "trace"):
        context |= {"follows": scheduler, **under_way(names)}
    return render(request, "metrics/policy_detail.html", context)


def _charts(_request: HttpRequest, name: str) -> dict[str, Chart]:
    distance = distance_chart(name, standings(name))
    return {distance.key: distance, **model_charts(_models(name))}


policy_charts, policy_chart = chart_views("policy", _charts)


def _models(scheduler: str) -> list[TrainedModel]:
    """Return all versions of the stored models that stand behind a policy, the newest first."""
    names = models_in_use([scheduler], "trace")
    return list(TrainedModel.objects.defer("artifact").filter(name__in=names).order_by("name", "-version"))


def _parameters(model: TrainedModel) -> list[tuple[str, str]]:
    shown = {key: value for key, value in model.parameters.items() if key not in DRAWN_PARAMETERS}
    shown |= {"features": model.features, "trained on": model.data_range, "seed": str(model.seed)}
    return [(key.replace("_", " ").capitalize(), significant(value)) for key, value in shown.items()]
