"""How a request gets from the event loop to the views and back."""

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http.response import HttpResponseBase


class OneThreadHandler(ASGIHandler):
    """Django's ASGI handler, with the middlewares and the view of a request in one worker thread.

    Every view and most middlewares here are synchronous. Django's own handler would take each of their methods into a
    thread and back, and a request that waits for the event loop in between keeps a stopping server from ending.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        """Load the middlewares for synchronous use."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: ASGIRequest) -> HttpResponseBase:
        """Answer in the thread that belongs to this request."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)
