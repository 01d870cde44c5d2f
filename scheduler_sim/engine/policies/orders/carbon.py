"""Orders that hold a task back until electricity is cleaner; from then on it comes by its arrival, as under fcfs.

When a task is let go, and under orders that stop tasks when it stops and goes on, is settled at its arrival and does
not depend on what else runs: it waits for room from then on. Without a series of carbon they are fcfs.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.formulas import rigid_time
from scheduler_sim.engine.policies.delays import (
    LEAST_CARBON,
    MOST_SAVED_A_SECOND,
    best_span,
    first_open,
    integrals,
    lowest_step,
    thresholds,
)
from scheduler_sim.engine.policies.openings import Openings, cleanest, while_open
from scheduler_sim.engine.policies.order import Order, ScoreContext, Scores, order
from scheduler_sim.engine.policies.parameter import Parameter, choice, number
from scheduler_sim.engine.series import StepSeries
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

GAIA = "Hanafy et al., Going green for less green (GAIA), ASPLOS 2024"
DAY = 24 * SECONDS_PER_HOUR
LONGEST = 366 * DAY
"""The forecast reaches at least so far behind each start; spans that end beyond it are not looked at."""

DELAY = number(
    "delay",
    unit="h",
    default=24.0,
    rule="Hours for which a task may be held back; less where it has a deadline that it could not meet then.",
)


def _read_delays(text: str) -> str:
    _delays(text)
    return text


def _delays(text: str) -> dict[str, float]:
    """Return the hours of each queue of a text such as `short:0/long:24`.

    Raises:
        ValueError: a text of another form.
    """
    found = {}
    for part in text.split("/") if text else ():
        queue, colon, hours = part.rpartition(":")
        value = float(hours)
        if not colon or not queue or not 0 <= value < np.inf:
            raise ValueError
        found[queue] = value
    return found


DELAYS = Parameter(
    "delays",
    "h",
    "",
    "Hours for which tasks of a queue may be held back, in place of delay: short:0/long:24.",
    "queues and hours such as short:0/long:24",
    _read_delays,
)
NOISE = number(
    "noise",
    default=0.0,
    rule="Standard deviation of the forecast's error as a part of each step's value, drawn once a step; 0 is perfect.",
)

_LEAVES = "suspend, going on where they stopped, or checkpoint, from their last checkpoint"

holding = partial(order, goes_by="carbon", source=GAIA, parameters=(DELAY, DELAYS, NOISE))


def knows_carbon_to_come(order: Order) -> bool:
    """Tell whether an order goes by what carbon will be, without an error: a forecast that nobody has."""
    if order.goes_by != "carbon" or order.value("noise"):
        return False
    return not order.having("forecast") or order.value("forecast") != "none"


def slowest_run(estimate: FloatArray, workload: Workload, cluster: Cluster) -> FloatArray:
    """Return the seconds that each task is estimated to take on the slowest nodes that may run it, shape (n,)."""
    paces = Paces.of(workload, cluster)
    usable = paces.possible & np.array([group.gpus > 0 for group in cluster.groups])
    on_gpus = np.where(usable, paces.gpu, np.inf).min(1)[paces.row]
    slowest = float(cluster.of_groups("cpu_speed").min())
    return rigid_time(estimate, workload.gpus > 0, slowest, on_gpus)


@dataclass(frozen=True)
class _Ahead:
    """What is known when tasks arrive.

    Attributes:
        series: the whole series.
        steps: what it is over all spans that may be chosen.
        foreseen: shape (steps,), what the forecast says of each step.
        allowed: shape (n,), seconds for which each task may be held back.
        arrival: shape (n,).
        length: shape (n,), see `slowest_run`.
    """

    series: StepSeries
    steps: StepSeries
    foreseen: FloatArray
    allowed: FloatArray
    arrival: FloatArray
    length: FloatArray

    @classmethod
    def of(cls, context: ScoreContext) -> "_Ahead | None":
        """Return it, None where there is no series of carbon or no task."""
        series = None if context.signals is None else context.signals.get("carbon")
        workload = context.workload
        if series is None or not len(workload):
            return None
        allowed = np.full(len(workload), context.parameters["delay"] * SECONDS_PER_HOUR)
        queues = _delays(context.parameters["delays"])
        unknown = sorted(set(queues) - set(workload.queue.names))
        # Of a part of a run they are other tasks' queues.
        if unknown and context.part_since is None:
            raise InvalidPolicy(f"delays names queues that no task is in: {', '.join(unknown)}.")
        for queue in queues.keys() - unknown:
            allowed[workload.queue.codes == workload.queue.names.index(queue)] = queues[queue] * SECONDS_PER_HOUR
        length = slowest_run(context.estimate, workload, context.cluster)
        spare = workload.deadline_time - workload.arrival_time - length
        allowed = np.where(np.isnan(spare), allowed, np.clip(spare, 0.0, allowed))
        arrival = workload.arrival_time
        if not series.covers(float(arrival.min()), float(arrival.max())):
            raise InvalidPolicy("Tasks arrive where the series of carbon has no value; hold its ends or repeat it.")
        last = float((arrival + allowed + np.minimum(length, LONGEST)).max()) + DAY
        first = float(arrival.min()) if context.part_since is None else context.part_since
        # Errors are drawn a step from here on, so that those of a part of a run are those of all of it.
        steps = series.over(first - DAY, last)
        drawn = context.generator.standard_normal(len(steps.times))
        error = np.maximum(1.0 + context.parameters["noise"] * drawn, 0.0)
        return cls(series, steps, steps.values * error, allowed, arrival, length)

    def gone_by(self) -> "_Ahead":
        """Return it with all steps that began in the day up to that in which the first task arrives, and no forecast.

        A step that began before them is cut where the day begins, and so counts for none of the steps in reach.
        """
        since = self.series.step_begin(float(self.arrival.min())) - DAY
        steps = self.series.over(since, self.steps.end)
        return replace(self, steps=steps, foreseen=steps.values)

    def steps_in_reach(self, *, run: bool = False) -> slice:
        """Return the steps in which tasks may start, or, with `run`, may be held or run, from the first arrival on."""
        until = self.arrival + self.allowed + (np.minimum(self.length, LONGEST) if run else 0.0)
        first = np.searchsorted(self.steps.times, self.arrival.min(), side="right") - 1
        last = np.searchsorted(self.steps.times, until.max(), side="right")
        return slice(int(first), int(last))

    def cleanest(self) -> Openings:
        """Return the spans of each task's estimate with the least carbon by the forecast."""
        steps = self.steps
        return cleanest(steps.times, self.foreseen, steps.end, self.arrival, self.allowed, self.length)

    def by_span(self, aim: int) -> FloatArray:
        """Return the start of each task's best span by the forecast."""
        steps = StepSeries(self.steps.times, self.foreseen, self.steps.end)
        return best_span(
            steps.times,
            integrals(steps),
            steps.values,
            steps.end,
            self.arrival,
            self.allowed,
            self.length,
            aim,
        )


def _held(context: ScoreContext, start: FloatArray | None) -> Scores:
    return Scores(base=context.workload.arrival_time, not_before=start)


def _opened(context: ScoreContext, openings: Openings) -> Scores:
    return Scores(base=context.workload.arrival_time, not_before=openings.first, openings=openings)


@holding("lowest_slot", formula="s, from the lowest step of carbon within the delay on")
def lowest_slot(context: ScoreContext) -> Scores:
    """Let a task go when the lowest step within its delay begins."""
    ahead = _Ahead.of(context)
    if ahead is None:
        return _held(context, None)
    return _held(context, lowest_step(ahead.steps.times, ahead.foreseen, ahead.arrival, ahead.allowed))


@holding("lowest_window", formula="s, from the start with the least carbon over r within the delay on")
def lowest_window(context: ScoreContext) -> Scores:
    """Let a task go when the span of its estimate with the least carbon begins."""
    ahead = _Ahead.of(context)
    return _held(context, None if ahead is None else ahead.by_span(LEAST_CARBON))


@holding("carbon_time", formula="s, from the start with max (carbon saved / (delay + r)) on")
def carbon_time(context: ScoreContext) -> Scores:
    """Let a task go when the most carbon is saved for each second until its estimated end."""
    ahead = _Ahead.of(context)
    return _held(context, None if ahead is None else ahead.by_span(MOST_SAVED_A_SECOND))


@holding(
    "wait_awhile",
    formula="s, in the spans of r in all with the least carbon within r and the delay",
    source=f"Wiesner et al., Let's wait awhile, Middleware 2021; {GAIA}",
    pauses=True,
    parameters=(
        DELAY,
        DELAYS,
        NOISE,
        choice(
            "stops",
            lambda: ["suspend", "checkpoint"],
            default="suspend",
            rule=f"How tasks stop between their spans: {_LEAVES}.",
        ),
    ),
)
def wait_awhile(context: ScoreContext) -> Scores:
    """Let a task run in the cleanest spans that are as long as its estimate together, and stop between them."""
    ahead = _Ahead.of(context)
    return _held(context, None) if ahead is None else _opened(context, ahead.cleanest())


@holding(
    "carbon_threshold",
    formula="s, from the first step below the quantile of a day on",
    source="the time-shifting scheduler of OpenDC (quantiles); Wiesner et al., Let's wait awhile, Middleware 2021",
    pauses=True,
    parameters=(
        DELAY,
        DELAYS,
        number("short", default=0.2, rule="Quantile for tasks estimated below short_hours, a part of 1."),
        number("long", default=0.35, rule="Quantile for all other tasks, a part of 1."),
        number("short_hours", unit="h", default=2.0, rule="Estimate below which a task is short."),
        choice(
            "forecast",
            lambda: ["ahead", "none"],
            default="ahead",
            rule="Whether the quantile is of the 24 h to come, or, none, of the 24 h gone by.",
        ),
        NOISE,
        choice(
            "stops",
            lambda: ["none", "suspend", "checkpoint"],
            default="none",
            rule=f"Whether tasks also stop in steps above the quantile: {_LEAVES}; they are held so long in all.",
        ),
    ),
)
def carbon_threshold(context: ScoreContext) -> Scores:
    """Let a task go in the first step that is at or below the quantile of the steps of a day, and stop in others.

    Raises:
        InvalidPolicy: a quantile above 1.
    """
    told = context.parameters
    for name in ("short", "long"):
        if told[name] > 1:
            raise InvalidPolicy(f"carbon_threshold: {name} is {told[name]:g}, not a part of 1.")
    ahead = _Ahead.of(context)
    if ahead is None:
        return _held(context, None)
    by_rule = told["forecast"] == "ahead"
    if not by_rule:
        ahead = ahead.gone_by()
    times, known = ahead.steps.times, ahead.steps.values
    is_short = context.estimate < told["short_hours"] * SECONDS_PER_HOUR
    quantiles, asked = (told["short"], told["long"]), ahead.steps_in_reach(run=told["stops"] != "none")
    bounds = thresholds(times, known, ahead.foreseen, quantiles, span=DAY, ahead=by_rule, asked=asked)
    is_open = known[asked] <= bounds
    if told["stops"] != "none":
        kind = np.where(is_short, 0, 1)
        return _opened(context, while_open(times[asked], is_open, kind, ahead.arrival, ahead.allowed, ahead.length))
    start = np.empty(len(ahead.arrival))
    for open_steps, rows in zip(is_open, (is_short, ~is_short), strict=True):
        start[rows] = first_open(times[asked], open_steps, ahead.arrival[rows], ahead.allowed[rows])
    return _held(context, start)
