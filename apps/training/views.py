"""The page of learned models and the data they learn from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Min, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from apps.training.model_cards import ModelCard
from apps.training.model_charts import headline, model_charts, significant
from apps.training.models import BY_GROUP, TrainedModel, TrainingData
from apps.training.under_way import under_way
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.downloads import Table, asked_table, table_response
from scheduler_sim.display.formatting import percent_change
from scheduler_sim.display.viewing import chart_source, chart_views, reading

MODEL_EXPORT = ("id", "name", "kind", "version", "active", "seed", "scores", "data_range", "parent_id", "created_at")
DATA_COLUMNS = ("run_id", "run__name", "rows", "first", "last")
HISTORY_COLUMNS = ("created_at", "model", "version", "after", "rows", "score", "value", "value_before")
GROUP_COLUMNS = ("kind", "name", "tasks", "learned", "other")
MODELS_SHOWN = 100
HISTORY_SHOWN = 20


@dataclass(frozen=True)
class Fit:
    """One version that came after another: what it was fitted to, and its score beside that of its parent.

    Attributes:
        rows: how many it was fitted to, None where the model does not say.
        label: of the score; before, after: that of the parent and its own; None without one.
    """

    model: TrainedModel
    rows: int | None
    label: str
    before: float | None
    after: float | None

    @property
    def change(self) -> str:
        """How far the score is from the parent's."""
        return percent_change(self.after, self.before)

    @property
    def verdict(self) -> str:
        """The class of the colour: scores here are errors, so lower is better."""
        if self.before is None or self.after is None or self.before == self.after:
            return ""
        return "better" if self.after < self.before else "worse"


@reading
@require_safe
def training(request: HttpRequest) -> HttpResponse:
    """Show datasets, models, versions, scores, and what the models look at."""
    models = _with_parents().order_by("name", "-version")
    if "table" not in request.GET and (kind := request.GET.get("format")) in ("csv", "json"):
        return table_response("models", MODEL_EXPORT, models.values_list(*MODEL_EXPORT), kind)
    shown = list(models[:MODELS_SHOWN])
    datasets = (
        TrainingData.objects.order_by()
        .values("run_id", "run__name")
        .annotate(rows=Count("id"), first=Min("created_at"), last=Max("created_at"))
        .order_by("-run_id")[:50]
    )
    history = [_fit(model) for model in sorted(shown, key=lambda model: -model.pk) if model.parent][:HISTORY_SHOWN]
    tables = {
        "data": lambda: (DATA_COLUMNS, datasets.values_list(*DATA_COLUMNS)),
        "history": lambda: (HISTORY_COLUMNS, map(_history_row, history)),
    }
    if (table := asked_table(request, "training", tables)) is not None:
        return table
    context = {
        "models": [(model, _scores(model)) for model in shown],
        "datasets": datasets,
        "history": history,
        "charts": model_charts(shown).values(),
        "source": chart_source("training-charts"),
        "may_control": request.user.has_perm("results.control_run"),
        **under_way(),
    }
    return render(request, "training/training.html", context)


@reading
@require_safe
def model_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the card of a model."""
    model = _model(pk)
    card = ModelCard.of(model)
    tables: dict[str, Callable[[], Table]] = {
        "learned_from": lambda: (("what", "value"), card.learned_from),
        "figures": lambda: (("figure", "value"), card.figures),
        "groups": lambda: (GROUP_COLUMNS, [[getattr(one, key) for key in GROUP_COLUMNS] for one in card.groups]),
    }
    if (table := asked_table(request, f"model-{pk}", tables)) is not None:
        return table
    return render(request, "training/model_detail.html", {"model": model, "card": card})


@reading
@require_safe
def model_card(_request: HttpRequest, pk: int) -> HttpResponse:
    """Return the card of a model as Markdown."""
    model = _model(pk)
    return HttpResponse(
        ModelCard.of(model).as_markdown(),
        content_type="text/markdown; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="model-{pk}.md"'},
    )


def _model(pk: int) -> TrainedModel:
    found: TrainedModel = get_object_or_404(_with_parents(), pk=pk)
    return found


def _with_parents() -> QuerySet[TrainedModel]:
    """Return models with their parents, without either's artifact, which may be megabytes."""
    return TrainedModel.objects.select_related("parent").defer("artifact", "parent__artifact")


def _models() -> list[TrainedModel]:
    return list(TrainedModel.objects.defer("artifact").order_by("name", "-version")[:MODELS_SHOWN])


def _scores(model: TrainedModel) -> list[tuple[str, str]]:
    return [(key.replace("_", " "), significant(value)) for key, value in model.scores.items() if key != BY_GROUP]


def _fit(model: TrainedModel) -> Fit:
    now, before = headline(model), headline(model.parent) if model.parent else None
    rows = model.data_range.get("rows", model.data_range.get("training_tasks"))
    return Fit(model, rows, now[0] if now else "", before[1] if before else None, now[1] if now else None)


def _history_row(fit: Fit) -> tuple[Any, ...]:
    model, parent = fit.model, fit.model.parent
    after = parent.version if parent else None
    return (model.created_at, model.name, model.version, after, fit.rows, fit.label, fit.after, fit.before)


def _charts(_request: HttpRequest) -> Mapping[str, Chart]:
    return model_charts(_models())


training_charts, training_chart = chart_views("training", _charts)
