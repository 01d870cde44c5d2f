"""The ASGI entry point that daphne serves."""

import os

import django
from channels.routing import ProtocolTypeRouter

from scheduler_sim import environment

environment.serving = True
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

# First of all, because the WebSocket consumers import the apps' models.
django.setup(set_prefix=False)

from apps.live.routing import websocket  # noqa: E402
from scheduler_sim.handler import OneThreadHandler  # noqa: E402

application = ProtocolTypeRouter({"http": OneThreadHandler(), "websocket": websocket})
