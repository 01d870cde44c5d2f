"""Policy searches that are under way, as pages show them while they go on."""

from collections.abc import Collection
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from apps.training.model_charts import search_chart
from apps.training.models import PolicySearch, TrainedModel
from apps.training.registry import models_in_use
from scheduler_sim.background.kinds import find
from scheduler_sim.background.models import Job
from scheduler_sim.display.downloads import chart_response
from scheduler_sim.display.viewing import reading

FAILED_SHOWN = 3


def under_way(names: Collection[str] | None = None) -> dict[str, Any]:
    """Return the context of `training/under_way.html`.

    Args:
        names: only models of these names; None for all.
    """
    searches, models = PolicySearch.objects.all(), TrainedModel.objects.order_by("-pk")
    if names is not None:
        searches, models = searches.filter(name__in=names), models.filter(name__in=names)
    return {
        "searches": [(search, in_words(search), search_chart(search)) for search in searches if search.is_alive],
        "jobs": [] if names is not None else [(job, find(job.kind).title(job)) for job in _jobs()],
        "newest": models.values_list("pk", flat=True).first() or 0,
    }


def _jobs() -> list[Job]:
    """Return the trainings and searches that were asked for and are not over, and the newest that did not succeed."""
    asked = Job.objects.filter(kind__in=("training", "search")).select_related("requested_by").order_by("-pk")
    return [*asked.active(), *asked.filter(status__in=(Job.Status.FAILED, Job.Status.STOPPED))[:FAILED_SHOWN]]


def in_words(search: PolicySearch) -> str:
    """Say how far a search is."""
    seeds = len(search.seeds)
    if search.done >= search.total:
        return "Searching again on all that may be learned from, and judging what was found"
    many = f"{seeds} searches" if seeds > 1 else "one search"
    return f"{search.done:,} of {search.total:,} generations of {many}"


@reading
@require_safe
def under_way_json(request: HttpRequest) -> HttpResponse:
    """Return how far every search is, and the newest model, of all or of one policy."""
    policy = request.GET.get("policy")
    state = under_way(None if policy is None else models_in_use([policy], "trace"))
    return JsonResponse(
        {
            "newest": state["newest"],
            "jobs": [
                {"id": job.pk, "status": job.shown_status, "words": job.words, "error": job.error}
                for job, _ in state["jobs"]
            ],
            "searches": [
                {"id": search.pk, "words": words, "done": search.done, "total": search.total}
                for search, words, _ in state["searches"]
            ],
            "charts": {chart.key: chart.as_json() for _, _, chart in state["searches"]},
        }
    )


@reading
@require_safe
def under_way_chart(request: HttpRequest, key: str, kind: str) -> HttpResponse:  # noqa: ARG001
    """Return the numbers of one search's chart as CSV or JSON."""
    for _, _, chart in under_way()["searches"]:
        if chart.key == key:
            return chart_response(f"training-{key}", chart, kind)
    raise Http404("There is no such search under way.")
