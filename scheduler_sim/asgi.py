"""The ASGI entry point that daphne serves."""

import os

from django.core.asgi import get_asgi_application

from scheduler_sim import environment

environment.serving = True
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")

application = get_asgi_application()
