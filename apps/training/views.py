"""The page of learned models and the data they learn from."""

from typing import Any

from django.db.models import Count, Max, Min
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.tasks.charts import Axis, Chart, Series, TextTable
from apps.tasks.downloads import chart_response, table_response
from apps.tasks.viewing import reading
from apps.training.models import TrainedModel, TrainingData

MODEL_EXPORT = ("id", "name", "kind", "version", "active", "seed", "scores", "data_range", "parent_id", "created_at")
MODELS_SHOWN = 100


@reading
@require_safe
def training(request: HttpRequest) -> HttpResponse:
    """Show datasets, models, versions, scores, and what the models look at."""
    models = TrainedModel.objects.select_related("parent").defer("artifact").order_by("name", "-version")
    if (kind := request.GET.get("format")) in ("csv", "json"):
        return table_response("models", MODEL_EXPORT, models.values_list(*MODEL_EXPORT), kind)
    shown = list(models[:MODELS_SHOWN])
    datasets = (
        TrainingData.objects.order_by()
        .values("run_id", "run__name")
        .annotate(rows=Count("id"), first=Min("created_at"), last=Max("created_at"))
        .order_by("-run_id")[:50]
    )
    context = {"models": shown, "datasets": datasets, "charts": _charts(shown).values(), "source": "/training/charts"}
    return render(request, "training/training.html", context)


@reading
@require_safe
def training_charts(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """Return the numbers of all charts of the page."""
    charts = _charts(_models())
    return JsonResponse({"charts": {key: chart.as_json() for key, chart in charts.items()}})


@reading
@require_safe
def training_chart(request: HttpRequest, key: str, kind: str) -> HttpResponse:  # noqa: ARG001
    """Return the numbers of one chart as CSV or JSON."""
    chart = _charts(_models()).get(key)
    if chart is None:
        raise Http404("There is no such chart.")
    return chart_response(f"training-{key}", chart, kind)


def _models() -> list[TrainedModel]:
    return list(TrainedModel.objects.defer("artifact").order_by("name", "-version")[:MODELS_SHOWN])


def _charts(models: list[TrainedModel]) -> dict[str, Chart]:
    """Draw each score by version, and of active models the importance of features and how learning went."""
    charts = [*_scores(models), *_importances(models), *_curves(models)]
    return {chart.key: chart for chart in charts}


def _scores(models: list[TrainedModel]) -> list[Chart]:
    by_name: dict[str, list[TrainedModel]] = {}
    for model in models:
        by_name.setdefault(model.name, []).append(model)
    charts = []
    for number, (name, versions) in enumerate(by_name.items()):
        versions = sorted(versions, key=lambda model: model.version)
        keys = sorted({key for model in versions for key, value in model.scores.items() if _is_number(value)})
        if len(versions) < 2 or not keys:
            continue
        numbers = [model.version for model in versions]
        series = [Series(key, numbers, [model.scores.get(key) for model in versions]) for key in keys]
        rows = [(f"v{model.version}", *(str(model.scores.get(key, "no data")) for key in keys)) for model in versions]
        charts.append(
            Chart(
                f"scores-{chr(97 + number % 26)}",
                "line",
                f"Scores of {name} by version",
                f"{len(versions)} versions of {name}, scored on later data that they were not trained on.",
                Axis("Version"),
                Axis("Score"),
                series,
                TextTable(("Version", *keys), rows),
            )
        )
    return charts


def _importances(models: list[TrainedModel]) -> list[Chart]:
    charts = []
    for number, model in enumerate(model for model in models if model.active):
        weights: Any = model.scores.get("feature_importance") or model.parameters.get("feature_importance")
        if not isinstance(weights, dict) or not weights:
            continue
        ordered = sorted(weights.items(), key=lambda item: -abs(item[1]))
        names, values = [name for name, _ in ordered], [value for _, value in ordered]
        charts.append(
            Chart(
                f"importance-{chr(97 + number % 26)}",
                "bar",
                f"What {model} looks at",
                f"{names[0]} matters most to {model}.",
                Axis("Feature", "", "category"),
                Axis("Importance"),
                [Series(str(model), names, values)],
                TextTable(("Feature", "Importance"), [(name, f"{value:.4g}") for name, value in ordered]),
            )
        )
    return charts


CURVES = {
    "generation": ("Generation", "Mean logarithm of the objective", ("training", "validation")),
    "tasks": ("Tasks", "Epsilon, and mean reward", ("epsilon", "reward")),
}
"""What a stored learning curve is drawn against, by the name of its steps: policy search, and agents."""


def _curves(models: list[TrainedModel]) -> list[Chart]:
    charts = []
    for number, model in enumerate(model for model in models if model.active):
        curve = model.parameters.get("curve")
        if not curve:
            continue
        step = next((name for name in CURVES if name in curve[0]), None)
        if step is None:
            continue
        across, up, names = CURVES[step]
        steps = [point[step] for point in curve]
        rows = [(str(point[step]), *(f"{point[name]:.4g}" for name in names)) for point in curve]
        charts.append(
            Chart(
                f"curve-{chr(97 + number % 26)}",
                "line",
                f"How {model} learned",
                f"{len(steps)} looks at {model} while it learned; the last {names[1]} is {curve[-1][names[1]]:.4g}.",
                Axis(across),
                Axis(up),
                [Series(name, steps, [point[name] for point in curve]) for name in names],
                TextTable((across, *names), rows),
            )
        )
    return charts


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
