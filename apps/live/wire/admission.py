"""Who may open a live connection, from where, how many, and what they may ask for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from scheduler_sim.accounts.authentication import ApiTokenAuthentication
from scheduler_sim.accounts.models import ApiToken
from scheduler_sim.web.access import address_key
from scheduler_sim.web.middleware import client_address

CONTROL_PERMISSION = "results.control_run"

Scope = dict[str, Any]


def request_of(scope: Scope) -> HttpRequest:
    """Return a connection's handshake as the request that the rest of the site understands."""
    headers = {name.lower(): value.decode("latin1") for name, value in scope.get("headers", ())}
    request = HttpRequest()
    request.method = "GET"
    request.path = scope.get("path", "")
    remote_address = (scope.get("client") or ("",))[0]
    request.META["REMOTE_ADDR"] = client_address(remote_address, headers.get(b"x-forwarded-for", ""))
    if b"authorization" in headers:
        request.META["HTTP_AUTHORIZATION"] = headers[b"authorization"]
    if b"origin" in headers:
        request.META["HTTP_ORIGIN"] = headers[b"origin"]
    request.COOKIES = parse_cookie(headers.get(b"cookie", ""))
    return request


def origin_is_ours(request: HttpRequest) -> bool:
    """Tell whether the page that opens the connection may.

    Browsers always name the page's origin, so a client without one is no browser and cannot be misled by a page of
    somebody else to use its owner's session.
    """
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None or origin in settings.CORS_ALLOWED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
        host, _port = split_domain_port(parts.netloc)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(host) and validate_host(host, settings.ALLOWED_HOSTS)


def identified(request: HttpRequest) -> tuple[User | AnonymousUser, ApiToken | None]:
    """Return who it is by the API token or the session cookie, read anew, so that a sign-out counts at once.

    The request knows it afterwards, as one that went through the middlewares does. Asks the database: call it in a
    thread.
    """
    user, token = _identified(request)
    request.user = user
    vars(request)["auth"] = token
    return user, token


def _identified(request: HttpRequest) -> tuple[User | AnonymousUser, ApiToken | None]:
    try:
        if by_token := ApiTokenAuthentication().authenticate(Request(request)):
            return by_token
    except AuthenticationFailed:
        return AnonymousUser(), None
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not key:
        return AnonymousUser(), None
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return auth.get_user(request), None


def user_of(request: HttpRequest) -> User | AnonymousUser:
    """Return who it is, as `identified`."""
    return identified(request)[0]


def why_not_control(request: HttpRequest) -> str:
    """Return why somebody may not pause, resume and stop runs, empty where it is allowed. Asks the database."""
    user, token = identified(request)
    if not (user.is_active and user.has_perm(CONTROL_PERMISSION)):
        return "You may not control runs."
    return "" if token is None or token.may_control else "This token may only read; make one whose scope is control."


class TooManyConnections(Exception):
    """One more connection would pass a limit."""


class Gate:
    """Counts the connections of this process, in all and by address."""

    def __init__(self) -> None:
        self._by_address: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return self._by_address.total()

    @contextmanager
    def admitted(self, request: HttpRequest) -> Iterator[None]:
        """Count a connection while it lasts.

        Raises:
            TooManyConnections: a limit is reached; the sentence names it.
        """
        address = address_key(request)
        if self.open >= settings.LIVE_MAX_CONNECTIONS:
            raise TooManyConnections(f"This server already serves {self.open} live connections; try again later.")
        if self._by_address[address] >= settings.LIVE_MAX_CONNECTIONS_PER_ADDRESS:
            raise TooManyConnections(f"{address} already has {self._by_address[address]} live connections.")
        self._by_address[address] += 1
        try:
            yield
        finally:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
