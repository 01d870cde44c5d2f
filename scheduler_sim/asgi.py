"""The ASGI entry point that daphne serves."""

import os
import sys

import django
from channels.routing import ProtocolTypeRouter
from django.core.exceptions import ImproperlyConfigured

from scheduler_sim import environment

environment.serving = True
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

# First of all, because the WebSocket consumers import the apps' models.
try:
    django.setup(set_prefix=False)
except ImproperlyConfigured as error:
    # The sentence alone; where the setting was read helps nobody.
    sys.exit(str(error))

from apps.live.wire.routing import websocket  # noqa: E402
from scheduler_sim.background.connections import warn_of_too_few  # noqa: E402
from scheduler_sim.background.sweep import Sweeper  # noqa: E402
from scheduler_sim.web.handler import OneThreadHandler  # noqa: E402
from scheduler_sim.web.warm import warm  # noqa: E402

if protocol := sys.modules.get("daphne.http_protocol"):
    from scheduler_sim.web.edge import guard
    from scheduler_sim.web.sockets import offer_frames

    guard(protocol)
    offer_frames()

warm()
warn_of_too_few()
# Ends what died and starts what waits, as long as the server lives.
Sweeper().start()
application = ProtocolTypeRouter({"http": OneThreadHandler(), "websocket": websocket})
