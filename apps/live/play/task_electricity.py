"""What the electricity of single tasks and attempts of a run that names series emitted and cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from apps.live.play.configuration import RunConfiguration
from apps.live.play.electricity import series_on_clock
from apps.live.play.options import InvalidOption
from apps.results.models import Run
from scheduler_sim.engine import Cluster
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.measuring.electricity import span_electricity
from scheduler_sim.engine.series import Signals

Span = tuple[float, float, float]
"""Watts that devices drew, and from when until when."""


def span_of(joules: float | None, start: float, finish: float) -> Span:
    """Return the span of a task that ran once, for some time."""
    return (joules or 0.0) / (finish - start), start, finish


@dataclass(frozen=True)
class Electricity:
    """Carbon and price of electricity of some spans, None where one is not known."""

    carbon_kg: float | None = None
    electricity_usd: float | None = None


class Reckoner:
    """Reckons spans of one run by its series."""

    def __init__(self, signals: Signals, cluster: Cluster) -> None:
        self._signals = signals
        self._cores, self._gpus = cluster.of_groups("cpu_busy_watts"), cluster.of_groups("gpu_busy_watts")
        self._group = cluster.group_of_nodes()

    @classmethod
    def of(cls, run: Run) -> Self | None:
        """Return the reckoner of a run; None where it names no series, or one that is not stored any more.

        None too where the run's own figures leave the series out, because they repeat too often to be laid over it, and
        where its cluster states no watts.
        """
        if not run.configuration.get("series") or any(one["kind"] == "series_unused" for one in run.cautions):
            return None
        cluster = Cluster.from_json(run.cluster)
        if not cluster.states_watts:
            return None
        try:
            named = series_on_clock(RunConfiguration.from_json(run.configuration), run.workload)
        except InvalidOption:
            return None
        return cls(Signals({kind: steps for _, kind, steps in named}), cluster)

    def attempt(self, node: int, cpus: float, gpus: float, start: float, end: float) -> Span:
        """Return the span of an attempt; one that was nowhere draws nothing."""
        here = self._group[node]
        watts = cpus * self._cores[here] + gpus * self._gpus[here]
        return float(watts) if node >= 0 else 0.0, start, end

    def reckoned(self, groups: Sequence[Sequence[Span]]) -> list[Electricity]:
        """Return what each group of spans took in all; a group without spans nothing that is known.

        Raises:
            InvalidParameter: a series would repeat too often over them.
        """
        sizes = np.array([len(group) for group in groups], np.int64)
        spans = np.array([span for group in groups for span in group], np.float64).reshape(-1, 3)
        owner = np.repeat(np.arange(len(groups)), sizes)
        watts, start, finish = spans.T
        columns = [span_electricity(self._signals, kind, watts, start, finish) for kind in ("carbon", "price")]
        sums = [np.bincount(owner, column, minlength=len(groups)) for column in columns]
        return [
            Electricity(*(None if not sizes[at] or np.isnan(whole[at]) else float(whole[at]) for whole in sums))
            for at in range(len(groups))
        ]

    def told(self, groups: Sequence[Sequence[Span]]) -> list[Electricity]:
        """Return the same; nothing that is known where a series would repeat too often, as of a run not over yet."""
        try:
            return self.reckoned(groups)
        except InvalidParameter:
            return [Electricity()] * len(groups)
