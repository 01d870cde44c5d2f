"""A leaderboard as HTML, for notebooks."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

SHOWN = (
    ("mean_job_completion_time", "mean JCT, s", ",.0f"),
    ("p95_job_completion_time", "p95 JCT, s", ",.0f"),
    ("mean_wait_time", "mean wait, s", ",.0f"),
    ("mean_bounded_slowdown", "slowdown", ",.2f"),
    ("makespan", "makespan, s", ",.0f"),
    ("cpu_utilisation", "CPU", ".1%"),
    ("gpu_utilisation", "GPU", ".1%"),
    ("wins", "wins", ",d"),
)
"""The figures shown: name, head and format. Those that no policy has are left out."""


def as_page(title: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> str:
    """Return a table of the main figures by policy, with what must be known to read them below it."""
    shown = [column for column in SHOWN if any(row[column[0]] is not None for row in rows)]
    heads = "".join(f"<th>{escape(head)}</th>" for _, head, _ in shown)
    lines = "".join(
        f"<tr><th style='text-align:left'>{escape(row['policy'])}</th>"
        + "".join(f"<td>{'' if row[name] is None else format(row[name], form)}</td>" for name, _, form in shown)
        + "</tr>"
        for row in rows
    )
    below = "".join(f"<p><small>{escape(note)}</small></p>" for note in notes)
    return (
        f"<table><caption>{escape(title)}</caption><thead><tr><th style='text-align:left'>policy</th>{heads}</tr>"
        f"</thead><tbody>{lines}</tbody></table>{below}"
    )
