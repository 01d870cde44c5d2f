"""What the OpenAPI document says beyond what drf-spectacular reads from the views."""

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.urls import reverse
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from scheduler_sim.web.errors import MEDIA_TYPE

PROBLEM = {
    "type": "object",
    "description": "An error. `errors` has sentences by field where fields are at fault.",
    "required": ["type", "title", "status", "detail", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        "request_id": {"type": "string"},
    },
}

_ALWAYS = {
    400: "A parameter or the document has no meaning.",
    401: "Who asks is not known, and has to be.",
    403: "Who asks is known and may not.",
    404: "There is nothing at this address.",
    405: "This address does not know that method.",
    406: "None of the media types accepted can be given.",
    429: "Too many requests; Retry-After says how long to wait.",
    503: "The database does not answer, or there is too much to do.",
}
_WHEN_SENDING = {
    409: "The state of things does not allow it.",
    413: "The document is too large.",
    415: "The document is of a type that is not read here.",
}


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add what holds for every operation: errors, open reading, empty parameters (a postprocessing hook)."""
    for_staff = reverse("api:audit-list")
    result["components"].setdefault("schemas", {})["Problem"] = PROBLEM
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if method == "get" and settings.API_READ_PUBLIC and not path.startswith(for_staff):
                # One of several ways to be known, the last of which is not to be.
                operation["security"] = [*operation.get("security", []), {}]
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query" and parameter["schema"] != {"type": "string"}:
                    # An empty value is the same as none, as forms send it.
                    parameter["schema"] = {"anyOf": [parameter["schema"], {"type": "string", "maxLength": 0}]}
            answers = _ALWAYS if method == "get" else {**_ALWAYS, **_WHEN_SENDING}
            for status, description in answers.items():
                operation["responses"].setdefault(str(status), {"description": description, "content": content})
    return result


class StrictDocuments(OpenApiSerializerExtension):
    """Says of the documents that refuse fields they do not know that they do (drf-spectacular finds it by itself)."""

    target_class = "scheduler_sim.web.api.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        """Return the schema of the serializer."""
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}


class SchemaView(SpectacularAPIView):
    """The OpenAPI document, built once a process: it takes a second and changes only with the code."""

    def _get_schema_response(self, request: Request) -> Response:
        return Response(
            _document(settings.API_READ_PUBLIC),
            headers={"Content-Disposition": 'inline; filename="scheduler-sim.yaml"'},
        )


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI from this host, with its script and style apart from the page, as the security policy wants."""

    http_method_names = ["get", "head"]
    url_name = "schema"
    template_name = "api/docs.html"


@lru_cache(maxsize=2)
def _document(_read_public: bool) -> dict[str, Any]:
    # Whether reading is open is the one setting that the document depends on (see `complete`).
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document
