"""The WebSocket addresses."""

from channels.routing import URLRouter
from django.urls import path, re_path

from apps.live.wire.admission import Scope
from apps.live.wire.consumers import LiveConsumer, Receive, RunConsumer
from apps.live.wire.outbox import Send


async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse the handshake of an address that does not exist."""
    await receive()
    await send({"type": "websocket.close"})


urlpatterns = [
    path("ws/live/", LiveConsumer.as_application, name="live-list"),
    path("ws/runs/<int:run_id>/", RunConsumer.as_application, name="live-run"),
    re_path("", refuse),
]
websocket = URLRouter(urlpatterns)
