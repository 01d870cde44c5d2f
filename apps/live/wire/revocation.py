"""Ends live connections when whoever opened them is not known any more: signed out, deactivated, token deleted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import Error
from django.http import HttpRequest

from apps.live.wire import admission

logger = logging.getLogger(__name__)

ASK_EVERY = 2.0
"""Seconds between two questions about the same session or token."""

End = Callable[[], None]


class Revocations:
    """The sessions and tokens by which connections of one event loop were opened, asked about again and again.

    Connections of one session share the question, so that a person's many open pages cost what one costs.

    Args:
        in_database: asks the database in a thread.
    """

    def __init__(self, in_database: Callable[..., Awaitable[Any]]) -> None:
        self._in_database = in_database
        self._opened_by: dict[tuple[str, str], dict[End, HttpRequest]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watched(self, request: HttpRequest, end: End) -> Iterator[None]:
        """Call `end` once the session or the token of `request` stands for nobody; while the block lasts."""
        credentials = _credentials(request)
        self._opened_by.setdefault(credentials, {})[end] = request
        if self._task is None:
            self._task = asyncio.create_task(self._ask())
            self._task.add_done_callback(_report)
        try:
            yield
        finally:
            ends = self._opened_by.get(credentials, {})
            ends.pop(end, None)
            if not ends:
                self._opened_by.pop(credentials, None)
            if not self._opened_by and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(ASK_EVERY)
            for credentials, ends in list(self._opened_by.items()):
                request = next(iter(ends.values()), None)
                if request is None:
                    continue
                try:
                    user = await self._in_database(admission.user_of, request)
                except Error as error:
                    logger.warning("Open live connections could not be checked: %s", error)
                    break
                if not user.is_authenticated:
                    for end in list(self._opened_by.get(credentials, {})):
                        end()


def _credentials(request: HttpRequest) -> tuple[str, str]:
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    return request.META.get("HTTP_AUTHORIZATION", ""), cookie


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("Open live connections are not checked any more.", exc_info=task.exception())
