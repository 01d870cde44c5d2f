"""Pages by the last row's own values, so that page one and page one million cost the same."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from django.core import signing
from django.db.models import Q
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000

_SALT = "scheduler_sim.web.pagination"


@runtime_checkable
class PagedRows(Protocol):
    """Rows that lie elsewhere than in the database, in place of a query."""

    def page(
        self, paths: Sequence[str], values: Sequence[Any] | None, lookups: Sequence[str], count: int
    ) -> list[tuple[Any, ...]]:
        """Return `lookups` of the first `count` rows in the order of `paths` behind the row with these values there."""


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _beyond(paths: list[str], values: list[Any]) -> Q:
    """Return the rows after `values` in the order of `paths` (a minus in front means falling).

    The first comparison also stands alone, because a database can walk an index by it, which it cannot by the rest.
    """
    condition = Q()
    equal = Q()
    for path, value in zip(paths, values, strict=True):
        name, comparison = path.lstrip("-"), "lt" if path.startswith("-") else "gt"
        condition |= equal & Q(**{f"{name}__{comparison}": value})
        equal &= Q(**{name: value})
    first, comparison = paths[0].lstrip("-"), "lte" if paths[0].startswith("-") else "gte"
    return Q(**{f"{first}__{comparison}": values[0]}) & condition


def _reversed(paths: list[str]) -> list[str]:
    return [path[1:] if path.startswith("-") else f"-{path}" for path in paths]


class KeysetPagination(BasePagination):
    """Pages of plain rows, by a signed cursor that holds the ordering and the values of the row it stands behind.

    The view says by `orderings()` what rows may be ordered by: a name to a tuple of paths that together are unique
    and never null. Unlike DRF's CursorPagination no row is repeated or lost however many rows tie.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return one page of `queryset` as dictionaries of the view's columns.

        Raises:
            ValidationError: a page size, an ordering or a cursor that is not one of ours.
        """
        self.request = request
        size = self._page_size(request)
        orderings = view.orderings()
        ordering = request.query_params.get("ordering") or next(iter(orderings))
        opposite = _reversed([ordering])[0]
        if ordering in orderings:
            paths = list(orderings[ordering])
        elif opposite in orderings:
            paths = _reversed(list(orderings[opposite]))
        else:
            raise ValidationError({"ordering": [f"Rows can be ordered by {', '.join(orderings)}."]})

        cursor = request.query_params.get("cursor")
        backwards, values = self._position(cursor, ordering, len(paths)) if cursor else (False, None)
        if backwards:
            paths = _reversed(paths)
        columns = view.columns()
        keys = [path.lstrip("-") for path in paths]
        lookups = [*columns.values(), *keys]
        if isinstance(queryset, PagedRows):
            rows = queryset.page(paths, values, lookups, size + 1)
        else:
            if values is not None:
                queryset = queryset.filter(_beyond(paths, values))
            rows = list(queryset.order_by(*paths).values_list(*lookups)[: size + 1])
        more = len(rows) > size
        rows = rows[:size]
        if backwards:
            rows.reverse()
        before = cursor is not None if not backwards else more
        after = more if not backwards else True
        self.previous = self._link(ordering, rows[0], len(keys), backwards=True) if rows and before else None
        self.next = self._link(ordering, rows[-1], len(keys), backwards=False) if rows and after else None
        return [dict(zip(columns, row, strict=False)) for row in rows]

    def _page_size(self, request: Request) -> int:
        raw = request.query_params.get("page_size")
        if not raw:
            return DEFAULT_PAGE_SIZE
        if not (raw.isascii() and raw.isdigit() and len(raw) < 6 and 1 <= int(raw) <= MAX_PAGE_SIZE):
            raise ValidationError({"page_size": [f"A page holds 1 to {MAX_PAGE_SIZE} rows."]})
        return int(raw)

    def _position(self, cursor: str, ordering: str, length: int) -> tuple[bool, list[Any]]:
        refusal = ValidationError({"cursor": ["This cursor does not belong to this list; start without one."]})
        try:
            of_ordering, backwards, values = signing.loads(cursor, salt=_SALT)
        except (signing.BadSignature, ValueError):
            raise refusal from None
        if of_ordering != ordering or len(values) != length:
            raise refusal
        return backwards, values

    def _link(self, ordering: str, row: tuple[Any, ...], keys: int, *, backwards: bool) -> str:
        values = [_plain(value) for value in row[-keys:]]
        cursor = signing.dumps((ordering, backwards, values), salt=_SALT)
        return replace_query_param(self.request.build_absolute_uri(), "cursor", cursor)

    def get_paginated_response(self, data: list[dict[str, Any]]) -> Response:
        """Return the page with the addresses of its neighbours, in the body and in the Link header."""
        links = ", ".join(
            f'<{address}>; rel="{relation}"'
            for relation, address in (("next", self.next), ("prev", self.previous))
            if address
        )
        headers = {"Link": links} if links else None
        return Response({"next": self.next, "previous": self.previous, "results": data}, headers=headers)

    def get_results(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a page."""
        rows: list[dict[str, Any]] = data["results"]
        return rows

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page for the OpenAPI document."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameters for the OpenAPI document."""
        names = sorted({sign + name.lstrip("-") for name in view.documented_orderings() for sign in ("", "-")})
        size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE}
        described = (
            ("cursor", {"type": "string"}, "Where the page begins: taken from `next` or `previous`."),
            ("page_size", size, "Rows on the page."),
            ("ordering", {"type": "string", "enum": names}, "What the rows are ordered by; a minus reverses it."),
        )
        return [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
            for name, schema, text in described
        ]
