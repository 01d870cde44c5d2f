"""What to cite: the sources of policies, models and traces as BibTeX, the one home of their details.

`references.bib` holds the entries and `sources.yaml` says which of them belong to what.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scheduler_sim.engine.errors import InvalidParameter, unknown_name
from scheduler_sim.engine.policies import READY_MADE
from scheduler_sim.engine.policies.grammar import MARKS, read_parts
from scheduler_sim.engine.policies.placement import DEFAULT_PLACEMENT

__all__ = ["entries", "references", "sources", "sources_of_log", "sources_of_policy"]

_FOLDER = Path(__file__).parent
_KEY = re.compile(r"@\w+\{([^,\s]+),")


@cache
def entries() -> Mapping[str, str]:
    """Return every BibTeX entry by its key, in the order of the file."""
    texts = (_FOLDER / "references.bib").read_text(encoding="utf-8").strip().split("\n\n")
    return {match.group(1): text for text in texts if (match := _KEY.match(text))}


@cache
def sources() -> Mapping[str, Any]:
    """Return what is cited for what: keys of entries by kind (`orders`, `models`, `formats`, ...) and name."""
    return dict(yaml.safe_load((_FOLDER / "sources.yaml").read_text(encoding="utf-8")))


def references(keys: Iterable[str]) -> str:
    """Return a BibTeX file of these entries, each once, sorted by their keys.

    Raises:
        InvalidParameter: there is no such entry.
    """
    known = entries()
    wanted = sorted(set(keys))
    for key in wanted:
        if key not in known:
            raise InvalidParameter(unknown_name("reference", key, list(known)))
    return "\n\n".join(known[key] for key in wanted) + "\n"


def sources_of_policy(name: str) -> list[str]:
    """Return the keys of what to cite for a policy by its name, its order first.

    The default placement is left out, and so is a part that is not registered here, as one that somebody wrote. Of a
    stored order only its kind is known.

    Raises:
        InvalidPolicy: a text that is no policy's name.
    """
    known = sources()
    found: list[str] = []
    written = read_parts(READY_MADE.get(name, name))
    for kind in ("order", *MARKS.values()):
        part = written.get(kind)
        if part is None or (kind == "placement" and part.name == DEFAULT_PLACEMENT):
            continue
        of_kind = known[f"{kind}s"]
        found += of_kind.get(part.name) or known["stored"].get(part.name.partition(":")[0], [])
        for parameter in part.parameters:
            found += known["parameters"].get(f"{part.name}({parameter})", [])
    return list(dict.fromkeys(found))


def sources_of_log(format_name: str, file_name: str, headers: Mapping[str, str]) -> list[str]:
    """Return the keys of what to cite for a trace.

    Args:
        format_name: as the readers call it, such as `swf` or `openb`.
        file_name: of the trace.
        headers: the comments of an SWF log by name.
    """
    known = sources()
    found = list(known["formats"].get(format_name, []))
    if format_name == "swf":
        told = "\n".join((file_name, *headers.values())).lower()
        found += [key for mark, keys in known["logs"].items() if mark in told for key in keys]
    return list(dict.fromkeys(found))
