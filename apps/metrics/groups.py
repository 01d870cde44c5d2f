"""Who wins and who loses under a policy, as pages and reports tell it: in words, as a table, as a chart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import urlencode

from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Run
from scheduler_sim.display.appearance import appearance
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable
from scheduler_sim.display.formatting import Scale, duration, figure_scale, scale_of
from scheduler_sim.engine.measuring.groups import LARGEST

DRAWN = 8
"""At most so many of those who lose most, and of those who gain most, are drawn."""

PLURALS = {
    "user": "users",
    "group": "accounts",
    "queue": "partitions",
    "qos": "QOS",
    "size": "sizes",
    "length": "run times",
    "kind": "kinds",
    "hour": "hours",
}

COLUMNS = (
    "task_count",
    "mean_wait_time",
    "base_wait_time",
    "p50_wait_time",
    "p95_wait_time",
    "mean_bounded_slowdown",
    "core_hours",
    "gpu_hours",
    "energy_joules",
    "cost_usd",
    "carbon_kg",
    "electricity_usd",
)
"""Figures of the table."""

_WHERE_KNOWN = ("gpu_hours", "energy_joules", "cost_usd", "carbon_kg", "electricity_usd")
"""Of them, those that are left out where no group has any."""

FOLDED_COLUMNS = frozenset(("energy_joules", "cost_usd", "electricity_usd"))
"""Of them, those that are shown only where all are asked for, or the table is sorted by them."""

WAITS = ("mean_wait_time", "base_wait_time", "p50_wait_time", "p95_wait_time")

SORTS = ("name", *COLUMNS, "difference", "later_share")

EXPORT = tuple(field.name for field in GroupMetric._meta.concrete_fields if field.name not in ("id", "run"))


def label(group: GroupMetric) -> str:
    """Return what a table calls the group."""
    if group.merged_count:
        return f"{group.merged_count:,} others"
    if group.grouped_by == "hour":
        return f"{group.name}:00 to {(int(group.name) + 1) % 24:02}:00"
    return group.name or "not stated"


def described(group: GroupMetric) -> str:
    """Return what a sentence calls the group's tasks, in the plural."""
    name = label(group)
    if group.grouped_by == "hour":
        return f"tasks that arrive from {name}"
    if group.grouped_by == "kind":
        return f"{name} tasks"
    if group.grouped_by in ("size", "length"):
        return f"tasks of {name}" if group.grouped_by == "size" else f"tasks that run {name}"
    if group.merged_count:
        return f"tasks of the {group.merged_count:,} other {PLURALS[group.grouped_by]}"
    what = GroupMetric.GroupedBy(group.grouped_by).label
    what = what if what == "QOS" else what.lower()
    return f"tasks of {what} {group.name}" if group.name else f"tasks that state no {what}"


@dataclass(frozen=True)
class Column:
    """One column of figures: what it is sorted by, the figure that it shows, how it is written, and its own head."""

    name: str
    figure: str
    scale: Scale
    head: str = ""


@dataclass(frozen=True)
class GroupRow:
    """One group under one policy, beside the base.

    Attributes:
        base_wait_time: the group's mean wait under the base.
    """

    group: GroupMetric
    base_wait_time: float

    @property
    def label(self) -> str:
        """What the table calls it."""
        return label(self.group)

    @property
    def query(self) -> str:
        """What an address names the group and the policy by."""
        group = self.group
        which = {"others": "1"} if group.merged_count else {"name": group.name}
        return urlencode({"by": group.grouped_by, **which, "policy": group.scheduler})

    @property
    def later_share(self) -> float:
        """Part of its tasks that complete later than under the base."""
        return self.group.later_count / self.group.task_count

    def value(self, name: str) -> Any:
        """Return a figure by the name of its column."""
        return getattr(self if name in ("base_wait_time", "later_share") else self.group, name)


class PolicyGroups:
    """The groups of one kind under one policy of a run, those that lose most first.

    Args:
        groups: of that policy. base: the same ones under the run's first policy.
    """

    def __init__(self, groups: Iterable[GroupMetric], base: Iterable[GroupMetric], scheduler: str) -> None:
        waits = {(group.merged_count, group.name): group.mean_wait_time for group in base}
        self.scheduler = scheduler
        self.rows = sorted(
            (GroupRow(group, waits[group.merged_count, group.name]) for group in groups),
            key=lambda row: -row.group.difference,
        )

    @cached_property
    def told_apart(self) -> list[GroupRow]:
        """The rows of single groups, without that of all others."""
        return [row for row in self.rows if not row.group.merged_count]

    @cached_property
    def worse(self) -> list[GroupRow]:
        """Groups that clearly lose, the most first."""
        return [row for row in self.told_apart if row.group.verdict == "worse"]

    @cached_property
    def better(self) -> list[GroupRow]:
        """Groups that clearly gain, the most first."""
        return [row for row in reversed(self.told_apart) if row.group.verdict == "better"]

    def sorted_by(self, sort: str) -> list[GroupRow]:
        """Return the rows as the sort key says: a name of `SORTS`, `-` in front for descending."""
        key, backwards = sort.removeprefix("-"), sort.startswith("-")
        if key == "name":
            # The order in which they were written is that of names, sizes and hours.
            return sorted(self.rows, key=lambda row: row.group.pk, reverse=backwards)
        return sorted(self.rows, key=lambda row: row.value(key) or 0.0, reverse=backwards)

    @cached_property
    def _told(self) -> list[str]:
        """The columns of which there is something to tell."""
        return [
            name for name in COLUMNS if name not in _WHERE_KNOWN or any(getattr(row.group, name) for row in self.rows)
        ]

    def folded(self, sort: str) -> list[str]:
        """Return the columns that a table sorted by `sort` has and does not show until all are asked for."""
        return [name for name in self._told if name in FOLDED_COLUMNS and name != sort.removeprefix("-")]

    def columns(self, base: str, folded: Iterable[str] = ()) -> list[Column]:
        """Return the columns of the table but those that are folded; all waits have one unit."""
        names = [name for name in self._told if name not in folded]
        values = {name: [row.value(name) for row in self.rows] for name in names}
        waits = scale_of("seconds", [wait for name in WAITS for wait in values[name]])
        return [
            Column(
                name,
                "mean_wait_time" if name == "base_wait_time" else name,
                waits if name in WAITS else figure_scale(name, values[name]),
                f"Mean wait, {base}" if name == "base_wait_time" else "",
            )
            for name in names
        ]

    def differences(self) -> Scale:
        """Return how the differences and the ends of their intervals are written."""
        return scale_of("seconds", [row.group.difference for row in self.rows])

    def sentences(self, base: str) -> list[str]:
        """Return who loses most and who gains most against the base, and how many do."""
        if not self.rows:
            return []
        if self.scheduler == base:
            return [f"{base} is the base: choose another policy to see who wins and who loses against it."]
        plural = PLURALS[self.rows[0].group.grouped_by]
        return [self._losers(base, plural), self._winners(base, plural), self._counts(plural)]

    def _losers(self, base: str, plural: str) -> str:
        if self.worse:
            group = self.worse[0].group
            return (
                f"{_capital(described(group))} lose most under {self.scheduler}: {_by_how_much(group, 'later', base)}."
            )
        sentence = f"None of the {plural} clearly loses under {self.scheduler}"
        most = next(iter(self.told_apart), None)
        if most is None or most.group.difference <= 0:
            return f"{sentence}."
        few = "few" if most.group.difference_low is None else "varied"
        return (
            f"{sentence}; {described(most.group)} complete {duration(most.group.difference)} later on average, but "
            f"these {most.group.task_count:,} are too {few} to tell that from chance."
        )

    def _winners(self, base: str, plural: str) -> str:
        if not self.better:
            return f"None of the {plural} clearly gains."
        group = self.better[0].group
        return f"{_capital(described(group))} gain most: {_by_how_much(group, 'sooner', base)}."

    def _counts(self, plural: str) -> str:
        merged = sum(row.group.merged_count for row in self.rows)
        told = (
            f"Of {len(self.told_apart):,} {plural}" if not merged else f"Of the {LARGEST} {plural} with the most tasks"
        )
        sentence = f"{told}, {_clearly(self.worse, 'lose')} and {_clearly(self.better, 'gain')}"
        if unclear := len(self.told_apart) - len(self.worse) - len(self.better):
            few = sum(row.group.difference_low is None for row in self.told_apart)
            told_few = f" ({few:,} with too few tasks)" if few else ""
            sentence += f"; {unclear:,} {'does' if unclear == 1 else 'do'} neither{told_few}"
        return f"{sentence}; {merged:,} others are taken together." if merged else f"{sentence}."

    def chart(self, base: str) -> Chart:
        """Draw the differences of those who lose most and of those who gain most, with their intervals."""
        known = [row for row in self.rows if row.group.difference_low is not None]
        drawn = known if len(known) <= 2 * DRAWN else [*known[:DRAWN], *known[-DRAWN:]]
        look = appearance(self.scheduler)
        series, table = [], []
        for row in drawn if self.scheduler != base else []:
            group = row.group
            ends = [group.difference_low, group.difference, group.difference_high]
            series.append(Series(row.label, ends, [row.label] * 3, look.colour, look.dash))
            table.append((row.label, *(duration(end) for end in ends)))
        finding = "There is nothing to compare." if not series else self.sentences(base)[0]
        if series and len(drawn) < len(known):
            finding += (
                f" Drawn are {DRAWN} who lose most and {DRAWN} who gain most, of {len(known):,} with 60 tasks or more."
            )
        head = GroupMetric.GroupedBy(self.rows[0].group.grouped_by).label if self.rows else "Group"
        one = head if head == "QOS" else head.lower()
        return Chart(
            "groups",
            "interval",
            f"Difference from {base}, {one} by {one}",
            finding,
            Axis("Mean JCT minus the base's", "s"),
            Axis(head, "", "category"),
            series,
            TextTable((head, "Low (95%)", "Mean", "High (95%)"), table),
        )


def grouped_by_of(run: Run) -> list[str]:
    """Return by what the groups of a run can be told apart, in the order of the choices."""
    stored = set(GroupMetric.objects.filter(run=run).order_by().values_list("grouped_by", flat=True).distinct())
    return [value for value in GroupMetric.GroupedBy.values if value in stored]


def best_beside(run: Run) -> str:
    """Return the policy in front among those that are not the base, the base where there is no other."""
    ranked = Metric.objects.leaderboard(run).exclude(scheduler=run.policies[0])
    best: str | None = ranked.values_list("scheduler", flat=True).first()
    return best or run.policies[0]


def told_of_run(run: Run, scheduler: str = "") -> list[tuple[str, str]]:
    """Return who loses and who gains under a policy, by default the best, a text a way to group."""
    scheduler, base = scheduler or best_beside(run), run.policies[0]
    if scheduler == base:
        return []
    return [
        (GroupMetric.GroupedBy(by).label, " ".join(policy_groups(run, by)[scheduler].sentences(base)))
        for by in grouped_by_of(run)
    ]


def told_between(run: Run, scheduler: str, other: Run, base: str) -> list[tuple[str, str]]:
    """Return who waits longer and who shorter than under a policy of another run, a text a way to group.

    The tasks of two runs are not paired here, so that no interval is known.
    """
    told = []
    for by in grouped_by_of(run):
        before = {
            (group.merged_count, group.name): group.mean_wait_time
            for group in GroupMetric.objects.of_run(other, by, base)
        }
        moved = sorted(
            (
                (group.mean_wait_time - before[group.merged_count, group.name], group)
                for group in GroupMetric.objects.of_run(run, by, scheduler)
                if (group.merged_count, group.name) in before
            ),
            key=lambda one: (-one[0], one[1].pk),
        )
        if moved:
            told.append((GroupMetric.GroupedBy(by).label, _told_waits(moved, PLURALS[by])))
    return told


def _told_waits(moved: Sequence[tuple[float, GroupMetric]], plural: str) -> str:
    """Say how many wait longer and shorter, and who most; `moved` is by how much, those that lose most first."""
    longer, shorter = [one for one in moved if one[0] > 0], [one for one in reversed(moved) if one[0] < 0]
    sentences = [
        f"Of {len(moved):,} {plural}, {len(longer):,} wait longer on average and {len(shorter):,} shorter (without "
        "intervals)."
    ]
    for side, way in ((longer, "longer"), (shorter, "shorter")):
        if side:
            by, group = side[0]
            sentences.append(f"{_capital(described(group))} wait {duration(abs(by))} {way}, most of all.")
    return " ".join(sentences)


def policy_groups(run: Run, grouped_by: str) -> Mapping[str, PolicyGroups]:
    """Return the groups of one kind under every policy of a run, in one query, in the order of the policies."""
    of_policies: dict[str, list[GroupMetric]] = {scheduler: [] for scheduler in run.policies}
    for group in GroupMetric.objects.filter(run=run, grouped_by=grouped_by).order_by("pk"):
        of_policies[group.scheduler].append(group)
    base = of_policies[run.policies[0]]
    return {scheduler: PolicyGroups(groups, base, scheduler) for scheduler, groups in of_policies.items()}


class OverviewLine(NamedTuple):
    """How the groups of one kind fare under one policy; seconds, None where nobody clearly loses or gains."""

    scheduler: str
    losing: int
    loses_most: str | None
    loss: float | None
    gaining: int
    gains_most: str | None
    gain: float | None


def overview(every: Mapping[str, PolicyGroups], base: str) -> list[OverviewLine]:
    """Return a line a policy beside the base."""
    lines = []
    for scheduler, groups in every.items():
        if scheduler != base:
            sides = [
                (len(rows), *((rows[0].label, rows[0].group.difference) if rows else (None, None)))
                for rows in (groups.worse, groups.better)
            ]
            lines.append(OverviewLine(scheduler, *sides[0], *sides[1]))
    return lines


def _by_how_much(group: GroupMetric, way: str, base: str) -> str:
    ends = sorted((abs(group.difference_low or 0.0), abs(group.difference_high or 0.0)))
    return (
        f"{group.task_count:,} tasks complete {duration(abs(group.difference))} {way} than under {base} on average "
        f"(95% interval {duration(ends[0])} to {duration(ends[1])})"
    )


def _clearly(rows: Sequence[GroupRow], verb: str) -> str:
    return f"{len(rows):,} clearly {verb}{'s' if len(rows) == 1 else ''}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
