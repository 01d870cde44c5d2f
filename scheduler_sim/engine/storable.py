"""Which texts a database can hold."""

import json
import re
from typing import Any

_REFUSED = re.compile(r"(?<!\\)(?:\\\\)*\\u0000|[\ud800-\udfff]")
"""In JSON whose other characters stand for themselves."""


def unstorable(document: Any) -> bool:
    """Tell whether a text or key of a JSON document holds NUL or half of a surrogate pair, which PostgreSQL refuses.

    Raises:
        RecursionError: it is nested too deeply.
    """
    return _REFUSED.search(json.dumps(document, ensure_ascii=False)) is not None
