"""What every admin page of a table with many rows shares."""

from abc import ABC, abstractmethod
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
    """Rows that are evidence: they are looked at, and go only together with their run.

    What is excluded is not read either: it may be many megabytes a row.
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Return the rows without what is excluded."""
        return super().get_queryset(request).defer(*(self.exclude or ()))

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse."""
        return False


class KeyOrderedAdmin(ReadOnlyAdmin):
    """Rows of a table so large that nothing but its keys may sort it: the newest first, of all or of one owner.

    Attributes:
        within: the parameter that names the run or workload whose rows alone are shown; its filter narrows them.
        keys_within: the unique key by which the rows of one are ordered.
    """

    ordering = ("-id",)
    sortable_by = ()
    within = ""
    keys_within: tuple[str, ...] = ()

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Order the rows of one owner by their unique key, all of them by the primary key."""
        return self.keys_within if request.GET.get(self.within) else self.ordering


class NumberedAdmin(KeyOrderedAdmin):
    """Rows of tasks, found by their key, or by the task's number among those of the chosen workload or run."""

    # Only that there is something to search shows the box; `get_search_results` does it.
    search_fields = ("pk",)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Return the rows with that number; both ways are served by a key, at any size of the table."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if not (term.isascii() and term.isdigit() and len(term) < 19):
            return queryset.none(), False
        chosen = request.GET.get(self.within, "")
        found = self.numbered(queryset, int(chosen), int(term)) if chosen.isdigit() else queryset.filter(pk=int(term))
        return found, False

    def numbered(self, queryset: QuerySet, chosen: int, number: int) -> QuerySet:
        """Return the rows of the task with this number, in the workload or run with the key `chosen`."""
        raise NotImplementedError


class RecentChoices(admin.SimpleListFilter, ABC):
    """A filter by a foreign key that offers only the newest rows instead of reading them all.

    Attributes:
        recent: how many are offered.
    """

    recent = 20
    parameter_name: str

    @abstractmethod
    def newest(self) -> QuerySet:
        """Return the rows offered, newest first."""

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
