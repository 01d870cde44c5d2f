"""What is wanted of a cluster: `p95_wait_time of partition gpu < 4 h`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter, listed, unknown_name
from scheduler_sim.engine.measuring.groups import TARGETED, figures_of_rows, told_apart
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.workloads.workload import IntArray, Workload

FORM = "FIGURE [of KIND NAME] < BOUND [s|min|h|d], such as p95_wait_time of partition gpu < 4 h"

_ALIASES = {
    "mean_wait": "mean_wait_time",
    "median_wait": "p50_wait_time",
    "median_wait_time": "p50_wait_time",
    "p50_wait": "p50_wait_time",
    "p95_wait": "p95_wait_time",
    "slowdown": "mean_bounded_slowdown",
}
_KINDS = {
    "user": "user",
    "account": "group",
    "partition": "queue",
    "qos": "qos",
    "size": "size",
    "run_time": "length",
    "kind": "kind",
    "hour": "hour",
}
_SECONDS = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_TARGET = re.compile(
    r"(?P<figure>[a-z0-9_ ]+?)(?:\s+of\s+(?P<kind>[a-z_]+)\s+(?P<name>.+?))?"
    r"\s*(?:<=?|\bunder\b|\bat most\b)\s*(?P<bound>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[a-z]*)\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Target:
    """A figure of some tasks that may be at most so much.

    Attributes:
        figure: one of `groups.TARGETED`.
        kind: by what the tasks are told apart, as `partition`; empty for all tasks.
        name: of the group.
        bound: seconds, or a ratio.
    """

    figure: str
    bound: float
    kind: str = ""
    name: str = ""

    @property
    def is_time(self) -> bool:
        """Whether it is a span of time."""
        return self.figure.endswith("_time")

    def __str__(self) -> str:
        of = f" of {self.kind} {self.name}" if self.kind else ""
        unit = max((unit for unit in _SECONDS if self._fits(unit)), key=_SECONDS.__getitem__) if self.is_time else ""
        return f"{self.figure}{of} < {self.bound / _SECONDS[unit]:g}{f' {unit}' if unit else ''}"

    def _fits(self, unit: str) -> bool:
        """Tell whether so many of the unit are written in at most two places behind the point."""
        number = self.bound / _SECONDS[unit]
        return bool(unit) and (unit == "s" or (number >= 1 and round(number, 2) == number))

    def rows(self, workload: Workload, rows: IntArray) -> IntArray:
        """Return those of the tasks `rows` that are meant.

        Raises:
            InvalidParameter: the workload does not tell such tasks apart, or none of them is there.
        """
        chosen = rows
        if self.kind:
            labels = told_apart(workload, rows).get(_KINDS[self.kind])
            if labels is None:
                raise InvalidParameter(f"The workload states no {self.kind} of its tasks.")
            present = [labels.names[code] for code in np.unique(labels.codes)]
            if self.name not in present:
                raise InvalidParameter(f"No scored task is of {self.kind} {self.name!r}. There are: {listed(present)}.")
            chosen = rows[labels.codes == labels.names.index(self.name)]
        if not len(chosen):
            raise InvalidParameter("No task is scored.")
        return chosen

    def value(self, simulation: Simulation, rows: IntArray) -> float:
        """Return the figure of finished tasks `rows`."""
        return figures_of_rows(simulation, rows)[self.figure]


def parse_targets(texts: str | Sequence[str]) -> tuple[Target, ...]:
    """Read targets with ; between them, or one by one.

    Raises:
        InvalidParameter: none, another form, or an unknown figure, kind or unit; the sentence names the valid ones.
    """
    parts = texts.split(";") if isinstance(texts, str) else [part for text in texts for part in text.split(";")]
    targets = tuple(_read(part.strip()) for part in parts if part.strip())
    if not targets:
        raise InvalidParameter(f"A target is wanted: {FORM}.")
    return targets


def _read(text: str) -> Target:
    found = _TARGET.fullmatch(text)
    if found is None:
        raise InvalidParameter(f"A target is {FORM}, not {text[:100]!r}.")
    figure = "_".join(found["figure"].lower().split())
    figure = _ALIASES.get(figure, figure)
    if figure not in TARGETED:
        raise InvalidParameter(unknown_name("figure to aim at", figure, list(TARGETED)))
    kind = (found["kind"] or "").lower()
    if kind and kind not in _KINDS:
        raise InvalidParameter(unknown_name("way to tell tasks apart", kind, list(_KINDS)))
    unit = found["unit"].lower()
    is_time = figure.endswith("_time")
    if unit not in (_SECONDS if is_time else ("",)):
        wanted = ", ".join(filter(None, _SECONDS)) if is_time else "without a unit"
        raise InvalidParameter(f"The bound of {figure} is {wanted}, not in {unit!r}.")
    bound = float(found["bound"]) * (_SECONDS[unit] if is_time else 1.0)
    return Target(figure, bound, kind, (found["name"] or "").strip())
