"""Who may use the API, and how often: permission and rate limits."""

import contextlib
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django_ratelimit import ALL
from django_ratelimit.core import _get_window, _make_cache_key, _split_rate, get_usage
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

CONTROL = "results.control_run"
"""What somebody must be allowed who changes something."""


def needs_control(what: str) -> str:
    """Return the sentence for who may not: `what` says who or what needs the permission, such as `Uploading needs`."""
    return f"{what} the permission “Can start, pause, resume and stop runs”."


def refuse_without_control(request: HttpRequest, what: str) -> None:
    """Let only those pass who may control runs.

    Raises:
        PermissionDenied: somebody else, in the sentence of `needs_control`.
    """
    if not request.user.has_perm(CONTROL):
        raise PermissionDenied(needs_control(what))


class ReadOrControl(BasePermission):
    """Reading is open unless API_READ_PUBLIC is 0; whatever changes something needs `results.control_run`.

    A token may do no more than its scope says, whatever its user may.
    """

    message = ""

    def has_permission(self, request: Request, view: object) -> bool:
        """Return whether the person may do this."""
        if request.method in SAFE_METHODS:
            return settings.API_READ_PUBLIC or request.user.is_authenticated
        if not request.user.has_perm(CONTROL):
            self.message = needs_control("This needs")
            return False
        self.message = "This token may only read; make one whose scope is control."
        # Where a session says who asks there is no token, and no scope.
        return getattr(request.auth, "may_control", True)


def address_key(request: HttpRequest) -> str:
    """Return what an unknown client is counted by: its address, or the /64 network that an IPv6 host owns."""
    return network_of(request.META.get("REMOTE_ADDR") or "")


def client_key(request: HttpRequest) -> str:
    """Return what a client is counted by: the user who is signed in, or else the address."""
    return f"user:{request.user.pk}" if request.user.is_authenticated else address_key(request)


def network_of(host: str) -> str:
    """Return an IPv4 address as it is, the /64 network of an IPv6 address, and `unknown` for anything else."""
    try:
        address = ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)


def seconds_to_wait(request: HttpRequest, *, group: str, key: str, rate: str | None) -> int | None:
    """Count one request and return None, or the seconds until the next one is allowed."""
    usage = get_usage(
        request,
        group=group,
        key=lambda _group, _request: key,
        rate=rate,
        increment=True,
    )
    if usage is None or not usage["should_limit"]:
        return None
    wait: int = max(1, usage["time_left"])
    return wait


def take_back(*, group: str, key: str, rate: str | None) -> None:
    """Count one request less that `seconds_to_wait` counted; one whose window has ended counts for nothing anyway."""
    if rate is None:
        return
    _count, period = _split_rate(rate)
    counter = _make_cache_key(group, _get_window(key, period), rate, key, ALL)
    with contextlib.suppress(ValueError):
        caches[settings.RATELIMIT_USE_CACHE].decr(counter)


class RateLimit(BaseThrottle):
    """Reads by address or by user, and what changes something apart from them at a rate of its own."""

    def __init__(self) -> None:
        self._wait: int | None = None

    def allow_request(self, request: Request, view: object) -> bool:
        """Count the request; DRF answers 429 with Retry-After when it is one too many."""
        if request.method not in SAFE_METHODS:
            group, rate = "control", settings.RATE_LIMIT_CONTROL
        elif request.user.is_authenticated:
            group, rate = "user", settings.RATE_LIMIT_USER
        else:
            group, rate = "anonymous", settings.RATE_LIMIT_ANONYMOUS
        self._wait = seconds_to_wait(request, group=f"api:{group}", key=client_key(request), rate=rate)
        return self._wait is None

    def wait(self) -> int | None:
        """Return the seconds for Retry-After."""
        return self._wait
