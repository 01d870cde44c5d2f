"""Every error of the API in one shape: type, title, status, detail, errors by field, and the request's id.

The shape is that of RFC 9457 (Problem Details for HTTP APIs, 2023); `errors` and `request_id` are ours.
"""

import logging
import sys
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views import defaults
from django.views.csrf import csrf_failure as default_csrf_failure
from rest_framework import exceptions
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler as default_handler

from scheduler_sim.web.missing import Missing

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5
"""After how long it is worth asking again where something did not answer."""

MEDIA_TYPE = "application/problem+json"


class ProblemRenderer(JSONRenderer):
    """Renders what `problem` returns."""

    media_type = MEDIA_TYPE


class Conflict(exceptions.APIException):
    """The state of things does not allow what was asked."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "The current state does not allow this."
    default_code = "conflict"


class TooLarge(exceptions.APIException):
    """More was sent than is taken."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request is too large."
    default_code = "too_large"


class Unavailable(exceptions.APIException):
    """Something this site needs does not answer."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The database does not answer; try again in a moment."
    default_code = "unavailable"
    wait = RETRY_SECONDS


def problem(
    status: int, detail: str, *, request: HttpRequest | None = None, errors: dict[str, list[str]] | None = None
) -> dict[str, Any]:
    """Return the document for an error: one sentence for a person, and sentences by field where fields are at fault."""
    phrase = HTTPStatus(status).phrase
    return {
        "type": f"urn:scheduler-sim:problem:{phrase.lower().replace(' ', '-')}",
        "title": phrase,
        "status": int(status),
        "detail": detail,
        "errors": errors or {},
        "request_id": getattr(request, "id", ""),
    }


def _sentences(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _sentences(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(detail, list) and any(isinstance(inner, (dict, list)) for inner in detail):
        for position, inner in enumerate(detail):
            yield from _sentences(inner, f"{path}.{position}" if path else str(position))
    elif isinstance(detail, list):
        for inner in detail:
            yield path, str(inner)
    else:
        yield path, str(detail)


def _by_field(detail: Any) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for path, sentence in _sentences(detail):
        fields.setdefault(path or "non_field_errors", []).append(sentence)
    return fields


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer what a view raised; None, and so a 500 by `server_error`, for what nobody foresaw."""
    if isinstance(error, (OperationalError, InterfaceError)):
        logger.error("The database does not answer.", exc_info=error)
        error = Unavailable()
    elif isinstance(error, Missing):
        logger.error("%s", error)
        error = Unavailable(str(error))
    response = default_handler(error, context)
    if response is None:
        return None
    request = context["request"]
    errors: dict[str, list[str]] = {}
    if isinstance(error, exceptions.ValidationError):
        errors = _by_field(error.detail)
        detail = " ".join(f"{name}: {sentence}" for name, sentences in errors.items() for sentence in sentences)
    else:
        detail = str(response.data.get("detail", "")) if isinstance(response.data, dict) else ""
    response.data = problem(response.status_code, detail, request=request._request, errors=errors)
    if not isinstance(getattr(request, "accepted_renderer", None), BrowsableAPIRenderer):
        request.accepted_renderer = ProblemRenderer()
        request.accepted_media_type = MEDIA_TYPE
    return response


def problem_response(
    request: HttpRequest, status: int, detail: str, *, headers: dict[str, str] | None = None
) -> JsonResponse:
    """Return an error from outside the API's views, where DRF has no say."""
    return JsonResponse(
        problem(status, detail, request=request), status=status, content_type=MEDIA_TYPE, headers=headers
    )


def _is_api(path: str) -> bool:
    return path.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400: an address that means nothing, a host that is not ours, or a request that Django finds suspicious."""
    if _is_api(request.path):
        return problem_response(request, HTTPStatus.BAD_REQUEST, "The request cannot be read.")
    if isinstance(exception, BadRequest):
        # A page's own refusal, in a sentence that is meant to be read.
        return render(request, "400.html", {"sentence": str(exception)}, status=HTTPStatus.BAD_REQUEST)
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403."""
    if _is_api(request.path):
        return problem_response(request, HTTPStatus.FORBIDDEN, "You may not do this.")
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404."""
    if _is_api(request.path):
        return problem_response(request, HTTPStatus.NOT_FOUND, "There is nothing at this address.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500; the traceback is in the log under the request's id. 503 where the database does not answer."""
    if isinstance(sys.exception(), (OperationalError, InterfaceError)):
        return _unavailable(request)
    if isinstance(error := sys.exception(), Missing):
        return _missing(request, str(error))
    if _is_api(request.path):
        detail = "Something went wrong on our side; the log has it under this request's id."
        return problem_response(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)
    return defaults.server_error(request)


def _unavailable(request: HttpRequest) -> HttpResponse:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    status = HTTPStatus.SERVICE_UNAVAILABLE
    if _is_api(request.path):
        return problem_response(request, status, Unavailable.default_detail, headers=headers)
    # Without the request: what the pages say of who is signed in is asked of the database.
    return HttpResponse(render_to_string("503.html"), status=status, headers=headers)


def _missing(request: HttpRequest, sentence: str) -> HttpResponse:
    if _is_api(request.path):
        return problem_response(request, HTTPStatus.SERVICE_UNAVAILABLE, sentence)
    content = render_to_string("missing.html", {"sentence": sentence})
    return HttpResponse(content, status=HTTPStatus.SERVICE_UNAVAILABLE)


def overloaded(path: str) -> HttpResponse:
    """Return the answer to one request more than this process works on; nothing but its address has been looked at."""
    sentence = "This server has too much to do; try again in a moment."
    headers = {"Retry-After": str(RETRY_SECONDS)}
    status = HTTPStatus.SERVICE_UNAVAILABLE
    if _is_api(path):
        return JsonResponse(problem(status, sentence), status=status, content_type=MEDIA_TYPE, headers=headers)
    return HttpResponse(f"{sentence}\n", status=status, content_type="text/plain", headers=headers)


def too_many(request: HttpRequest, wait: int, sentence: str) -> HttpResponse:
    """Return a 429 that says when to come back, to the API in its own shape.

    Args:
        wait: seconds.
    """
    headers = {"Retry-After": str(wait)}
    status = HTTPStatus.TOO_MANY_REQUESTS
    if _is_api(request.path):
        return problem_response(request, status, sentence, headers=headers)
    # Without the request: a refusal must cost less than what is refused.
    return HttpResponse(render_to_string("429.html", {"sentence": sentence}), status=status, headers=headers)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form or a call whose CSRF token is missing or wrong."""
    if _is_api(request.path):
        return problem_response(request, HTTPStatus.FORBIDDEN, f"CSRF verification failed: {reason}")
    return default_csrf_failure(request, reason)
