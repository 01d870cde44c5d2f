"""The ASGI entry point that daphne serves."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from scheduler_sim import environment

environment.serving = True
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

# First of all, because it loads the apps that the WebSocket consumers import.
_http = get_asgi_application()

from apps.live.routing import websocket  # noqa: E402

application = ProtocolTypeRouter({"http": _http, "websocket": websocket})
