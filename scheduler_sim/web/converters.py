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


class InstantOfRun(StringConverter):
    """An instant inside an address: any short text, of which the view says what is wrong with it."""

    regex = "[^/]{1,40}"

    def to_url(self, value: object) -> str:
        """Write a number so that it is read back as the same."""
        return number_text(value) if isinstance(value, float) else str(value)


def number_text(value: float) -> str:
    """Return the shortest text that is read back as exactly this number: `5`, `0.1`, `1e+300`."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
