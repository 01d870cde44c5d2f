"""The numbers of a table or chart as CSV and JSON."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from scheduler_sim.display.charts import Chart
from scheduler_sim.texts import no_formula

Table = tuple[Sequence[str], Iterable[Sequence[Any]]]


def asked_table(request: HttpRequest, name: str, tables: Mapping[str, Callable[[], Table]]) -> HttpResponse | None:
    """Return the table of a page that `?table=` asks for, as its `format=` says; None when the page itself is wanted.

    Args:
        name: what the files are called, before the table's own name.
        tables: by name, what returns a table's columns and rows.
    """
    wanted = request.GET.get("table")
    if wanted is None:
        return None
    if wanted not in tables or request.GET.get("format") not in ("csv", "json"):
        raise Http404("There is no such table.")
    columns, rows = tables[wanted]()
    return table_response(f"{name}-{wanted}", columns, rows, request.GET["format"])


def csv_response(name: str, rows: Iterable[Sequence[Any]]) -> HttpResponse:
    """Return rows, the first one the head, as a file to save."""
    text = io.StringIO()
    csv.writer(text).writerows([["" if value is None else no_formula(value) for value in row] for row in rows])
    return HttpResponse(
        text.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def table_response(name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], kind: str) -> HttpResponse:
    """Return a table as `csv` or as `json` (a list of objects)."""
    if kind == "csv":
        return csv_response(name, [columns, *rows])
    return JsonResponse(
        [dict(zip(columns, map(_json, row), strict=True)) for row in rows], safe=False, json_dumps_params={"indent": 1}
    )


def charts_response(charts: Mapping[str, Chart]) -> JsonResponse:
    """Return the numbers of all charts of a page."""
    return JsonResponse({"charts": {key: chart.as_json() for key, chart in charts.items()}})


def one_chart_response(place: str, charts: Mapping[str, Chart], key: str, kind: str) -> HttpResponse:
    """Return one of a page's charts as `csv` or `json`.

    Raises:
        Http404: there is no chart called `key`.
    """
    if key not in charts:
        raise Http404("There is no such chart.")
    return chart_response(f"{place}-{key}", charts[key], kind)


def chart_response(name: str, chart: Chart, kind: str) -> HttpResponse:
    """Return a chart's points as `csv` or `json`."""
    return csv_response(name, chart.csv_rows()) if kind == "csv" else JsonResponse(chart.as_json())


def _json(value: Any) -> Any:
    """Return a value with all its digits, as CSV holds it: instants of a trace may be seconds since 1970."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value
