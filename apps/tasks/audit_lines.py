"""An import audit as lines for a page."""

from typing import Any, NamedTuple

from scheduler_sim.engine.traces.audit import REASONS


class AuditLine(NamedTuple):
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


def _examples(finding: dict[str, Any]) -> list[str]:
    return [", ".join(finding["examples"])] if finding.get("examples") else []


def audit_table(audit: dict[str, Any]) -> tuple[tuple[str, ...], list[AuditLine]]:
    """Return the same lines with the heads of their columns, as a file holds them."""
    return AuditLine._fields, audit_lines(audit)
