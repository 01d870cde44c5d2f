"""The list of policies."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.metrics.policy_pages import parts, played, ready_made
from scheduler_sim.display.downloads import table_response
from scheduler_sim.display.viewing import reading

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
