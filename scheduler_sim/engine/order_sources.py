"""Where orders written `prefix:name` come from; a module of its own, which brings no policy along."""

from collections.abc import Callable
from typing import Any

ORDER_SOURCES: dict[str, Callable[[str], Any]] = {}
"""By prefix, what returns the `Order` of a name; whoever stores such orders registers itself here."""
