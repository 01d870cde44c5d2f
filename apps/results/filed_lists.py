"""Pages of the API over placements and attempts that lie in files."""

from collections.abc import Sequence
from typing import Any

from apps.results.filed_rows import FiledRows

SEARCHED_BY = ("run", "scheduler", "task", "task_id")
"""Filters that find rows in files without reading all of them."""

_PAGE_ROWS = 1_000


class FiledList:
    """The rows of one run in files, as `scheduler_sim.web.pagination.PagedRows`.

    Args:
        scheduler: only this policy's, all without.
        task: only the task with this primary key.
    """

    def __init__(self, rows: FiledRows, *, scheduler: str | None = None, task: int | None = None) -> None:
        self._rows = rows
        self._schedulers = None if scheduler is None else [scheduler]
        self._task = task
        self._place = {name: place for place, name in enumerate(rows.schedulers())}

    def page(
        self, paths: Sequence[str], values: Sequence[Any] | None, lookups: Sequence[str], count: int
    ) -> list[tuple[Any, ...]]:
        """Return values of the first rows behind one, in the order of task, policy and number or backwards.

        Args:
            paths: the columns of that order, each with a minus where it is backwards.
            values: of the row before, in these columns; None for the first page.
            lookups: what is returned of each row.
            count: at most so many rows.
        """
        backwards = paths[0].startswith("-")
        bounds = {"first_task": self._task, "last_task": self._task}
        if values is not None and self._task is None:
            bounds["last_task" if backwards else "first_task"] = values[0]
        sign = -1 if backwards else 1
        behind = None if values is None else self._order(values, sign)
        keys = [path.lstrip("-") for path in paths]
        pages = self._rows.pages(
            [*keys, *lookups], _PAGE_ROWS, schedulers=self._schedulers, backwards=backwards, **bounds
        )
        found: list[tuple[Any, ...]] = []
        for page in pages:
            more = [row for row in page if behind is None or self._order(row[: len(keys)], sign) > behind]
            found += [row[len(keys) :] for row in more[: count - len(found)]]
            if len(found) == count:
                break
        return found

    def _order(self, keys: Sequence[Any], sign: int) -> tuple[int, ...]:
        task, scheduler, *number = keys
        return tuple(sign * one for one in (task, self._place.get(scheduler, -1), *number))
