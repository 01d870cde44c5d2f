"""What every admin page of a table with many rows shares."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

REACHABLE_ROWS = 10_000
"""How far a change list can be paged through; beyond that a filter is the better tool."""


class BoundedPaginator(Paginator):
    """Counts no further than `REACHABLE_ROWS`, so that a page of a table with millions of rows costs the same."""

    @cached_property
    def count(self) -> int:
        """The number of rows, or `REACHABLE_ROWS` where there are more."""
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by()[:REACHABLE_ROWS].count()
        return min(len(rows), REACHABLE_ROWS)


class BigTableAdmin(admin.ModelAdmin):
    """A page that reads one screen of rows and never the whole table."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 100
    list_max_show_all = 0

    def do_to_each(
        self, request: HttpRequest, rows: QuerySet, act: Callable[[Any], object], refusal: type[Exception]
    ) -> list[Any]:
        """Do something to each row, say why where it is refused, and return the rows to which it was done."""
        done = []
        for row in rows:
            try:
                act(row)
            except refusal as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                done.append(row)
        return done


class ReadOnlyAdmin(BigTableAdmin):
    """Rows that are evidence: they are looked at, and go only together with their run."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False


class RecentChoices(admin.SimpleListFilter):
    """A filter by a foreign key that offers only the newest rows instead of reading them all.

    Attributes:
        recent: how many are offered.
    """

    recent = 20
    parameter_name: str

    def newest(self) -> QuerySet:
        """Return the rows offered, newest first."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Return the choices; the one in the address is among them even when it is older."""
        choices = {str(key): name for key, name in self.newest().values_list("pk", "name")[: self.recent]}
        chosen = self.value()
        if chosen and chosen.isdigit() and chosen not in choices:
            choices[chosen] = f"number {chosen}"
        return list(choices.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Narrow to the chosen one."""
        chosen = self.value()
        if not chosen:
            return queryset
        return queryset.filter(**{self.parameter_name: chosen}) if chosen.isdigit() else queryset.none()
