"""How many pages somebody may ask for, and how many that cost more than others."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from scheduler_sim.web.access import client_key, seconds_to_wait
from scheduler_sim.web.errors import too_many
from scheduler_sim.web.probes import PROBES

View = TypeVar("View", bound=Callable[..., Any])


@cache
def _counted_elsewhere() -> tuple[str, ...]:
    return *PROBES, *map(reverse, ("api:index", "schema", "api-docs", "prometheus"))


def costly(view: View) -> View:
    """Count the requests of a view apart: it reads or computes much, as downloads and comparisons do."""
    vars(view)["is_costly"] = True
    return view


class PageLimits:
    """Counts what is asked of pages by user, or by address where nobody is signed in; 429 beyond the limit.

    The API counts its own requests, and probes are never refused.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer; an address that means nothing counts as a page."""
        response = self._get_response(request)
        if request.resolver_match is None and (refusal := self._refusal(request, is_costly=False)) is not None:
            return refusal
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _arguments: Any, _options: Any
    ) -> HttpResponseBase | None:
        """Count a request before its view is called, and return the refusal of one too many."""
        if request.path.startswith(_counted_elsewhere()):
            return None
        return self._refusal(request, is_costly=getattr(view, "is_costly", False))

    def _refusal(self, request: HttpRequest, *, is_costly: bool) -> HttpResponseBase | None:
        group, rate = ("costly", settings.RATE_LIMIT_COSTLY) if is_costly else ("pages", settings.RATE_LIMIT_PAGES)
        wait = seconds_to_wait(request, group=group, key=client_key(request), rate=rate)
        if wait is None:
            return None
        return too_many(request, wait, f"You have asked for more than this site answers; try again in {wait} s.")
