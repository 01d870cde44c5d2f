"""How a request gets from the event loop to the views and back."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, cast

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from scheduler_sim.web.errors import overloaded
from scheduler_sim.web.probes import PROBES

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class OneThreadHandler(ASGIHandler):
    """Django's ASGI handler, with all that happens to a request in one go in one worker thread.

    Every view and every middleware here is synchronous. Django's own handler starts a thread for each request, and
    goes into it and back at each signal, for the response, and for its end. That takes longer than the whole of a
    cheap answer, and a request that waits for the event loop in between keeps a stopping server from ending. What
    Django makes once a thread, such as the clients of the caches, stays with the thread as under WSGI.
    """

    def __init__(self) -> None:
        super().__init__()
        self._idle: list[ThreadPoolExecutor] = []
        self._busy = 0

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the middlewares for synchronous use."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Read the body, answer in a thread that no other request uses meanwhile, and send the answer."""
        if self._busy >= settings.REQUESTS_AT_ONCE and scope["path"] not in PROBES:
            response = overloaded(scope["path"])
            response._handler_class = self.__class__  # type: ignore[attr-defined]  # Django's; the stubs leave it out.
            await self.send_response(response, send)
            return
        self._busy += 1
        try:
            await self._answer_in_thread(scope, receive, send)
        finally:
            self._busy -= 1

    async def _answer_in_thread(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        # The thread that was used last comes first, so that a quiet server keeps to a few.
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, thread_name_prefix="request")
        try:
            response = await asyncio.get_running_loop().run_in_executor(thread, self._answer, scope, body)
        except BaseException:
            # The client has gone while the thread is still at work.
            thread.shutdown(wait=False)
            raise
        self._idle.append(thread)
        await self.send_response(response, send)

    def _answer(self, scope: dict[str, Any], body: IO[bytes]) -> HttpResponseBase:
        """Return the whole answer, with everything behind it closed."""
        with body:
            scope = _with_length(scope, body)
            set_script_prefix(get_script_prefix(scope))
            request_started.send(sender=self.__class__, scope=scope)
            request, refusal = self.create_request(scope, body)
            # There is one of the two.
            response = self.get_response(request) if request is not None else cast(HttpResponseBase, refusal)
            response._handler_class = self.__class__  # type: ignore[attr-defined]  # As above.
            try:
                return _whole(response)
            finally:
                response.close()


def _with_length(scope: dict[str, Any], body: IO[bytes]) -> dict[str, Any]:
    """Return the scope with the length of a body that came in chunks; Django takes one without for empty."""
    if all(name != b"transfer-encoding" for name, _value in scope["headers"]):
        return scope
    body.seek(0, os.SEEK_END)
    length = body.tell()
    body.seek(0)
    return {**scope, "headers": [*scope["headers"], (b"content-length", b"%d" % length)]}


def _whole(response: HttpResponseBase) -> HttpResponseBase:
    """Return an answer that needs no thread any more: the few that stream are the small files that pages consist of."""
    if not response.streaming:
        return response
    whole = HttpResponse(response.getvalue(), status=response.status_code)
    # Exactly these: a "not modified" that names a type would change what a browser thinks of its copy.
    whole.headers = response.headers
    return whole
