"""How often somebody may fail to sign in."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from scheduler_sim.web.access import address_key, seconds_to_wait, take_back
from scheduler_sim.web.errors import too_many


def limited_login(login: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Return the view `login` with its failures limited by address, and by account from wherever they come."""

    @wraps(login)
    def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return login(request, *args, **kwargs)
        limits = _limits_of_sign_in(request)
        wait = _seconds_to_sign_in(request, limits)
        if wait is not None:
            return too_many(request, wait, f"Too many attempts to sign in; try again in {wait} s.")
        response = login(request, *args, **kwargs)
        if response.status_code == HTTPStatus.FOUND:
            # Who is signed in is sent on. Each try is counted before it is one, or a crowd of them would all be let in.
            for group, key, rate in limits:
                take_back(group=group, key=key, rate=rate)
        return response

    return view


def _limits_of_sign_in(request: HttpRequest) -> list[tuple[str, str, str | None]]:
    """Return what a try counts for: groups, keys and rates."""
    account = request.POST.get("username", "") or request.user.get_username()  # Who changes a password is known.
    account = account.strip().casefold()[:200]
    by_account = [("account", account, rate) for rate in settings.RATE_LIMIT_ACCOUNT] if account else []
    return [("login", address_key(request), settings.RATE_LIMIT_LOGIN), *by_account]


def _seconds_to_sign_in(request: HttpRequest, limits: list[tuple[str, str, str | None]]) -> int | None:
    for group, key, rate in limits:
        # What is refused is not counted further, so that no single address can use up an account's tries alone.
        if (wait := seconds_to_wait(request, group=group, key=key, rate=rate)) is not None:
            return wait
    return None
