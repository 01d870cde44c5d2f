"""Pages of policies."""

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.metrics.models import Metric
from apps.metrics.policy_pages import distance_chart, parts, parts_of, played, ready_made, standings
from apps.tasks.downloads import chart_response, table_response
from apps.tasks.viewing import reading
from scheduler_sim.engine import parse_policy
from scheduler_sim.engine.errors import InvalidPolicy

PART_COLUMNS = ("kind", "name", "rule", "source", "clairvoyant")


@reading
@require_safe
def policy_list(request: HttpRequest) -> HttpResponse:
    """Show every registered part of a policy, and the policies that were played."""
    all_parts = parts()
    if (kind := request.GET.get("format")) in ("csv", "json"):
        rows = ([getattr(part, column) for column in PART_COLUMNS] for part in all_parts)
        return table_response("policies", PART_COLUMNS, rows, kind)
    kinds = (
        ("order", "Orders", "By which score ready tasks are tried, lowest first."),
        ("backfill", "Backfilling", "What may pass a task that does not fit."),
        ("placement", "Placements", "Where a task goes, and how it is split."),
    )
    groups = [(title, line, [part for part in all_parts if part.kind == kind]) for kind, title, line in kinds]
    return render(request, "metrics/policy_list.html", {"groups": groups, "ready": ready_made(), "played": played()})


@reading
@require_safe
def policy_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Show one policy: its formula, its source, and its results across runs."""
    try:
        policy = parse_policy(name)
    except InvalidPolicy as error:
        # A stored policy that is registered no more still has its results.
        if not Metric.objects.totals().filter(scheduler=name).exists():
            raise Http404(str(error)) from None
        policy = None
    scheduler = policy.name if policy else name
    found = standings(scheduler)
    context = {
        "scheduler": scheduler,
        "policy": policy,
        "parts": parts_of(policy) if policy else [],
        "stands_for": dict(ready_made()).get(scheduler),
        "standings": found,
        "chart": distance_chart(scheduler, found),
        "source": f"/policy-charts/{scheduler}",
    }
    return render(request, "metrics/policy_detail.html", context)


@reading
@require_safe
def policy_charts(request: HttpRequest, name: str) -> HttpResponse:  # noqa: ARG001
    """Return the numbers of a policy's charts."""
    chart = distance_chart(name, standings(name))
    return JsonResponse({"charts": {chart.key: chart.as_json()}})


@reading
@require_safe
def policy_chart(request: HttpRequest, name: str, key: str, kind: str) -> HttpResponse:  # noqa: ARG001
    """Return the numbers of one chart of a policy as CSV or JSON."""
    chart = distance_chart(name, standings(name))
    if key != chart.key:
        raise Http404("There is no such chart.")
    return chart_response(f"policy-{key}", chart, kind)
