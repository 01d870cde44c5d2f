"""Answers of the API as CSV, and as pages to a browser."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer

from scheduler_sim.texts import no_formula

_INLINE_STYLE = ' style="float: right; margin-right: 10px"'


class ApiPageRenderer(BrowsableAPIRenderer):
    """DRF's pages without inline styles, which the security policy forbids; static/css/api-pages.css has the rules."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> str:
        """Return the page."""
        return super().render(data, accepted_media_type, renderer_context).replace(_INLINE_STYLE, "")


class CsvRenderer(BaseRenderer):
    """The rows of a list as CSV: a line of names, then one line a row; what is no plain value is JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> str:
        """Return the text; a page's neighbours are in the Link header."""
        rows = data["results"]
        output = io.StringIO()
        if rows:
            writer = csv.DictWriter(output, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
        return output.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=str)
    return no_formula(value)
