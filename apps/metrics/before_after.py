"""One policy's figures before and after a change: as a table, and in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.metrics.groups import PolicyGroups
from apps.metrics.leaderboard import FIGURE_COLUMNS, Cell, Column, figure_cell
from apps.metrics.models import GroupMetric, Metric
from scheduler_sim.display.formatting import change_in_words, figure_scale, percent_change, scale_of
from scheduler_sim.engine.measuring.figures import FIGURES

BEFORE, AFTER = "the run as it was", "the change"
"""What sentences call the two sides."""

_NOT_COMPARED = frozenset(("regret", "wins"))
"""Figures that tell of a policy beside the others of its run."""

FIGURE_NAMES = tuple(name for name in ("p95_wait_time", *FIGURE_COLUMNS) if name not in _NOT_COMPARED)

CLEAR_CHANGE = 0.005
"""Below half a percent a figure is said not to change."""


@dataclass(frozen=True)
class FigureRow:
    """One figure on both sides, and how the second differs from the first."""

    name: str
    before: Cell
    after: Cell

    @property
    def texts(self) -> tuple[str, str]:
        """Both values with their unit."""
        return self.before.scale.with_unit(self.before.value), self.after.scale.with_unit(self.after.value)

    @property
    def direction(self) -> str:
        """The change with an arrow in front, empty where there is none to speak of."""
        values = self.before.value, self.after.value
        if not self.after.change or values[0] is None or values[1] is None:
            return ""
        return f"{'▲' if values[1] > values[0] else '▼'} {self.after.change}"


@dataclass(frozen=True)
class BeforeAfter:
    """One policy before and after a change.

    Attributes:
        policy: after the change. against: before it; most often the same one.
    """

    policy: str
    against: str
    before: Metric
    after: Metric
    groups_before: Sequence[GroupMetric]
    groups_after: Sequence[GroupMetric]

    @classmethod
    def of(cls, pair: Mapping[str, Any], figures: Mapping[str, Any]) -> "BeforeAfter":
        """Read one of the pairs of a stored answer."""
        return cls(
            policy=pair["policy"],
            against=pair["against"],
            before=Metric(**figures["before"][pair["against"]]),
            after=Metric(**figures["after"][pair["policy"]]),
            # Numbered as they are written, which is the order of names, sizes and hours.
            groups_before=[GroupMetric(pk=number, **group) for number, group in enumerate(pair["before"])],
            groups_after=[GroupMetric(pk=number, **group) for number, group in enumerate(pair["after"])],
        )

    @property
    def rows(self) -> list[FigureRow]:
        """The main figures; those that are empty or zero on both sides are left out."""
        rows = []
        for name in FIGURE_NAMES:
            values = [getattr(self.before, name), getattr(self.after, name)]
            if any(values):
                rows.append(self.row(name))
        return rows

    def row(self, name: str) -> FigureRow:
        """Return one figure on both sides."""
        values = [getattr(self.before, name), getattr(self.after, name)]
        column = Column(name, figure_scale(name, values), compared=True)
        after = figure_cell(self.after, self.before, column)
        if FIGURES[name].quantity == "share" and None not in values:
            # More nodes are less in use, which is neither better nor worse.
            points = (values[1] - values[0]) * 100
            after = replace(after, share=None, change=f"{points:+.1f} points" if abs(points) >= 0.05 else "")
        return FigureRow(name, figure_cell(self.before, self.before, column), after)

    @property
    def sentence(self) -> str:
        """What the change does to waits and completion times."""
        under = f"Under {self.policy}" if self.policy == self.against else f"Under {self.policy} after {self.against}"
        parts = [
            _changed("tasks wait", self.before.mean_wait_time, self.after.mean_wait_time),
            _changed("they complete in", self.before.mean_job_completion_time, self.after.mean_job_completion_time),
        ]
        if not all(parts):
            return f"{under} no task finishes on both sides, so there is nothing to compare."
        return f"{under} {' and '.join(parts)} on average."

    def kinds(self) -> list[str]:
        """Return by what the groups are told apart."""
        stored = {group.grouped_by for group in self.groups_after}
        return [value for value in GroupMetric.GroupedBy.values if value in stored]

    def groups(self, grouped_by: str) -> PolicyGroups:
        """Return the groups of one kind, those that lose most first."""
        after, before = (
            [group for group in side if group.grouped_by == grouped_by]
            for side in (self.groups_after, self.groups_before)
        )
        return PolicyGroups(after, before, AFTER)


def _changed(what: str, before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return ""
    scale = scale_of("seconds", [before, after])
    if abs(after - before) <= CLEAR_CHANGE * before:
        return f"{what} {scale.with_unit(after)} as before"
    change = f" ({change_in_words(after, before, more='longer', less='shorter')})" if before and after else ""
    return f"{what} {scale.with_unit(after)} instead of {scale.with_unit(before)}{change}"


def changes_table(pairs: Sequence[BeforeAfter]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return the head and the rows of all pairs and figures, in stored units."""
    head = ("policy", "against", "figure", "before", "after", "change")
    return head, [
        (
            pair.policy,
            pair.against,
            row.name,
            row.before.value,
            row.after.value,
            percent_change(row.after.value, row.before.value),
        )
        for pair in pairs
        for row in pair.rows
    ]
