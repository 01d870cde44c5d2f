"""What `/api/v1/` itself answers: where everything below it is."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from scheduler_sim.web.api import GuardedView


class IndexSerializer(serializers.Serializer):
    """Addresses by name."""

    documentation = serializers.URLField(help_text="Every operation, to read and to try.")
    schema = serializers.URLField(help_text="The OpenAPI document.")
    addresses = serializers.DictField(child=serializers.URLField(), help_text="By what stands behind /api/v1/.")


class IndexView(GuardedView):
    """Where everything is."""

    names: tuple[str, ...] = ()
    """Of the addresses that hold no key."""

    @extend_schema(responses=IndexSerializer)
    def get(self, request: Request) -> Response:
        """Name every address of the API that holds no key."""
        own = reverse("api:index", request=request)
        found = (reverse(f"api:{name}", request=request) for name in self.names)
        return Response(
            {
                "documentation": reverse("api-docs", request=request),
                "schema": reverse("schema", request=request),
                "addresses": {address.removeprefix(own).rstrip("/"): address for address in found},
            }
        )
