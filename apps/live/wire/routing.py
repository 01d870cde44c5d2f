"""The WebSocket addresses."""

from typing import Any, cast

from channels.routing import URLRouter
from django.urls import path, re_path

from apps.live.wire.admission import Scope
from apps.live.wire.consumers import LiveConsumer, Receive, RunConsumer
from apps.live.wire.outbox import Send


async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse the handshake of an address that does not exist."""
    await receive()
    await send({"type": "websocket.close"})


# The router calls what stands here as ASGI applications; by its types `path` takes views alone.
urlpatterns: list[Any] = [
    path("ws/live/", cast(Any, LiveConsumer.as_application), name="live-list"),
    path("ws/runs/<int:run_id>/", cast(Any, RunConsumer.as_application), name="live-run"),
    re_path("", cast(Any, refuse)),
]
websocket = URLRouter(urlpatterns)
