"""What every endpoint of the API shares: strict JSON, rows straight from the database, refused misspellings."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Model, QuerySet
from django.http import Http404
from django_filters import FilterSet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework import serializers, viewsets
from rest_framework.exceptions import AuthenticationFailed, ParseError, ValidationError
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from scheduler_sim.engine.storable import unstorable
from scheduler_sim.web.errors import TooLarge
from scheduler_sim.web.pagination import KeysetPagination
from scheduler_sim.web.renderers import CsvRenderer

MAX_JSON_BYTES = 2**20
LARGEST_KEY = 2**63 - 1


class StrictJSONParser(JSONParser):
    """JSON that any database can store: of bounded size and depth, without NUL or half a surrogate pair."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Return the document.

        Raises:
            ParseError: no JSON, nested too deeply, or with text that cannot be stored.
            TooLarge: more than `MAX_JSON_BYTES`.
        """
        content = stream.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise TooLarge(f"A JSON document may hold {MAX_JSON_BYTES} bytes.")
        try:
            document = super().parse(io.BytesIO(content), media_type, parser_context)
            refused = unstorable(document)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply.") from None
        if refused:
            raise ParseError("JSON parse error - NUL, or half of a surrogate pair, in a text.")
        return document


def columns_of(model: type[Model], *, but: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the names of a table's columns in their order, without those of `but`."""
    return tuple(field.name for field in model._meta.concrete_fields if field.name not in but)


class StrictSerializer(serializers.Serializer):
    """A document whose every field is known: a misspelt one would be ignored, and its default taken."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the fields.

        Raises:
            ValidationError: a field that does not exist, or what else is wrong with the others.
        """
        if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(self.fields))):
            sentence = f"There is no such field. Known ones: {', '.join(self.fields)}."
            raise ValidationError({name: [sentence] for name in unknown})
        return super().to_internal_value(data)


class GuardedView(APIView):
    """Counts requests before it looks at permissions, and refuses query parameters that mean nothing.

    Attributes:
        parameters: names of the query parameters the view reads itself.
    """

    parameters: frozenset[str] = frozenset()
    parser_classes: Sequence[type[BaseParser]] = (StrictJSONParser,)

    def perform_authentication(self, request: Request) -> None:
        """Authenticate; credentials that are refused are counted like requests of somebody unknown."""
        try:
            super().perform_authentication(request)
        except AuthenticationFailed:
            self.check_throttles(request)
            raise

    def check_permissions(self, request: Request) -> None:
        """Count the request first, so that refusals are limited too."""
        self.check_throttles(request)
        super().check_permissions(request)

    def check_throttles(self, request: Request) -> None:
        """Count the request once."""
        if "_counted" not in vars(request):
            vars(request)["_counted"] = True
            super().check_throttles(request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check everything that can be checked before the view itself runs."""
        super().initial(request, *args, **kwargs)
        if request.method not in self.allowed_methods:
            return
        known = self.known_parameters() | {"format"}
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            sentence = f"There is no such parameter. Known ones: {', '.join(sorted(known))}."
            raise ValidationError({name: [sentence] for name in unknown})

    def known_parameters(self) -> set[str]:
        """Return the names of the query parameters that mean something."""
        return set(self.parameters)


class RowsViewSet(GuardedView, viewsets.GenericViewSet):
    """Lists and shows rows of one table, read as plain values and never as model instances.

    The serializer names the table, unless there is a `queryset`, and the columns: each field's source is a path in the
    database. A list costs one query whatever its size.

    Attributes:
        sent_serializer_class: what is sent to make a row, where that can be done; OPTIONS and the page's form show it.
        row_orderings: what a list may be ordered by: names to paths that together are unique and never null; the
            first is the default.
        within: the parameter that names the run or the workload whose rows alone a list then holds.
        orderings_within: what its rows may be ordered by as well, before the others; over all rows of the table no
            index serves them.
    """

    filter_backends = (DjangoFilterBackend,)
    pagination_class = KeysetPagination
    lookup_value_regex = "[0-9]{1,19}"
    serializer_class: type[serializers.ModelSerializer]
    sent_serializer_class: type[serializers.Serializer] | None = None
    queryset: QuerySet[Any] | None
    filterset_class: type[FilterSet] | None = None
    row_orderings: dict[str, tuple[str, ...]] = {"-id": ("-id",)}
    within = ""
    orderings_within: dict[str, tuple[str, ...]] = {}

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows to choose from."""
        if self.queryset is None:
            model: type[Model] = self.serializer_class.Meta.model
            return model._default_manager.all()
        return super().get_queryset()

    def get_renderers(self) -> list[BaseRenderer]:
        """Offer lists as CSV too (also to a method that is not known here, which is then what is refused)."""
        renderers = super().get_renderers()
        return [*renderers, CsvRenderer()] if self.action in ("list", None) else renderers

    def orderings(self) -> dict[str, tuple[str, ...]]:
        """Return what this request may order by; the first is the default."""
        if self.request.query_params.get(self.within):
            return self.orderings_within | self.row_orderings
        return self.row_orderings

    def documented_orderings(self) -> list[str]:
        """Return every name that some request may order by."""
        return [*self.row_orderings, *self.orderings_within]

    def known_parameters(self) -> set[str]:
        """Return the filters and the parameters of a page, for a list."""
        if self.action != "list":
            return super().known_parameters()
        filters = set(self.filterset_class.base_filters) if self.filterset_class else set()
        return super().known_parameters() | filters | {"cursor", "page_size", "ordering"}

    def get_serializer_class(self) -> type[serializers.Serializer]:
        """Return what is sent where a row is made, else what a row is."""
        if self.sent_serializer_class and self.action in ("create", "metadata"):
            return self.sent_serializer_class
        return self.serializer_class

    def columns(self) -> dict[str, str]:
        """Return the names of the columns and where they come from."""
        # What was made is answered as the row that it is.
        serializer = self.serializer_class if self.action == "create" else self.get_serializer_class()
        fields = serializer().fields.items()
        return {name: (field.source or name).replace(".", "__") for name, field in fields}

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one page."""
        rows = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(rows)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one row."""
        return Response(self.row(kwargs[self.lookup_field]))

    def row(self, key: str) -> dict[str, Any]:
        """Return the row with the primary key `key`.

        Raises:
            Http404: there is none.
        """
        columns = self.columns()
        found = None
        if int(key) <= LARGEST_KEY:
            found = self.get_queryset().filter(pk=key).values_list(*columns.values()).first()
        if found is None:
            raise Http404
        return dict(zip(columns, found, strict=True))
