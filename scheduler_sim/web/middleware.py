"""What happens to every request: the right client address, an id, a log line, security headers."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address
from typing import cast

from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_only_middleware
from django_prometheus.middleware import PrometheusAfterMiddleware
from prometheus_client.metrics import MetricWrapperBase

from scheduler_sim import logs
from scheduler_sim.web.probes import PROBES

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class NumberedRequest(HttpRequest):
    """A request as `request_log` leaves it."""

    id: str


access_log = logging.getLogger("scheduler_sim.web.access")

_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT")
_UNLOGGED = (*PROBES, "/metrics", "/static/")
_PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in ("accelerometer", "camera", "geolocation", "gyroscope", "microphone", "payment", "usb")
)


def in_networks(address: str, networks: tuple) -> bool:
    """Return whether `address` lies in one of `networks`; text that is no address lies in none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def client_address(remote_address: str, forwarded_for: str) -> str:
    """Return who really asks: the nearest address in X-Forwarded-For that is not one of our proxies.

    Read from the right, because everything left of the first address a proxy of ours has written can be made up.
    """
    address = remote_address
    for hop in reversed([part.strip() for part in forwarded_for.split(",") if part.strip()]):
        if not in_networks(address, settings.TRUSTED_PROXIES):
            break
        try:
            address = str(ip_address(hop))
        except ValueError:
            break
    return address


@sync_only_middleware
def trusted_proxies(get_response: GetResponse) -> GetResponse:
    """Put the client's own address into REMOTE_ADDR, and forget forwarded headers of anyone but TRUSTED_PROXIES."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        remote_address = request.META.get("REMOTE_ADDR") or ""
        if in_networks(remote_address, settings.TRUSTED_PROXIES):
            request.META["REMOTE_ADDR"] = client_address(remote_address, request.META.get("HTTP_X_FORWARDED_FOR", ""))
        else:
            for header in _FORWARDED:
                request.META.pop(header, None)
        return get_response(request)

    return middleware


@sync_only_middleware
def request_log(get_response: GetResponse) -> GetResponse:
    """Give the request an id, taken from X-Request-ID when that is plain, return it, and log one line at the end."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        numbered = cast(NumberedRequest, request)
        numbered.id = given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else uuid.uuid4().hex
        token = logs.request_id.set(numbered.id)
        begin = time.perf_counter()
        try:
            response = get_response(request)
            response.headers["X-Request-ID"] = numbered.id
            if not request.path.startswith(_UNLOGGED):
                access_log.info(
                    "%s %s %d",
                    request.method,
                    request.path,
                    response.status_code,
                    extra={
                        "milliseconds": round((time.perf_counter() - begin) * 1000, 1),
                        "address": request.META.get("REMOTE_ADDR", ""),
                    },
                )
            return response
        finally:
            logs.request_id.reset(token)

    return middleware


@sync_only_middleware
def browser_policies(get_response: GetResponse) -> GetResponse:
    """Say what a page may load, and that none needs a camera, a position or the like: the same for every page."""
    content_security = build_policy()

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Permissions-Policy", _PERMISSIONS)
        # Django's own pages about errors, which only developers see, have their style inside.
        if not (settings.DEBUG and response.status_code in (404, 500)):
            response.headers.setdefault("Content-Security-Policy", content_security)
        return response

    return middleware


class RequestFigures(PrometheusAfterMiddleware):
    """django-prometheus' figures of a request, with the series of each set of labels looked up once."""

    def label_metric(
        self, metric: MetricWrapperBase, request: HttpRequest, response: HttpResponseBase | None = None, **labels: str
    ) -> MetricWrapperBase:
        """Return the series of `metric` with these labels."""
        return _series(metric, *labels.items()) if labels else metric


@cache
def _series(metric: MetricWrapperBase, *labels: tuple[str, str]) -> MetricWrapperBase:
    return metric.labels(**dict(labels))
