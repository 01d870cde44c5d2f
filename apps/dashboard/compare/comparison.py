"""Several runs side by side: every policy of each against one base, on the same tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from apps.dashboard.runs.charts import completion_times
from apps.dashboard.schedule.placements import Placements, placements
from apps.live.play.configuration_words import configuration_rows
from apps.metrics.models import Metric
from apps.results.models import Run
from scheduler_sim.display.appearance import appearance
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable, sample_rows
from scheduler_sim.display.formatting import Scale, duration, figure_scale, quantity, scale_of
from scheduler_sim.engine.numerics.paired import TaskDifference, task_difference

MOST_RUNS = 6


class Contestant(NamedTuple):
    """One policy of one run."""

    run: Run
    scheduler: str

    @property
    def key(self) -> str:
        """How addresses name it."""
        return f"{self.run.pk}:{self.scheduler}"


@dataclass(frozen=True)
class Difference:
    """One contestant against the base."""

    contestant: Contestant
    label: str
    paired: TaskDifference
    total: Metric | None


class Comparison:
    """Everything the page of a comparison shows.

    Args:
        runs: at least one, in the order given.
        base: `policy` or `run:policy`; when it names none of theirs, the first policy that every run plays, of the
            first run, and its first one where they share none.
        versus: the contestant drawn against the base in the scatter; the best other one by default.
    """

    def __init__(self, runs: Sequence[Run], *, base: str = "", versus: str = "") -> None:
        self.runs = list(runs)
        self.contestants = [Contestant(run, scheduler) for run in self.runs for scheduler in run.policies]
        self._totals = {
            (total.run_id, total.scheduler): total for total in Metric.objects.totals().filter(run__in=self.runs)
        }
        self.asked_base = base
        self.base = self._find(base) or self._shared()
        self.versus = self._find(versus) or self._best_other()
        self.comparable = len({run.workload_id for run in self.runs}) == 1

    def label(self, contestant: Contestant) -> str:
        """Return the policy's name, with the run's number where several runs are compared."""
        return contestant.scheduler if len(self.runs) == 1 else f"{contestant.scheduler} (run {contestant.run.pk})"

    def told_base(self) -> str:
        """Return by name what all others are compared with, and why it is that."""
        words = f"The base is {self.base.scheduler}"
        if len(self.runs) > 1:
            words += f" of run {self.base.run.pk}, {self.base.run.name}"
        if self._find(self.asked_base) == self.base:
            return f"{words}."
        refused = f"None of them plays {self.asked_base[:100]}. " if self.asked_base else ""
        everywhere = len(self.runs) > 1 and self._is_shared(self.base.scheduler)
        return f"{refused}{words}: the first policy that {'all of them play' if everywhere else 'it plays'}."

    def scales(self, differences: Sequence["Difference"]) -> dict[str, Scale]:
        """Return how the columns of the table are written; all differences have one unit."""
        totals = [one.total for one in differences]
        gaps = [gap for one in differences for gap in (one.paired.mean, one.paired.low, one.paired.high)]
        columns = ("mean_bounded_slowdown", "mean_job_completion_time")
        return {
            "difference": scale_of("seconds", gaps),
            **{name: figure_scale(name, [getattr(total, name, None) for total in totals]) for name in columns},
        }

    def total(self, contestant: Contestant) -> Metric | None:
        """Return a contestant's figures, None where the run has none yet."""
        return self._totals.get((contestant.run.pk, contestant.scheduler))

    def _find(self, text: str) -> Contestant | None:
        number, colon, rest = text.partition(":")
        for contestant in self.contestants:
            if contestant.key == text or (contestant.scheduler == text and not (colon and number.isdigit() and rest)):
                return contestant
        return None

    def _is_shared(self, scheduler: str) -> bool:
        return all(scheduler in run.policies for run in self.runs)

    def _shared(self) -> Contestant:
        return next((one for one in self.contestants if self._is_shared(one.scheduler)), self.contestants[0])

    def _best_other(self) -> Contestant:
        others = [one for one in self.contestants if one != self.base] or [self.base]
        totals = [(one, total) for one in others if (total := self.total(one))]
        known = [(slowdown, one) for one, total in totals if (slowdown := total.mean_bounded_slowdown) is not None]
        return min(known, key=lambda pair: pair[0])[1] if known else others[0]

    def differences(self) -> list[Difference]:
        """Return every other contestant against the base; empty where the runs do not share a workload."""
        if not self.comparable:
            return []
        of_base = placements(self.base.run, self.base.scheduler)
        found = []
        for contestant in self.contestants:
            if contestant == self.base:
                continue
            one, other = _same_tasks(of_base, placements(contestant.run, contestant.scheduler))
            order = np.argsort(of_base.arrival[one], kind="stable")
            paired = task_difference(
                of_base.completion_time[one][order],
                placements(contestant.run, contestant.scheduler).completion_time[other][order],
            )
            found.append(Difference(contestant, self.label(contestant), paired, self.total(contestant)))
        return sorted(found, key=lambda one: np.inf if one.paired.mean is None else one.paired.mean)

    def charts(self, differences: Sequence[Difference]) -> dict[str, Chart]:
        """Return the charts by key, in the page's order."""
        named = [(self.label(one), total) for one in self.contestants if (total := self.total(one))]
        charts = [completion_times(named), self._intervals(differences), self._scatter()]
        return {chart.key: chart for chart in charts}

    def _intervals(self, differences: Sequence[Difference]) -> Chart:
        base = self.label(self.base)
        known = [one for one in differences if one.paired.low is not None]
        series, rows = [], []
        for one in known:
            look = appearance(one.contestant.scheduler)
            paired = one.paired
            series.append(
                Series(one.label, [paired.low, paired.mean, paired.high], [one.label] * 3, look.colour, look.dash)
            )
            rows.append((one.label, duration(paired.low), duration(paired.mean), duration(paired.high)))
        finding = "There are too few common tasks for an interval."
        if not self.comparable:
            finding = "The runs do not share a workload."
        if known:
            clear = [one for one in known if one.paired.verdict == "better"]
            gains = [-one.paired.mean for one in known if one.paired.mean is not None]
            finding = (
                f"{len(clear)} of {len(known)} complete tasks sooner than {base}, beyond what chance explains; "
                f"the largest gain is {known[0].label} with {duration(gains[0])} a task."
                if clear
                else f"None completes tasks clearly sooner than {base}."
            )
        return Chart(
            "intervals",
            "interval",
            f"Difference from {base}, task by task",
            finding,
            Axis("Mean JCT minus the base's", "s"),
            Axis("Policy", "", "category"),
            series,
            TextTable(("Policy", "Low (95%)", "Mean", "High (95%)"), rows),
        )

    def _scatter(self) -> Chart:
        base, versus = self.label(self.base), self.label(self.versus)
        title = f"Each task: {base} against {versus}"
        axes = (Axis(f"JCT under {base}", "s", "log"), Axis(f"JCT under {versus}", "s", "log"))
        if not self.comparable or self.base == self.versus:
            reason = "The runs do not share a workload." if not self.comparable else "There is no other policy."
            return Chart("tasks", "scatter", title, reason, *axes, [])
        of_base = placements(self.base.run, self.base.scheduler)
        of_versus = placements(self.versus.run, self.versus.scheduler)
        one, other = _same_tasks(of_base, of_versus)
        if not len(one):
            return Chart("tasks", "scatter", title, "No task was finished by both.", *axes, [])
        chosen = sample_rows(len(one))
        x, y = of_base.completion_time[one], of_versus.completion_time[other]
        numbers = of_base.number[one][chosen]
        sooner = float((y < x).mean())
        finding = f"{quantity('share', sooner)} of the tasks complete sooner under {versus}: they lie below the line."
        if len(chosen) < len(one):
            finding += f" {len(chosen):,} of {len(one):,} tasks are drawn, evenly spread over the arrivals."
        look = appearance(self.versus.scheduler)
        labels = [f"Task {number}" for number in numbers.tolist()]
        quantiles = (10, 25, 50, 75, 90)
        rows = [
            (f"{percent}%", duration(float(np.percentile(x, percent))), duration(float(np.percentile(y, percent))))
            for percent in quantiles
        ]
        series = Series(versus, x[chosen].tolist(), y[chosen].tolist(), look.colour, look.dash, labels=labels)
        return Chart(
            "tasks", "scatter", title, finding, *axes, [series], TextTable(("Tasks within", base, versus), rows)
        )

    def configuration(self) -> list[tuple[str, list[str], bool]]:
        """Return each part of the configuration, its value in each run, and whether the runs differ in it.

        What differs comes first.
        """
        documents = [{"Workload": run.workload.name, **dict(configuration_rows(run))} for run in self.runs]
        keys = list(dict.fromkeys(key for document in documents for key in document))
        rows = []
        for key in keys:
            values = [document.get(key, "not stated") for document in documents]
            rows.append((key, values, len(set(values)) > 1))
        return sorted(rows, key=lambda row: not row[2])


def _same_tasks(one: Placements, other: Placements) -> tuple[Any, Any]:
    """Return, for both, the rows of the tasks that both placed, in the order of the tasks."""
    if np.array_equal(one.task, other.task):
        every = np.arange(len(one))
        return every, every
    _, first, second = np.intersect1d(one.task, other.task, assume_unique=True, return_indices=True)
    return first, second
