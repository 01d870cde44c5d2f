"""An import audit as lines for a page."""

from dataclasses import astuple, dataclass, fields
from typing import Any

from apps.tasks.models import TaskRequest
from scheduler_sim.engine.traces.audit import REASONS


@dataclass(frozen=True)
class AuditLine:
    """One finding: what was done, how often, what it was, and the first places in the file."""

    done: str
    count: int
    what: str
    places: str


def audit_lines(audit: dict[str, Any]) -> list[AuditLine]:
    """Return the findings of a stored audit, what was dropped first."""
    return [
        AuditLine(
            done=kind.capitalize(),
            count=finding["count"],
            what=": ".join([REASONS.get(reason, reason), *_examples(finding)]),
            places=", ".join(map(str, finding["places"]))
            + (" ..." if finding["count"] > len(finding["places"]) else ""),
        )
        for kind in ("dropped", "repaired", "noticed")
        for reason, finding in audit.get(kind, {}).items()
    ]


@dataclass(frozen=True)
class RequestLine:
    """How many tasks ask for one kind of thing."""

    column: str
    what: str
    tasks: int
    share: float


def request_lines(audit: dict[str, Any]) -> list[RequestLine]:
    """Return what tasks ask of a site by a stored audit; nothing where they ask for nothing."""
    asked = audit.get("requests", {})
    return [
        RequestLine(column=name, what=words, tasks=asked[name], share=asked[name] / audit["kept"])
        for name, words in TaskRequest.words().items()
        if name in asked
    ]


def request_table(audit: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return the same lines with the heads of their columns, as a file holds them."""
    return tuple(field.name for field in fields(RequestLine)), [astuple(line) for line in request_lines(audit)]


def _examples(finding: dict[str, Any]) -> list[str]:
    return [", ".join(finding["examples"])] if finding.get("examples") else []


def audit_table(audit: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return the same lines with the heads of their columns, as a file holds them."""
    return tuple(field.name for field in fields(AuditLine)), [astuple(line) for line in audit_lines(audit)]
