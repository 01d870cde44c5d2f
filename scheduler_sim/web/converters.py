"""Parts of addresses beside Django's own: `path("charts/<slug:key>.<table:kind>", ...)`."""

from django.urls.converters import StringConverter


class TableFormat(StringConverter):
    """How a table is handed out."""

    regex = "csv|json"


class ReportFormat(StringConverter):
    """How a report is handed out."""

    regex = "html|md"
