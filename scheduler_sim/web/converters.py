"""Parts of addresses beside Django's own: `path("charts/<slug:key>.<table:kind>", ...)`."""

from django.urls.converters import StringConverter


class TableFormat(StringConverter):
    """How a table is handed out."""

    regex = "csv|json"


class PictureFormat(StringConverter):
    """How a picture is handed out."""

    regex = "svg|pdf"


class ReportFormat(StringConverter):
    """How a report is handed out."""

    regex = "html|md"


class PolicyName(StringConverter):
    """A policy as it is written, no longer than one is stored."""

    regex = "[^/]{1,100}"
