"""Where parts of policies written `prefix:name` come from; a module of its own, which brings no policy along."""

from collections.abc import Callable
from typing import Any

PART_SOURCES: dict[str, Callable[[str, str], Any]] = {}
"""By prefix, what returns a part of a name: given the kind, `order` or `placement`, and the name, the `Order` or
`Placement`. Whoever stores such parts registers itself here."""
