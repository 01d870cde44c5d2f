"""The two WebSocket endpoints: what a client may ask, and what it is sent."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from apps.live.play.launch import run_command
from apps.live.wire import admission, messages, replay
from apps.live.wire.history import read_history
from apps.live.wire.hub import current_hub, report_failure
from apps.live.wire.outbox import Outbox, Send
from apps.metrics.prometheus import WEBSOCKET_CONNECTIONS
from apps.results.errors import DomainError
from apps.results.models import Run
from scheduler_sim.accounts import audit
from scheduler_sim.web.frames import frame_writer

LARGEST_MESSAGE = 4096
"""Characters of one client message; the longest that means something has about a hundred."""

MESSAGES_A_SECOND = 100

LARGEST_KEY = 2**63
"""Databases refuse to look for larger numbers."""

Receive = Callable[[], Awaitable[dict[str, Any]]]

_gate = admission.Gate()


class Closed(Exception):
    """The connection must end.

    Attributes:
        code: one of `messages.Close`, None when the client is gone already.
    """

    def __init__(self, code: int | None, error: messages.Error | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.error = error


class LiveConsumer:
    """One connection to /ws/live/: the list of runs.

    A plain ASGI application, because the consumers of Channels cost several times as much a message.
    """

    requests: dict[str, str] = {"ack": "acknowledge", "ping": "ping"}

    def __init__(self, scope: admission.Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.request: HttpRequest = admission.request_of(scope)
        self.outbox = Outbox(send, write=frame_writer(scope))
        self.hub = current_hub()
        self._receive = receive
        self._second, self._received = 0, 0

    @classmethod
    async def as_application(cls, scope: admission.Scope, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake to its end."""
        consumer = cls(scope, receive, send)
        await receive()  # The handshake.
        if not admission.origin_is_ours(consumer.request):
            await send({"type": "websocket.close", "code": 1008})  # Before it is accepted, so it is a 403.
            return
        await send({"type": "websocket.accept"})
        try:
            with consumer._counted():
                await consumer._serve()
        except Closed as closed:
            if closed.error is not None:
                await send({"type": "websocket.send", "text": messages.encode(closed.error)})
            if closed.code is not None:
                await send({"type": "websocket.close", "code": closed.code})

    @contextlib.contextmanager
    def _counted(self) -> Any:
        try:
            with _gate.admitted(self.request), WEBSOCKET_CONNECTIONS.track_inprogress():
                yield
        except admission.TooManyConnections as error:
            raise Closed(messages.Close.TOO_MANY, messages.error("too_many", str(error))) from None

    async def _serve(self) -> None:
        try:
            user = await self.hub.in_database(admission.user_of, self.request)
            if not (settings.API_READ_PUBLIC or user.is_authenticated):
                raise Closed(
                    messages.Close.SIGN_IN_NEEDED, messages.error("forbidden", "Sign in to watch simulations.")
                )
            await self.watch()
            if user.is_authenticated:
                await self._converse_while_known()
            else:
                await self._converse()
        finally:
            self.outbox.close()
            await self.left()
            await self.hub.leave(self.outbox)

    async def _converse(self) -> None:
        while True:
            await self._answer(await self._receive())

    async def _converse_while_known(self) -> None:
        """Converse until the session or the token that the connection was opened with stands for nobody."""
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(None) as until:
                with self.hub.revocations.watched(self.request, lambda: until.reschedule(now())):
                    await self._converse()
        except TimeoutError:
            if not until.expired():
                raise
            sentence = "You are not signed in any more, or your token was withdrawn."
            raise Closed(messages.Close.REVOKED, messages.error("forbidden", sentence)) from None

    async def _answer(self, event: dict[str, Any]) -> None:
        if event["type"] == "websocket.disconnect":
            raise Closed(None)
        self._count_message()
        text = event.get("text")
        if text is not None and len(text) > LARGEST_MESSAGE:
            sentence = f"A message may have {LARGEST_MESSAGE} characters, not {len(text)}."
            raise Closed(messages.Close.TOO_LARGE, messages.error("too_large", sentence))
        try:
            message = messages.decode(text or "")
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            self.refuse("malformed", "A message must be a JSON object with a type and finite numbers.")
            return
        method = self.requests.get(message["type"])
        if method is None:
            known = ", ".join(sorted(self.requests))
            self.refuse("unknown_type", f"There is no message {message['type'][:40]!r} here; there are {known}.")
            return
        await getattr(self, method)(message)

    def _count_message(self) -> None:
        second = int(monotonic())
        if second != self._second:
            self._second, self._received = second, 0
        self._received += 1
        if self._received > MESSAGES_A_SECOND:
            sentence = f"More than {MESSAGES_A_SECOND} messages came in one second."
            raise Closed(messages.Close.TOO_MANY, messages.error("too_many", sentence))

    def refuse(self, code: messages.ErrorCode, sentence: str) -> None:
        """Answer with an error and go on."""
        self.outbox.reply(messages.error(code, sentence))

    async def watch(self) -> None:
        """Begin to send what this connection is for."""
        await self.hub.watch_list(self.outbox)

    async def left(self) -> None:
        """End what this connection began beside the hub."""

    async def acknowledge(self, message: dict[str, Any]) -> None:
        """Take note of what has arrived."""
        sequence = message.get("sequence")
        if isinstance(sequence, bool) or not isinstance(sequence, int):
            self.refuse("malformed", "An ack needs the sequence of the last message as a whole number.")
        else:
            self.outbox.acknowledge(sequence)

    async def ping(self, message: dict[str, Any]) -> None:
        """Answer a ping."""
        self.outbox.reply(messages.pong(message))


class RunConsumer(LiveConsumer):
    """One connection to /ws/runs/<id>/: one run, live or played again."""

    requests = {
        **LiveConsumer.requests,
        **dict.fromkeys(messages.COMMANDS, "command"),
        "replay": "play_again",
        "live": "go_live",
    }

    def __init__(self, scope: admission.Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.run_id: int = scope["url_route"]["kwargs"]["run_id"]
        self._player: asyncio.Task[None] | None = None

    async def watch(self) -> None:
        """Begin to send the run's state."""
        exists = self.run_id < LARGEST_KEY and await self.hub.watch_run(self.run_id, self.outbox)
        if not exists:
            raise Closed(messages.Close.NOT_FOUND, messages.error("not_found", f"There is no run {self.run_id}."))
        if (history := await self.hub.in_database(read_history, self.run_id)) is not None:
            self.outbox.reply(history)

    async def left(self) -> None:
        """End a replay."""
        if self._player is not None:
            self._player.cancel()
            self._player = None

    async def command(self, message: dict[str, Any]) -> None:
        """Pause, resume or stop the run, for those who may."""
        command = message["type"]
        refusal = await self.hub.in_database(_command, self.request, self.run_id, command)
        self.outbox.reply(refusal or messages.accepted(self.run_id, command))

    async def play_again(self, message: dict[str, Any]) -> None:
        """Play the finished run again, instead of its present state."""
        try:
            asked = replay.Request.from_message(message)
        except ValueError as error:
            self.refuse("malformed", str(error))
            return
        await self.left()
        await self.hub.leave(self.outbox)
        self.outbox.forget()
        self._player = asyncio.create_task(self._play(asked))
        self._player.add_done_callback(report_failure)

    async def _play(self, asked: replay.Request) -> None:
        def refuse(sentence: str) -> None:
            self.refuse("refused", sentence)

        if not await replay.play(self.run_id, asked, self.outbox, self.hub.sequence, refuse):
            await self.hub.watch_run(self.run_id, self.outbox)

    async def go_live(self, message: dict[str, Any]) -> None:
        """Show the run's present state again."""
        await self.left()
        self.outbox.forget()
        await self.watch()


def _command(request: HttpRequest, run_id: int, command: messages.Command) -> messages.Error | None:
    """Put a command into the run's queue; return the refusal, if any."""
    if reason := admission.why_not_control(request):
        return messages.error("forbidden", reason)
    try:
        with audit.acting(request):
            run_command(run=Run.objects.get(pk=run_id), command=command)
    except Run.DoesNotExist:
        return messages.error("not_found", f"There is no run {run_id}.")
    except DomainError as error:
        return messages.error("refused", str(error))
    return None
