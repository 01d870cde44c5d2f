"""The page of what was found."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.dashboard.search.search import search
from scheduler_sim.display.viewing import reading

LONGEST = 200
"""Of a longer text only the beginning is looked for."""


@reading
@require_safe
def search_page(request: HttpRequest) -> HttpResponse:
    """Show what `?q=` finds."""
    text = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST]
    return render(request, "dashboard/search.html", {"text": text, "found": search(text) if text else None})
