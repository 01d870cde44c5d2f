"""Who acts, for the audit log, and what is taken away as a file."""

import re
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_only_middleware

from scheduler_sim.accounts import audit


@sync_only_middleware
def audited(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Let what is recorded during a request be done by whoever asks, and record what is downloaded."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with audit.acting(request):
            response = get_response(request)
            if request.method == "GET" and response.status_code == HTTPStatus.OK and (name := _file_name(response)):
                audit.record(audit.Action.EXPORT, "file", called=name if name != "csv" else request.get_full_path())
        return response

    return middleware


def _file_name(response: HttpResponseBase) -> str:
    """Return what a file to be saved is called, `csv` for one of rows without a name, empty for a page."""
    disposition = response.headers.get("Content-Disposition", "")
    if disposition.startswith("attachment"):
        found = re.search(r'filename="([^"]*)"', disposition)
        return found.group(1) if found else "csv"
    return "csv" if response.headers.get("Content-Type", "").startswith("text/csv") else ""
